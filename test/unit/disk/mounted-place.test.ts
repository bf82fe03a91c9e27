import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { mountedPlace, partitionType } from "../../../src/disk/mounted-place.ts";
import type { Path } from "../../../src/linux/linux.ts";
import { putFile, putMounts, toolsThatSay } from "../../builders/tool-runs.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

function machine(uuid: string): FakeLinux {
  const linux = new FakeLinux({
    runProgram: toolsThatSay((words) => (words.at(-1) === "/dev/sda2" ? `${uuid}\n` : "")),
  });
  putMounts(linux, [
    { at: "/", type: "overlay", source: "overlay" },
    { at: "/mnt/target", type: "ext4", source: "/dev/sda2" },
  ]);
  for (const path of ["/boot", "/mnt", "/mnt/x", "/mnt/target"]) linux.files.makeDirectory(fromText(path), 0o755);
  return linux;
}

test("mountedPlace: tells type, device and UUID of what is mounted there", () => {
  const found = { type: "ext4", source: "/dev/sda2", directory: "/", subvolume: undefined, uuid: "abc" };
  for (const path of ["/mnt/target", "/mnt/target/", "//mnt/./x/../target"]) {
    expect(mountedPlace(machine("abc"), fromText(path))).toEqual(found);
  }
  expect(mountedPlace(machine(""), fromText("/mnt/target"))).toEqual({ ...found, uuid: undefined });
});

test("mountedPlace: finds nothing where nothing is mounted, and no UUID for what is no device", () => {
  expect(mountedPlace(machine("abc"), fromText("/mnt"))).toBeUndefined();
  expect(mountedPlace(machine("abc"), fromText("/none"))).toBeUndefined();
  expect(mountedPlace(machine("abc"), fromText("/"))).toMatchObject({ type: "overlay", uuid: undefined });
});

test("mountedPlace: finds what is mounted where a symlink leads", () => {
  const linux = machine("abc");
  linux.files.symlink(fromText("target"), fromText("/mnt/link"));
  expect(mountedPlace(linux, fromText("/mnt/link"))).toMatchObject({ source: "/dev/sda2", uuid: "abc" });
});

test("mountedPlace: tells what part of its file system a mount is", () => {
  const linux = machine("abc");
  const mount = "30 1 0:40 /@sys\\040tem /mnt rw - btrfs /dev/sda2 rw,ssd,subvolid=256,subvol=/@sys\\040tem\n";
  putFile(linux.files, "/proc/self/mountinfo", mount);
  const found = { type: "btrfs", source: "/dev/sda2", directory: "/@sys tem", subvolume: "/@sys tem", uuid: "abc" };
  expect(mountedPlace(linux, fromText("/mnt"))).toEqual(found);
});

test("mountedPlace: what a kernel without an initramfs calls /dev/root has a device all the same", () => {
  const linux = machine("abc");
  putMounts(linux, [{ at: "/", number: "8:2", type: "ext4", source: "/dev/root" }]);
  expect(mountedPlace(linux, fromText("/"))).toMatchObject({ source: "/dev/root", uuid: undefined });
  putFile(linux.files, "/sys/dev/block/8:2/uevent", "MAJOR=8\nMINOR=2\nDEVNAME=sda2\nDEVTYPE=partition\n");
  expect(mountedPlace(linux, fromText("/"))).toMatchObject({ source: "/dev/sda2", uuid: "abc" });
  // Other names are what the administrator knows.
  putMounts(linux, [{ at: "/", number: "8:2", type: "ext4", source: "/dev/mapper/root" }]);
  expect(mountedPlace(linux, fromText("/"))).toMatchObject({ source: "/dev/mapper/root" });
});

test("mountedPlace: asks blkid for the UUID that is on the device itself", () => {
  const linux = new FakeLinux({
    runProgram: toolsThatSay((words) => {
      expect(words.join(" ")).toBe("blkid --probe --output value --match-tag UUID /dev/sda1");
      return "abc\n";
    }),
  });
  putMounts(linux, [{ at: "/", type: "ext4", source: "/dev/sda1" }]);
  expect(mountedPlace(linux, fromText("/"))).toMatchObject({ uuid: "abc" });
});

test.each([
  ["", undefined],
  [
    "blkid: error: /dev/sda1: Input/output error\n",
    "Cannot install: blkid failed with status 2: blkid: error: /dev/sda1: Input/output error",
  ],
])(
  "mountedPlace: a file system that blkid does not know has no UUID, one that it cannot read is an error (%j)",
  (stderr, message) => {
    const stdout = new Uint8Array();
    const linux = new FakeLinux({ runProgram: () => ({ status: 2, stdout, stderr }) });
    putMounts(linux, [{ at: "/", type: "bcachefs", source: "/dev/sda1" }]);
    const place = () => mountedPlace(linux, fromText("/"));
    if (message === undefined) expect(place()).toMatchObject({ source: "/dev/sda1", uuid: undefined });
    else expect(place).toThrow(message);
  },
);

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

test("partitionType: what the partition table says, in small letters; nothing of what is no partition", () => {
  const type = "BC13C2FF-59E6-4262-A352-B275FD6F7172";
  const typed = (said: string) => {
    const runProgram = toolsThatSay((words) => (words.includes("PART_ENTRY_TYPE") ? said : "uuid\n"));
    return new FakeLinux({ runProgram });
  };
  const place = { type: "vfat", source: "/dev/sda1", directory: "/", subvolume: undefined, uuid: "uuid" };
  expect(partitionType(typed(`${type}\n`), place)).toBe("bc13c2ff-59e6-4262-a352-b275fd6f7172");
  expect(partitionType(typed("\n"), place)).toBeUndefined();
  expect(partitionType(typed(`${type}\n`), { ...place, source: "overlay" })).toBeUndefined();
});
