import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { openLocked } from "../../../src/linux/locked-directory.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const path = fromText("/run-of-one");

function machine(): FakeLinux {
  const linux = new FakeLinux();
  linux.files.makeDirectory(path, 0o700);
  return linux;
}

test("openLocked: one has it at a time, and nobody what is not there", () => {
  const { files } = machine();
  const fd = openLocked(files, path, { wait: false });
  expect(fd).toBeDefined();
  expect(openLocked(files, path, { wait: false })).toBeUndefined();
  if (fd !== undefined) files.close(fd);
  expect(openLocked(files, path, { wait: false })).toBeDefined();
  expect(openLocked(files, fromText("/gone"), { wait: true })).toBeUndefined();
});

test.each(["removed", "made anew"])(
  "openLocked: a directory that was %s before the lock came is not taken",
  (state) => {
    const { files } = machine();
    const slow: LinuxFiles = {
      ...files,
      lock: (...given) => {
        files.removeDirectory(path);
        if (state === "made anew") files.makeDirectory(path, 0o700);
        return files.lock(...given);
      },
    };
    expect(openLocked(slow, path, { wait: true })).toBeUndefined();
  },
);
