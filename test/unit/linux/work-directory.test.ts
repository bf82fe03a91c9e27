import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import type { Path } from "../../../src/linux/linux.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { openWorkDirectory } from "../../../src/linux/work-directory.ts";
import { putFile } from "../../builders/tool-runs.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

let parent: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), "work-directory-"));
});
afterEach(() => rmSync(parent, { recursive: true }));

const open = () => openWorkDirectory(openLinux(), fromText(parent), ".work-");
const nameOf = (path: string) => path.slice(path.lastIndexOf("/") + 1);

test("openWorkDirectory: is there until it is closed, for its user alone", () => {
  const work = open();
  expect(openLinux().files.lstat(work.path)).toMatchObject({ kind: "directory", permissions: 0o700 });
  writeFileSync(join(parent, nameOf(work.path), "file"), "x");
  work.close();
  work.close();
  expect(readdirSync(parent)).toEqual([]);
});

test("openWorkDirectory: an error names the directory above, not one that its user never heard of", () => {
  expect(() => openWorkDirectory(openLinux(), fromText(`${parent}/none`), ".work-")).toThrow(
    expect.objectContaining({
      code: "not-found",
      message: `Cannot write to "${parent}/none": it does not exist (ENOENT)`,
      facts: { errno: "ENOENT", path: `${parent}/none` },
    }),
  );
});

test("openWorkDirectory: those of dead runs go; living ones, files, links and others' stay", () => {
  const living = open();
  mkdirSync(join(parent, ".work-dead/below"), { recursive: true });
  writeFileSync(join(parent, ".work-file"), "somebody's");
  mkdirSync(join(parent, "other"));
  symlinkSync("other", join(parent, ".work-link"));
  const second = open();
  const left = [nameOf(living.path), nameOf(second.path), ".work-file", ".work-link", "other"];
  expect(readdirSync(parent).sort()).toEqual(left.sort());
});

test.runIf(process.getuid?.() === 0)(
  "openWorkDirectory: what a killed run left mounted is unmounted (needs root)",
  () => {
    const dead = join(parent, ".work-dead/root.img.mounted");
    mkdirSync(dead, { recursive: true });
    expect(spawnSync("mount", ["-t", "tmpfs", "none", dead]).status).toBe(0);
    try {
      const work = open();
      expect(work.leftovers).toEqual([]);
      expect(readdirSync(parent)).toEqual([nameOf(work.path)]);
      const own = join(parent, nameOf(work.path), "below");
      mkdirSync(own);
      expect(spawnSync("mount", ["-t", "tmpfs", "none", own]).status).toBe(0);
      expect(work.close()).toEqual([]);
      expect(readdirSync(parent)).toEqual([]);
    } finally {
      spawnSync("umount", ["-R", dead]);
    }
  },
);

test("openWorkDirectory: what cannot be removed is told, and nothing fails; what is mounted in it is not touched", () => {
  const linux = new FakeLinux();
  const at = "/.work-dead/a\\040b";
  putFile(linux.files, "/proc/self/mountinfo", `25 23 254:1 / ${at} rw - ext4 /dev/x rw\n`);
  putFile(linux.files, "/.work-dead/a b/file", "x");
  const work = openWorkDirectory(linux, fromText("/"), ".work-");
  expect(work.leftovers).toEqual([expect.objectContaining({ code: "unsupported" })]);
  expect(linux.files.readDirectory(fromText("/.work-dead/a b"))).toEqual(["file"]);
  expect(work.close()).toEqual([]);
  expect(linux.openPaths).toEqual([]);
});

test("openWorkDirectory: its own goes where those of others cannot be found", () => {
  const linux = new FakeLinux();
  const files = {
    ...linux.files,
    readDirectory: (path: Path) => {
      if (path === "/") throw new OsdeployError("system", "Cannot read the directory: input/output error (EIO)");
      return linux.files.readDirectory(path);
    },
  };
  const make = () => openWorkDirectory({ ...linux, files, clock: linux.clock }, fromText("/"), ".work-");
  expect(make).toThrow("input/output error");
  expect([linux.files.readDirectory(fromText("/")), linux.openPaths]).toEqual([[], []]);
});

test("openWorkDirectory: what belongs to another user stays", () => {
  const linux = new FakeLinux();
  linux.files.makeDirectory(fromText("/.work-theirs"), 0o700);
  linux.files.setOwner(fromText("/.work-theirs"), 1000, 1000);
  openWorkDirectory(linux, fromText("/"), ".work-").close();
  expect(linux.files.readDirectory(fromText("/"))).toEqual([".work-theirs"]);
});

test("openWorkDirectory: one that another run took for a dead one's is made again", () => {
  const linux = new FakeLinux();
  let isFirst = true;
  const files = new Proxy(linux.files, {
    get: (target, key: keyof typeof linux.files) => {
      const method = target[key].bind(target) as (...words: readonly unknown[]) => unknown;
      if (key !== "makeDirectory") return method;
      return (...words: readonly unknown[]) => {
        if (!isFirst) return method(...words);
        isFirst = false;
        return undefined;
      };
    },
  });
  const work = openWorkDirectory({ ...linux, files, clock: linux.clock }, fromText("/"), ".work-");
  expect(linux.files.readDirectory(fromText("/"))).toEqual([nameOf(work.path)]);
});

test("openWorkDirectory: works where it may not look", () => {
  const linux = new FakeLinux();
  const files = new Proxy(linux.files, {
    get: (target, key: keyof typeof linux.files) => {
      if (key !== "readDirectory") return target[key].bind(target);
      return () => {
        throw new OsdeployError("permission-denied", 'Cannot read "/": permission denied');
      };
    },
  });
  const work = openWorkDirectory({ ...linux, files, clock: linux.clock }, fromText("/"), ".work-");
  expect(linux.files.readDirectory(fromText("/"))).toEqual([nameOf(work.path)]);
});

test("openWorkDirectory: what keeps it there is told, and nothing stays open", () => {
  const linux = new FakeLinux({ failAt: 2, fault: "EIO" });
  const work = openWorkDirectory(linux, fromText("/"), ".work-");
  expect(work.close()).toEqual([expect.objectContaining({ code: "system" })]);
  expect(linux.files.readDirectory(fromText("/"))).toEqual([nameOf(work.path)]);
  expect(linux.openPaths).toEqual([]);
});
