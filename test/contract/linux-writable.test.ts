import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import type { Linux, Path } from "../../src/linux/linux.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { childPath, pathBelow } from "../../src/linux/path.ts";
import { FakeLinux } from "../fakes/fake-linux.ts";

const text = (words: string) => toBytes(fromText(words));

/** What osdeploy does through such a sight of a mount: all kinds of calls, then a look from the usual side. */
function useView({ files, mounts }: Linux, mounted: Path): void {
  const view = mounts.openWritable(mounted);
  const at = (name: string): Path => pathBelow(view.path, name);
  files.makeDirectory(at("made"), 0o755);
  files.writeNewFile(at("made/file"), text("written"), 0o640);
  files.rename(at("made/file"), at("renamed"), { replace: false });
  files.symlink(fromText("renamed"), at("link"));
  const fd = files.open(at("renamed"), "read");
  // The file's name is made durable too, and the kernel tells a path that starts at the top of this mount.
  files.sync(fd);
  files.syncFileSystem(fd);
  files.close(fd);
  const directory = files.open(view.path, "directory");
  expect(files.lock(directory, "exclusive", { wait: false })).toBe(true);
  const outside = files.open(mounted, "directory");
  expect(files.lock(outside, "exclusive", { wait: false })).toBe(false);
  files.close(outside);
  files.close(directory);
  expect(files.space(view.path).readOnly).toBe(false);
  view.close();
  expect(files.readDirectory(mounted)).toEqual(["link", "made", "old", "renamed"]);
  expect([...files.readFile(childPath(mounted, fromText("renamed")), 100)]).toEqual([...text("written")]);
}

test("openWritable: a sight to write through (fake)", () => {
  const linux = new FakeLinux({ mountPoints: [{ path: "/mounted" }] });
  linux.files.writeNewFile(fromText("/mounted/old"), text("x"), 0o644);
  useView(linux, fromText("/mounted"));
  expect(linux.openPaths).toEqual([]);
});

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)(`openWritable, live${isRoot ? "" : " (skipped: needs root, to mount)"}`, () => {
  const linux = openLinux();
  let scratch: string;
  let mounted: string;

  beforeAll(() => {
    scratch = realpathSync(mkdtempSync(join(tmpdir(), "osdeploy-writable-")));
    mounted = join(scratch, "mounted");
    mkdirSync(mounted);
    writeFileSync(join(mounted, "old"), "x");
    for (const words of [
      ["--bind", mounted, mounted],
      ["-o", "remount,bind,ro", mounted],
    ]) {
      expect(spawnSync("mount", words).status).toBe(0);
    }
  });
  afterAll(() => {
    spawnSync("umount", [mounted]);
    rmSync(scratch, { recursive: true, force: true });
  });

  const refusal = (action: () => unknown): unknown => {
    try {
      action();
    } catch (error) {
      return error instanceof OsdeployError ? error.facts["errno"] : error;
    }
    return undefined;
  };

  test("writes where the mount is read-only, leaves that so, and is gone when closed", () => {
    const openBefore = readdirSync("/proc/self/fd").length;
    useView(linux, fromText(mounted));
    expect(refusal(() => linux.files.writeNewFile(fromText(join(mounted, "new")), text("x"), 0o644))).toBe("EROFS");
    expect(readFileSync(join(mounted, "renamed"), "utf8")).toBe("written");
    expect(readdirSync("/proc/self/fd")).toHaveLength(openBefore);
    const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    expect(lines.filter((line) => line.includes(` ${mounted} `))).toHaveLength(1);
  });

  test("what is no mount point, or not there, is refused", () => {
    expect(refusal(() => linux.mounts.openWritable(fromText(join(scratch, "none"))))).toBe("ENOENT");
  });
});
