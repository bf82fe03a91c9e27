import { describe, expect, test } from "vitest";
import { bootedRoot, isSoftRebooted, mountAt, mountPointsBelow } from "../../../../src/core/deployment/booted-root.ts";

const hex = "ab".repeat(64);
const mounts = (source: string) =>
  [
    "22 1 0:20 / / rw,relatime shared:1 - rootfs none rw",
    `23 22 0:21 / / ro,relatime shared:1 master:2 - overlay ${source} ro,lowerdir+=x`,
    "24 23 254:1 / /boot rw,nosuid - vfat /dev/vda1 rw",
    "25 23 254:1 / /mnt/a\\040b ro - ext4 /dev/with\\134x rw",
    "no mount at all",
    "",
  ].join("\n");

describe("mountAt", () => {
  test("finds the topmost mount, with names as they are", () => {
    expect(mountAt(mounts("composefs:x"), "/")).toEqual({
      device: "0:21",
      directory: "/",
      subvolume: undefined,
      mountPoint: "/",
      type: "overlay",
      source: "composefs:x",
      readOnly: true,
    });
    expect(mountAt(mounts("x"), "/boot")).toMatchObject({ type: "vfat", source: "/dev/vda1", readOnly: false });
    expect(mountAt(mounts("x"), "/mnt/a b")).toMatchObject({ source: "/dev/with\\x", readOnly: true });
  });

  test("takes all bytes of a name but blanks, and no source for one", () => {
    // What JavaScript calls white space: the second byte of an à, and two controls that the kernel writes as they are.
    const name = "/mnt/\u00c3\u00a0\u000b\r";
    const mountinfo = `30 23 0:30 / ${name} rw shared:1 - tmpfs ${name} rw\n31 23 0:31 / /run rw - tmpfs  rw\n`;
    expect(mountAt(mountinfo, name)).toMatchObject({ type: "tmpfs", source: name });
    expect(mountAt(mountinfo, "/run")).toMatchObject({ type: "tmpfs", source: "" });
  });

  test("finds a mount whose options hold a carriage return, which the kernel writes as it is", () => {
    const overlay = "30 23 0:30 / /a rw - overlay x rw,lowerdir=/low\rer";
    const btrfs = "31 23 0:31 /@\r /b rw - btrfs /dev/x rw,subvol=/@\r";
    expect(mountAt(`${overlay}\n${btrfs}\n`, "/a")).toMatchObject({ type: "overlay" });
    expect(mountAt(`${overlay}\n${btrfs}\n`, "/b")).toMatchObject({ directory: "/@\r", subvolume: "/@\r" });
  });

  test("tells what of a file system is mounted, and which subvolume of btrfs", () => {
    const lines = [
      "30 23 0:30 /@ /a rw - btrfs /dev/x rw,ssd,subvolid=256,subvol=/@",
      "31 23 0:30 /@/b\\040c /b rw shared:1 - btrfs /dev/x rw,subvolid=256,subvol=/@,x",
      "32 23 8:1 /d /c rw - ext4 /dev/y rw,nosubvol=/x",
    ].join("\n");
    expect(mountAt(lines, "/a")).toMatchObject({ directory: "/@", subvolume: "/@" });
    expect(mountAt(lines, "/b")).toMatchObject({ directory: "/@/b c", subvolume: "/@,x" });
    expect(mountAt(lines, "/c")).toMatchObject({ directory: "/d", subvolume: undefined });
  });

  test("a directory that is no mount point has none", () => {
    expect(mountAt(mounts("x"), "/sysroot")).toBeUndefined();
  });
});

test("mountPointsBelow: gives those below a directory, the last one first, and not the directory itself", () => {
  const lines = ["/a", "/a/b", "/a/b/c\\040d", "/ab", "/a/b"].map((at) => `25 23 254:1 / ${at} rw - ext4 /dev/x rw`);
  expect(mountPointsBelow(lines.join("\n"), "/a")).toEqual(["/a/b", "/a/b/c d", "/a/b"]);
  expect(mountPointsBelow("no mount at all", "/a")).toEqual([]);
});

describe("bootedRoot", () => {
  test("tells root image, entry, counter and kernel arguments", () => {
    const cmdline = `BOOT_IMAGE=/vmlinuz initrd=\\x root=UUID=1 rw composefs=${hex} osdeploy.entry=osdeploy-000012 osdeploy.tries=2\n`;
    expect(bootedRoot(mounts(`composefs:${hex}`), cmdline)).toEqual({
      rootImage: hex,
      entryId: "osdeploy-000012",
      counted: false,
      triesLeft: 2,
      kernelArguments: `root=UUID=1 rw composefs=${hex} osdeploy.entry=osdeploy-000012 osdeploy.tries=2`,
    });
  });

  test("knows bootc's root that forgets, and a command line without us", () => {
    expect(bootedRoot(mounts(`transient:composefs=${hex}`), "quiet")).toEqual({
      rootImage: hex,
      entryId: undefined,
      counted: false,
      triesLeft: undefined,
      kernelArguments: "quiet",
    });
  });

  test.each([
    ["\\loader\\entries\\osdeploy-000012+2-1.conf", "osdeploy.entry=osdeploy-000012", true],
    ["\\loader\\entries\\osdeploy-000011+2-1.conf", "osdeploy.entry=osdeploy-000012", false],
    ["\\loader\\entries\\osdeploy-000012+2-1.conf", "quiet", false],
    ["", "osdeploy.entry=osdeploy-000012", false],
  ])("the firmware says that %s was counted, after %s: %s", (path, cmdline, counted) => {
    expect(bootedRoot(mounts(`composefs:${hex}`), cmdline, path)?.counted).toBe(counted);
  });

  test.each(["/dev/vda2", "composefs:xyz", `composefs:${hex}00`])("a root from %s is none of ours", (source) => {
    expect(bootedRoot(mounts(source), `composefs=${hex}`)).toBeUndefined();
  });

  test("nor is one without any mount", () => {
    expect(bootedRoot("", "")).toBeUndefined();
  });
});

test.each([
  [`rw composefs=${hex}`, false],
  [`rw composefs=?${hex}`, false],
  [`rw composefs=${"cd".repeat(64)}`, true],
  ["rw", false],
])("isSoftRebooted: with the kernel arguments %s", (cmdline, expected) => {
  const booted = bootedRoot(mounts(`composefs:${hex}`), cmdline);
  expect(booted && isSoftRebooted(booted)).toBe(expected);
});
