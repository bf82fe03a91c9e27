import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { mountedPlace, partitionType } from "../../../src/disk/mounted-place.ts";
import type { Path } from "../../../src/linux/linux.ts";
import { putMounts, toolsThatSay } from "../../builders/tool-runs.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

function machine(uuid: string): FakeLinux {
  const linux = new FakeLinux({
    runProgram: toolsThatSay((words) => (words.at(-1) === "/dev/sda2" ? `${uuid}\n` : "")),
  });
  putMounts(linux, [
    { at: "/", type: "overlay", source: "overlay" },
    { at: "/mnt/target", type: "ext4", source: "/dev/sda2" },
  ]);
  return linux;
}

test("mountedPlace: tells type, device and UUID of what is mounted there", () => {
  const found = { type: "ext4", source: "/dev/sda2", uuid: "abc" };
  for (const path of ["/mnt/target", "/mnt/target/", "//mnt/./x/../target"]) {
    expect(mountedPlace(machine("abc"), fromText(path))).toEqual(found);
  }
  expect(mountedPlace(machine(""), fromText("/mnt/target"))).toEqual({ ...found, uuid: undefined });
});

test("mountedPlace: finds nothing where nothing is mounted, and no UUID for what is no device", () => {
  expect(mountedPlace(machine("abc"), fromText("/mnt"))).toBeUndefined();
  expect(mountedPlace(machine("abc"), fromText("/"))).toEqual({ type: "overlay", source: "overlay", uuid: undefined });
});

test("mountedPlace: looks at the place first, so that an automount that waits for that is mounted", () => {
  const linux = machine("abc");
  putMounts(linux, [{ at: "/boot", type: "autofs", source: "systemd-1" }]);
  const { lstatIfExists } = linux.files;
  Object.assign(linux.files, {
    lstatIfExists: (path: Path) => {
      const boot = { at: "/boot", type: "vfat", source: "/dev/sda1" };
      if (path === "/boot/.")
        putMounts({ files: { ...linux.files, lstatIfExists } }, [{ ...boot, type: "autofs" }, boot]);
      return lstatIfExists(path);
    },
  });
  expect(mountedPlace(linux, fromText("/boot"))).toMatchObject({ type: "vfat", source: "/dev/sda1" });
});

test("mountedPlace: a relative path starts at the working directory", () => {
  const linux = machine("abc");
  linux.files.symlink(fromText("/mnt"), fromText("/proc/self/cwd"));
  expect(mountedPlace(linux, fromText("target"))).toMatchObject({ type: "ext4" });
});

test("partitionType: what the partition table says, in small letters; nothing of what is no partition", () => {
  const type = "BC13C2FF-59E6-4262-A352-B275FD6F7172";
  const typed = (said: string) => {
    const runProgram = toolsThatSay((words) => (words.includes("PART_ENTRY_TYPE") ? said : "uuid\n"));
    return new FakeLinux({ runProgram });
  };
  const place = { type: "vfat", source: "/dev/sda1", uuid: "uuid" };
  expect(partitionType(typed(`${type}\n`), place)).toBe("bc13c2ff-59e6-4262-a352-b275fd6f7172");
  expect(partitionType(typed("\n"), place)).toBeUndefined();
  expect(partitionType(typed(`${type}\n`), { ...place, source: "overlay" })).toBeUndefined();
});
