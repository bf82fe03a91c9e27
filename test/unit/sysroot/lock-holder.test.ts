import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { lockHolder } from "../../../src/sysroot/lock-holder.ts";
import { writeProc, writeText } from "../../builders/running-machine.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

function machine(locks: string, cmdline?: string): FakeLinux {
  const linux = new FakeLinux();
  writeProc(linux, "/dev/vda2", "");
  writeText(linux, "/proc/locks", locks);
  linux.files.makeDirectory(fromText("/proc/77"), 0o755);
  if (cmdline !== undefined) writeText(linux, "/proc/77/cmdline", cmdline);
  return linux;
}

const held =
  "1: POSIX  ADVISORY  WRITE 5 fe:00:42 0 EOF\n2: -> FLOCK  ADVISORY  WRITE 6 fe:00:42 0 EOF\n3: FLOCK  ADVISORY  WRITE 77 fe:00:42 0 EOF\n";
const file = { identity: "65024:42" };

test.each([
  ["/usr/bin/node\0/usr/bin/osdeploy\0upgrade\0--apply\0", "osdeploy upgrade (process 77)"],
  ["node\0/usr/bin/osdeploy\0switch\0os:1\0--creds\0admin:s3cr3t\0", "osdeploy switch os:1 (process 77)"],
  ["/usr/bin/osdeploy\0--creds=admin:s3cr3t\0switch\0os:1\0", "osdeploy (process 77)"],
  ["node\0/usr/lib/osdeploy/dist/cli/main.js\0gc\0", "osdeploy gc (process 77)"],
  ["flock\0/sysroot/state\0", "flock /sysroot/state (process 77)"],
  ["", "process 77"],
  [undefined, "process 77"],
])("lockHolder: a holder whose command line is %j", (cmdline, expected) => {
  expect(lockHolder(machine(held, cmdline).files, file)).toBe(expected);
});

test("lockHolder: unknown where the kernel lists nobody, or lists nothing", () => {
  expect(lockHolder(machine(held).files, { identity: "65024:43" })).toBeUndefined();
  expect(lockHolder(new FakeLinux().files, file)).toBeUndefined();
});

test.each([
  [4 * 1024 * 1024, "process 77"],
  [4 * 1024 * 1024 + 1, undefined],
])("lockHolder: the locks of the kernel are read up to 4 MiB; these are %i bytes", (bytes, expected) => {
  expect(lockHolder(machine(held.padEnd(bytes, "x")).files, file)).toBe(expected);
});

test("lockHolder: a long command line is cut", () => {
  expect(lockHolder(machine(held, `osdeploy\0switch\0${"x".repeat(500)}`).files, file)?.length).toBeLessThan(150);
});
