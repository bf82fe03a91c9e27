import { beforeEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { findRunningSystem } from "../../../src/sysroot/running-system.ts";
import { readText, writeProc, writeText } from "../../builders/running-machine.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const hex = "ab".repeat(64);
const physical = fromText("/sysroot");

let linux: FakeLinux;
beforeEach(() => {
  linux = new FakeLinux({ mountPoints: [{ path: "/sysroot" }] });
  for (const name of ["state", "state/deploy", `state/deploy/${hex}`])
    linux.files.makeDirectory(fromText(`/sysroot/${name}`), 0o755);
  writeProc(linux, `composefs:${hex}`, "root=UUID=1 osdeploy.entry=osdeploy-000004");
});

test("findRunningSystem: tells what runs, and where the boot partition is", () => {
  expect(findRunningSystem(linux.files, physical)).toEqual({
    booted: {
      rootImage: hex,
      entryId: "osdeploy-000004",
      counted: false,
      triesLeft: undefined,
      kernelArguments: "root=UUID=1 osdeploy.entry=osdeploy-000004",
    },
    bootMount: {
      ...{ device: "254:1", directory: "/", subvolume: undefined },
      ...{ mountPoint: "/boot", type: "vfat", source: "/dev/vda1", readOnly: false },
    },
  });
});

test("findRunningSystem: systemd-boot's own variable tells that it counted", () => {
  const directory = "/sys/firmware/efi/efivars";
  directory.split("/").forEach((_, index, names) => {
    if (index > 0) linux.files.makeDirectory(fromText(names.slice(0, index + 1).join("/")), 0o755);
  });
  linux.files.writeNewFile(
    fromText(`${directory}/LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f`),
    Buffer.concat([Buffer.alloc(4), Buffer.from("\\loader\\entries\\osdeploy-000004+2-1.conf\0", "utf16le")]),
    0o644,
  );
  expect(findRunningSystem(linux.files, physical)?.booted.counted).toBe(true);
  writeProc(linux, `composefs:${hex}`, "root=UUID=1 osdeploy.entry=osdeploy-000005");
  expect(findRunningSystem(linux.files, physical)?.booted.counted).toBe(false);
});

test("findRunningSystem: reads a mebibyte of the command line, and more is an error", () => {
  const path = "/proc/cmdline";
  const cmdline = readText(linux, path);
  writeText(linux, path, cmdline.padEnd(1024 * 1024, "x"));
  expect(findRunningSystem(linux.files, physical)?.booted.rootImage).toBe(hex);
  writeText(linux, path, cmdline.padEnd(1024 * 1024 + 1, "x"));
  const tooLong = expect.objectContaining({ code: "limit-exceeded" });
  expect(() => findRunningSystem(linux.files, physical)).toThrow(tooLong);
});

test("findRunningSystem: another directory is not what runs, nor one that is not there", () => {
  linux.files.makeDirectory(fromText("/other"), 0o755);
  expect(findRunningSystem(linux.files, fromText("/other"))).toBeUndefined();
  expect(findRunningSystem(linux.files, fromText("/none"))).toBeUndefined();
});

test("findRunningSystem: a machine with another root does not run from a disk that it has at /sysroot", () => {
  writeProc(linux, "/dev/vda2", `composefs=${hex}`);
  expect(findRunningSystem(linux.files, physical)).toBeUndefined();
});

test("findRunningSystem: nor does one whose deployment is not there", () => {
  writeProc(linux, `composefs:${"cd".repeat(64)}`, "");
  expect(findRunningSystem(linux.files, physical)).toBeUndefined();
});

test("findRunningSystem: without /proc nothing is known to run", () => {
  linux.files.unlink(fromText("/proc/self/mountinfo"));
  expect(findRunningSystem(linux.files, physical)).toBeUndefined();
});

test("findRunningSystem: does not take a broken disk for a machine without /proc", () => {
  linux.files.unlink(fromText("/proc/cmdline"));
  linux.files.makeDirectory(fromText("/proc/cmdline"), 0o755);
  expect(() => findRunningSystem(linux.files, physical)).toThrow(expect.objectContaining({ code: "system" }));
});
