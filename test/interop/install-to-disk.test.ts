import { createHash } from "node:crypto";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { Linux } from "../../src/linux/linux.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import {
  type InstallToDiskRequest,
  type InstallToDiskResult,
  installToDisk,
} from "../../src/operations/install-to-disk.ts";
import { buildImageWithKernel, buildInstallImage } from "../builders/install-images.ts";
import { linuxAmd64, SeenProgress, systemOn } from "../builders/operation-machine.ts";
import { content, placeLayout } from "../builders/os-images.ts";
import { findTool, isRoot } from "../tools/find-tool.ts";
import { copyProgram, osdeployCommand, run } from "../tools/run-cli.ts";

const mebibyte = 1024 * 1024;
const tools = [
  "mkfs.ext4",
  "debugfs",
  "e2fsck",
  "mkfs.vfat",
  "mmd",
  "mcopy",
  "mtype",
  "mdir",
  "fsck.vfat",
  "sgdisk",
  "sfdisk",
  "qemu-img",
];
const missing = tools.filter((name) => findTool(name) === undefined);

describe.skipIf(missing.length > 0)(
  `install to-disk${missing.length > 0 ? ` (missing: ${missing.join(", ")})` : ""}`,
  () => {
    let top: string;
    let folder: string;
    const linux = openLinux();

    beforeAll(async () => {
      top = mkdtempSync(join(tmpdir(), "osdeploy-install-"));
      placeLayout(linux.files, fromText(join(top, "layout")), {
        os: await buildInstallImage(),
        unbootable: await buildInstallImage({ without: ["usr/lib/modules"] }),
        loaderless: await buildInstallImage({ without: ["usr/lib/systemd/boot"] }),
        older: await buildImageWithKernel("6.1.0"),
        old: await buildImageWithKernel("6.5.13"),
        bare: await buildInstallImage({
          changes: [
            { path: "usr/lib/modules/6.12.1-test/modules.builtin", content: "kernel/fs/ext4/ext4.ko\n" },
            { path: "usr/lib/modules/6.12.1-test/modules.dep", content: "kernel/fs/overlayfs/overlay.ko.xz:\n" },
          ],
        }),
      });
    });
    afterAll(() => rmSync(top, { recursive: true }));
    beforeEach(() => {
      folder = mkdtempSync(join(top, "case-"));
    });

    const place = (name: string) => join(folder, name);
    const tag = (name: string) => parseImageReference(`oci:${join(top, "layout")}:${name}`);

    function requestFor(target: string, changes: Partial<InstallToDiskRequest> = {}): InstallToDiskRequest {
      return {
        image: tag("os"),
        platform: linuxAmd64,
        source: { environment: { variables: {}, userId: 0 } },
        targetImage: undefined,
        kernelArguments: [],
        bootloader: "systemd-boot",
        rootKeys: undefined,
        allowMissingVerity: false,
        target: fromText(target),
        wipe: false,
        format: "raw",
        diskBytes: 300 * mebibyte,
        bootBytes: 40 * mebibyte,
        rootBytes: undefined,
        randomUuids: false,
        ...changes,
      };
    }

    async function install(
      name: string,
      changes: Partial<InstallToDiskRequest> = {},
      machine: Linux = linux,
    ): Promise<InstallToDiskResult> {
      return await installToDisk(systemOn(machine), requestFor(place(name), changes));
    }

    async function refusal(name: string, changes: Partial<InstallToDiskRequest>, machine?: Linux): Promise<string> {
      try {
        await install(name, changes, machine);
      } catch (error) {
        if (error instanceof OsdeployError) return `${error.code}: ${error.message}`;
        throw error;
      }
      return "nothing was refused";
    }

    const digest = (name: string) =>
      createHash("sha256")
        .update(readFileSync(place(name)))
        .digest("hex");
    const judge = (program: string, ...args: readonly string[]) => run(findTool(program) ?? program, args);
    /** The root file system, as debugfs and e2fsck take it; the boot partition has 40 MiB. */
    const root = (name: string) => `${place(name)}?offset=${41 * mebibyte}`;
    const debugfs = (name: string, request: string) => judge("debugfs", "-R", request, root(name)).stdout;
    const onEsp = (name: string, path: string) => judge("mtype", "-i", `${place(name)}@@1M`, `::${path}`).stdout;

    test("makes a disk that the tools of each of its parts find right", async () => {
      await install("disk");
      expect(judge("sgdisk", "-v", place("disk")).stdout).toContain("No problems found");
      expect(judge("sfdisk", "-V", place("disk")).stdout).toContain("No errors detected");
      expect(judge("e2fsck", "-fn", root("disk")).status).toBe(0);
      const esp = place("esp");
      writeFileSync(esp, readFileSync(place("disk")).subarray(mebibyte, 41 * mebibyte));
      expect(judge("fsck.vfat", "-n", esp).status).toBe(0);
      const table = judge("sfdisk", "--json", place("disk")).stdout;
      expect(JSON.parse(table)).toMatchObject({
        partitiontable: {
          label: "gpt",
          partitions: [
            { start: 2048, size: 40 * 2048, type: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", name: "esp" },
            { start: 41 * 2048, size: 258 * 2048, type: "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", name: "root" },
          ],
        },
      });
    });

    test("leaves nothing behind but the disk", async () => {
      await install("disk");
      expect(readdirSync(folder)).toEqual(["disk"]);
    });

    test("the loader, the kernel and an entry that is not counted are on the boot partition", async () => {
      const { rootImage, rootUuid, bootUuid } = await install("disk", { kernelArguments: ["quiet", "console=ttyS0"] });
      expect(onEsp("disk", "/EFI/BOOT/BOOTX64.EFI")).toBe(content("systemd-boot", 9000));
      expect(onEsp("disk", "/EFI/systemd/systemd-bootx64.efi")).toBe(content("systemd-boot", 9000));
      const entry = onEsp("disk", "/loader/entries/osdeploy-000001.conf");
      const mount = `systemd.mount-extra=PARTUUID=${bootUuid}:/boot:vfat:umask=0077,nosuid,nodev,noexec,nofail`;
      const words = `root=UUID=${rootUuid} rw ${mount} quiet console=ttyS0 panic=30 composefs=${rootImage}`;
      expect(entry).toContain(`\noptions ${words} osdeploy.entry=osdeploy-000001\n`);
      const kernel = /^linux (.*)$/m.exec(entry)?.[1] ?? "";
      expect(onEsp("disk", kernel)).toBe(content("kernel", 30_000));
      expect(onEsp("disk", "/osdeploy/bootloader")).toBe("systemd-boot\n");
    });

    test("GRUB gets its configuration where the one file looks for it", async () => {
      await install("disk", { bootloader: "grub" });
      expect(onEsp("disk", "/EFI/BOOT/BOOTX64.EFI")).toBe(content("grub", 9000));
      const serial = /Volume Serial Number is (\S+)/.exec(
        judge("mdir", "-i", `${place("disk")}@@1M`, "::").stdout,
      )?.[1];
      for (const vendor of ["BOOT", "debian", "test"]) {
        expect(onEsp("disk", `/EFI/${vendor}/grub.cfg`)).toContain(`--fs-uuid ${serial}`);
      }
      expect(onEsp("disk", "/grub/grub.cfg")).toContain("osdeploy.cfg");
      expect(onEsp("disk", "/grub/osdeploy.cfg")).toContain("osdeploy-000001");
    });

    test("every object, and what says that the repo is secure, is sealed", async () => {
      await install("disk");
      expect(debugfs("disk", "stat /composefs/meta.json")).toMatch(/Flags: 0x180000[\s\S]*Size: 219\n/);
      const prefixes = debugfs("disk", "ls -p /composefs/objects").match(/\/([0-9a-f]{2})\/\//g) ?? [];
      expect(prefixes.length).toBeGreaterThan(5);
      for (const prefix of prefixes.map((found) => found.slice(1, 3))) {
        const names = debugfs("disk", `ls -p /composefs/objects/${prefix}`).match(/[0-9a-f]{126}/g) ?? [];
        for (const name of names) {
          expect(debugfs("disk", `stat /composefs/objects/${prefix}/${name}`)).toContain("Flags: 0x180000");
        }
      }
    });

    test("owners, modes, times and extended attributes of /etc and /var are those of the image", async () => {
      const { rootImage } = await install("disk");
      const etc = `/state/deploy/${rootImage}/etc`;
      expect(debugfs("disk", `stat "${etc}/odd ""name"" <12>"`)).toMatch(
        /Mode: {2}04711[\s\S]*User: 100000 {3}Group: 70000/,
      );
      expect(debugfs("disk", `stat ${etc}/shadow`)).toMatch(/Mode: {2}0640[\s\S]*Group: {4}42/);
      expect(debugfs("disk", `stat ${etc}/link`)).toContain('"../usr/lib/large"');
      expect(debugfs("disk", `ea_list ${etc}/tool`)).toContain("security.capability (20)");
      expect(debugfs("disk", `cat ${etc}/shadow`)).toBe(content("root:*\n"));
      expect(debugfs("disk", `stat ${etc}/empty`)).toContain("Size: 0\n");
      expect(debugfs("disk", "stat /state/os/default/var/lib/state")).toMatch(/User: {5}7 [\s\S]*mtime: 0x499602d2:/);
      expect(debugfs("disk", `stat /state/deploy/${rootImage}/var`)).toContain('"../../os/default/var"');
      const origin = debugfs("disk", `cat /state/deploy/${rootImage}/${rootImage}.origin`);
      expect(origin).toContain(`container-image-reference=ostree-unverified-image:oci:${join(top, "layout")}:os`);
    });

    test("follows what it is told to, and lets root in with keys", async () => {
      writeFileSync(place("keys"), "ssh-ed25519 AAAA me\n");
      const targetImage = parseImageReference("docker://example.org/os:latest");
      const { rootImage } = await install("disk", { targetImage, rootKeys: fromText(place("keys")) });
      const state = `/state/deploy/${rootImage}`;
      expect(debugfs("disk", `cat ${state}/${rootImage}.origin`)).toContain("docker://example.org/os:latest");
      expect(debugfs("disk", `cat ${state}/etc/ssh/authorized_keys.d/root`)).toBe("ssh-ed25519 AAAA me\n");
      expect(debugfs("disk", `stat ${state}/etc/ssh/authorized_keys.d/root`)).toMatch(/Mode: {2}0600/);
    });

    test("the same image and options give the same bytes, unless chance is asked for", async () => {
      await install("one");
      await install("two");
      expect(digest("two")).toBe(digest("one"));
      await install("three", { randomUuids: true });
      expect(digest("three")).not.toBe(digest("one"));
    });

    test.skipIf(!isRoot || findTool("setpriv") === undefined)(
      "a user without rights makes the same bytes as root",
      () => {
        mkdirSync(place("user"), { mode: 0o777 });
        for (const path of [top, folder, place("user")]) run("chmod", ["0777", path]);
        const words = [
          ...["install", "to-disk", "--source-imgref", `oci:${join(top, "layout")}:os`],
          ...["--size", "300M", "--boot-size", "40M"],
        ];
        const program = copyProgram(place("program"));
        const user = ["--reuid=65534", "--regid=65534", "--clear-groups", "env", `HOME=${place("user")}`];
        const byUser = run("setpriv", [...user, ...program, ...words, join(place("user"), "disk")]);
        expect(byUser).toMatchObject({ status: 0 });
        const [node, ...rest] = osdeployCommand(...words);
        expect(run(node, [...rest, place("disk")])).toMatchObject({ status: 0 });
        expect(digest("user/disk")).toBe(digest("disk"));
      },
    );

    test("a qcow2 file holds the same disk", async () => {
      await install("raw");
      await install("qcow2", { format: "qcow2" });
      expect(judge("qemu-img", "check", place("qcow2")).status).toBe(0);
      expect(judge("qemu-img", "compare", "-f", "raw", "-F", "qcow2", place("raw"), place("qcow2")).stdout).toContain(
        "identical",
      );
      expect(readdirSync(folder).sort()).toEqual(["qcow2", "raw"]);
    });

    describe.skipIf(!isRoot || ["mkfs.btrfs", "mkfs.xfs"].some((name) => findTool(name) === undefined))(
      "a root of another file system (as root, with mkfs.btrfs and mkfs.xfs)",
      () => {
        const size = { diskBytes: 700 * mebibyte, allowMissingVerity: true };

        test.each(["btrfs", "xfs"] as const)("%s holds the same files, which nobody checks", async (fileSystem) => {
          const { rootImage, rootUuid } = await install("disk", { ...size, fileSystem });
          expect(onEsp("disk", "/loader/entries/osdeploy-000001.conf")).toContain(` composefs=?${rootImage} `);
          mkdirSync(place("mounted"));
          const options = `loop,ro,offset=${41 * mebibyte}`;
          expect(run("mount", ["-t", fileSystem, "-o", options, place("disk"), place("mounted")])).toMatchObject({
            status: 0,
          });
          try {
            const etc = `mounted/state/deploy/${rootImage}/etc`;
            expect(readFileSync(place(`${etc}/shadow`), "utf8")).toBe(content("root:*\n"));
            expect(lstatSync(place(`${etc}/odd "name" <12>`))).toMatchObject({
              uid: 100_000,
              gid: 70_000,
              mode: 0o104711,
            });
            expect(lstatSync(place("mounted/state/os/default/var/lib/state")).mtimeMs).toBe(1_234_567_890_000);
            const linked = readFileSync(place(`mounted/composefs/images/${rootImage}`));
            expect(verityDigest("sha512", linked)).toBe(rootImage);
          } finally {
            run("umount", [place("mounted")]);
          }
          const blkid = run("blkid", ["-p", "-O", String(41 * mebibyte), "-o", "value", "-s", "UUID", place("disk")]);
          expect(blkid.stdout.trim()).toBe(rootUuid);
          rmSync(place("mounted"), { recursive: true });
          expect(readdirSync(folder)).toEqual(["disk"]);
        });

        test("xfs is refused where files have to be checked", async () => {
          expect(await refusal("disk", { ...size, allowMissingVerity: false, fileSystem: "xfs" })).toBe(
            "unsupported: Cannot seal the files of the image: xfs has no fs-verity",
          );
          expect(readdirSync(folder)).toEqual([]);
        });
      },
    );

    describe.skipIf(!isRoot || findTool("losetup") === undefined)("a disk (as root, with a loop device)", () => {
      test("is refused while it holds something or is mounted, and with wipe becomes another", async () => {
        writeFileSync(place("old"), "");
        truncateSync(place("old"), 300 * mebibyte);
        judge("mkfs.ext4", "-q", "-F", place("old"));
        const before = digest("old");
        const device = run("losetup", ["-f", "--show", place("old")]).stdout.trim();
        mkdirSync(place("mounted"));
        try {
          const target = { target: fromText(device) };
          expect(await refusal("", target)).toBe(`already-exists: Cannot install to "${device}": it holds ext4`);
          expect(digest("old")).toBe(before);
          run("mount", ["-o", "ro,noload", device, place("mounted")]);
          expect(await refusal("", { ...target, wipe: true })).toContain(`it is mounted at ${place("mounted")}`);
          run("umount", [place("mounted")]);
          expect(digest("old")).toBe(before);
          await install("", { ...target, wipe: true, diskBytes: undefined });
        } finally {
          run("umount", [place("mounted")]);
          run("losetup", ["-d", device]);
        }
        expect(judge("sgdisk", "-v", place("old")).stdout).toContain("No problems found");
        expect(judge("e2fsck", "-fn", root("old")).status).toBe(0);
        expect(onEsp("old", "/osdeploy/bootloader")).toBe("systemd-boot\n");
      });
    });

    test("with wipe a file is replaced", async () => {
      writeFileSync(place("disk"), "something else");
      await install("disk", { wipe: true });
      expect(judge("sgdisk", "-v", place("disk")).stdout).toContain("No problems found");
    });

    test.each<[string, Partial<InstallToDiskRequest>, string]>([
      ["a file that is there", {}, "already-exists: "],
      ["a disk that no image fits on", { wipe: true, diskBytes: 100 * mebibyte }, "usage: Cannot install: "],
      ["a boot partition too small for files", { wipe: true, bootBytes: mebibyte }, "usage: Cannot install: "],
      ["a boot partition that is too small", { wipe: true, bootBytes: 2.1 * mebibyte }, "no-space: "],
      ["keys that are none", { wipe: true, rootKeys: fromText("/dev/null") }, "bad-format: "],
      ["another architecture", { wipe: true, platform: { ...linuxAmd64, architecture: "riscv64" } }, "unsupported: "],
    ])("refuses %s, and leaves the file as it was", async (_, changes, message) => {
      writeFileSync(place("disk"), "precious");
      expect(await refusal("disk", changes)).toContain(message);
      expect(readFileSync(place("disk"), "utf8")).toBe("precious");
      expect(readdirSync(folder)).toEqual(["disk"]);
    });

    test.each([
      ["unbootable", "not-bootable: Cannot boot this image"],
      ["loaderless", "not-bootable: Cannot install this image: it has no boot loader"],
      ["old", "not-bootable: Cannot install this image: its kernel is 6.5.13"],
      ["older", "not-bootable: Cannot install this image: its kernel is 6.1.0"],
      ["bare", "not-bootable: Cannot install this image: its kernel 6.12.1-test has no erofs"],
    ])("refuses an image that cannot do it: %s", async (name, message) => {
      writeFileSync(place("disk"), "precious");
      expect(await refusal("disk", { image: tag(name), wipe: true })).toContain(message);
      expect(readFileSync(place("disk"), "utf8")).toBe("precious");
      expect(readdirSync(folder)).toEqual(["disk"]);
    });

    test("an old kernel is installed where nothing has to be checked, with a warning", async () => {
      const progress = new SeenProgress();
      const request = requestFor(place("disk"), { image: tag("old"), allowMissingVerity: true });
      await installToDisk(systemOn(linux, { progress: progress.report }), request);
      expect(progress.warnings).toEqual([
        expect.stringContaining("layout:old, which is a path of this machine"),
        expect.stringContaining("kernel 6.5.13 cannot check files"),
      ]);
      expect(onEsp("disk", "/loader/entries/osdeploy-000001.conf")).toContain(" composefs=?");
      expect(await refusal("other", { image: tag("older"), allowMissingVerity: true })).toContain("not-bootable: ");
    });

    test.each(["mkfs.ext4", "debugfs", "e2fsck", "mkfs.vfat", "mcopy"])(
      "leaves the file as it was when %s fails",
      async (tool) => {
        writeFileSync(place("disk"), "precious");
        const failing: Linux = {
          ...linux,
          programs: {
            ...linux.programs,
            run: (words, options) => {
              if (words[0] !== tool || words[1] === "-V") return linux.programs.run(words, options);
              return { status: 3, stdout: new Uint8Array(0), stderr: "the disk is on fire\n" };
            },
          },
        };
        const message = `system: Cannot install: ${tool} failed with status 3: the disk is on fire`;
        expect(await refusal("disk", { wipe: true }, failing)).toBe(message);
        expect(readFileSync(place("disk"), "utf8")).toBe("precious");
        expect(readdirSync(folder)).toEqual(["disk"]);
      },
    );
  },
);
