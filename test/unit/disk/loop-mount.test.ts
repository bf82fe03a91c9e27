import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { withLoopMount } from "../../../src/disk/loop-mount.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

function machine(failing: string): FakeLinux {
  const runProgram = (words: readonly string[]) => {
    const isFailing = words[0] === failing;
    return { status: isFailing ? 32 : 0, stdout: new Uint8Array(), stderr: isFailing ? `${failing}: refused` : "" };
  };
  return new FakeLinux({ runProgram });
}

const mountIn = (linux: FakeLinux) => () => withLoopMount(linux, fromText("/root.img"), (top) => top);

test("withLoopMount: its mount point is there for as long as something is mounted", () => {
  const linux = machine("none");
  expect(mountIn(linux)()).toBe("/root.img.mounted");
  expect(linux.files.readDirectory(fromText("/"))).toEqual([]);
});

test("withLoopMount: tells what mount says, and leaves nothing", () => {
  const linux = machine("mount");
  expect(mountIn(linux)).toThrow("Cannot install: mount failed with status 32: mount: refused");
  expect(linux.files.readDirectory(fromText("/"))).toEqual([]);
});

test("withLoopMount: tells what umount says, and leaves what is still mounted where it is", () => {
  const linux = machine("umount");
  expect(mountIn(linux)).toThrow("Cannot install: umount failed with status 32: umount: refused");
  expect(linux.files.readDirectory(fromText("/"))).toEqual(["root.img.mounted"]);
});
