import { beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import type { Linux, Path } from "../../../src/linux/linux.ts";
import { withWritableRepo } from "../../../src/operations/writable-repo.ts";
import { failureOf, machineWithRepo, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import { runningMachine } from "../../builders/running-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const images = { v1: await buildOsImage("v1") };
const repoPath = fromText("/sysroot/composefs");

/** A machine on which a writable sight has a path of its own, and is known to be closed. */
function watched(linux: FakeLinux): { readonly linux: Linux; readonly opened: string[] } {
  const opened: string[] = [];
  const openWritable = (path: Path) => {
    opened.push(path);
    return { path: fromText(`/.${path}`), close: () => void opened.push(`closed ${path}`) };
  };
  return { opened, linux: { ...linux, mounts: { ...linux.mounts, openWritable } } };
}

describe("withWritableRepo", () => {
  let linux: FakeLinux;
  beforeEach(async () => {
    linux = await runningMachine(images, "v1");
  });

  test("the repo of the running system is changed through a sight of its own", async () => {
    const seen = watched(linux);
    const path = await withWritableRepo(systemOn(seen.linux), { path: repoPath, access: "write" }, (repo) => repo.path);
    expect(path).toBe("/./sysroot/composefs");
    expect(seen.opened).toEqual(["/sysroot", "closed /sysroot"]);
    expect(linux.openPaths).toEqual([]);
  });

  test("its errors name it as the user did", async () => {
    linux.files.unlink(fromText("/sysroot/composefs/meta.json"));
    linux.files.writeNewFile(fromText("/sysroot/composefs/meta.json"), new Uint8Array(3), 0o644);
    const seen = watched(linux);
    const failed = withWritableRepo(systemOn(seen.linux), { path: repoPath, access: "exclusive" }, () => {});
    expect(await failureOf(failed)).toMatchObject({ code: "bad-format", message: expect.not.stringContaining("/./") });
    expect(seen.opened).toEqual(["/sysroot", "closed /sysroot"]);
  });

  test("any other repo is opened where it is", async () => {
    const other = watched(await machineWithRepo(images));
    const path = await withWritableRepo(
      systemOn(other.linux),
      { path: repoOfSysroot, access: "write" },
      (repo) => repo.path,
    );
    expect([path, other.opened]).toEqual([repoOfSysroot, []]);
    const none = watched(linux);
    const failed = withWritableRepo(systemOn(none.linux), { path: fromText("/none"), access: "write" }, () => {});
    expect(await failureOf(failed)).toMatchObject({ code: "not-found" });
  });
});
