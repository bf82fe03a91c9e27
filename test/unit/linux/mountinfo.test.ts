import { expect, test } from "vitest";
import { readMountinfo } from "../../../src/linux/mountinfo.ts";
import { writeProc, writeText } from "../../builders/running-machine.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

test("readMountinfo: reads 16 MiB of mounts, and more are an error", () => {
  const linux = new FakeLinux();
  expect(() => readMountinfo(linux.files)).toThrow(expect.objectContaining({ code: "not-found" }));
  writeProc(linux, "/dev/vda2", "");
  const write = (bytes: number) => writeText(linux, "/proc/self/mountinfo", "x".repeat(bytes));
  write(16 * 1024 * 1024);
  expect(readMountinfo(linux.files)).toHaveLength(16 * 1024 * 1024);
  write(16 * 1024 * 1024 + 1);
  expect(() => readMountinfo(linux.files)).toThrow(expect.objectContaining({ code: "limit-exceeded" }));
});
