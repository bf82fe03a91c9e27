import { mkdirSync, mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { type InstallToDiskRequest, installToDisk } from "../../src/operations/install-to-disk.ts";
import { buildInstallImage } from "../builders/install-images.ts";
import { linuxAmd64, systemOn } from "../builders/operation-machine.ts";
import { placeLayout } from "../builders/os-images.ts";
import { findTool, isRoot } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";

const mebibyte = 1024 * 1024;
const tools = ["mkfs.ext4", "debugfs", "mkfs.xfs", "mkfs.vfat", "mcopy", "mdir", "fsck.vfat", "sfdisk", "losetup"];
const missing = tools.filter((name) => findTool(name) === undefined);

describe.skipIf(!isRoot || missing.length > 0)(
  `install to-disk on a disk with sectors of 4096 bytes (as root${missing.length > 0 ? `, missing: ${missing.join(", ")}` : ""})`,
  () => {
    let top: string;
    const linux = openLinux();
    const place = (name: string) => join(top, name);
    beforeAll(async () => {
      top = mkdtempSync(join(tmpdir(), "osdeploy-install-"));
      placeLayout(linux.files, fromText(place("layout")), { os: await buildInstallImage() });
      mkdirSync(place("mounted"));
    });
    afterAll(() => rmSync(top, { recursive: true }));
    beforeEach(() => {
      writeFileSync(place("disk"), "");
      truncateSync(place("disk"), 800 * mebibyte);
    });

    /** Runs `use` with a loop device of large sectors, of the whole disk or a part of it. */
    async function withLoop<T>(words: readonly string[], use: (device: string) => T | Promise<T>): Promise<T> {
      const { stdout } = run("losetup", ["--sector-size", "4096", "-f", "--show", ...words, place("disk")]);
      const device = stdout.trim();
      try {
        return await use(device);
      } finally {
        run("losetup", ["-d", device]);
      }
    }

    async function install(device: string, changes: Partial<InstallToDiskRequest>) {
      return await installToDisk(systemOn(linux), {
        image: parseImageReference(`oci:${place("layout")}:os`),
        platform: linuxAmd64,
        source: { environment: { variables: {}, userId: 0 } },
        targetImage: undefined,
        kernelArguments: [],
        bootloader: "systemd-boot",
        rootKeys: undefined,
        allowMissingVerity: true,
        target: fromText(device),
        wipe: true,
        format: "raw",
        diskBytes: undefined,
        bootBytes: 300 * mebibyte,
        rootBytes: undefined,
        randomUuids: false,
        ...changes,
      });
    }

    test.each(["ext4", "xfs"] as const)("the kernel mounts a root of %s from it", async (fileSystem) => {
      await withLoop([], async (device) => {
        await install(device, { fileSystem });
        expect(run("sfdisk", ["-V", device]).stdout).toContain("No errors detected");
      });
      const names = await withLoop(["-o", "301M", "--sizelimit", "498M"], (device) => {
        expect(run("mount", ["-o", "ro", device, place("mounted")])).toMatchObject({ status: 0 });
        try {
          return readdirSync(place("mounted"));
        } finally {
          run("umount", [place("mounted")]);
        }
      });
      expect(names).toEqual(expect.arrayContaining(["boot", "composefs", "state"]));
    });

    // The kernel refuses a FAT whose sectors are smaller than those of the disk: "logical sector size too small for device".
    test.each([
      [300, 32],
      [100, 16],
    ])(
      "its boot partition of %i MiB has sectors that the kernel takes, and is a FAT of %i bits",
      async (size, bits) => {
        await withLoop([], (device) => install(device, { bootBytes: size * mebibyte }));
        const checked = await withLoop(["-o", "1M", "--sizelimit", `${size}M`], (device) =>
          run("fsck.vfat", ["-n", "-v", device]),
        );
        expect(checked).toMatchObject({ status: 0, stdout: expect.stringContaining(" 4096 bytes per logical sector") });
        expect(checked.stdout).toContain(` ${bits} bit entries`);
        expect(run("mdir", ["-b", "-i", `${place("disk")}@@1M`, "::"]).stdout).toContain("::/osdeploy/");
      },
    );
  },
);
