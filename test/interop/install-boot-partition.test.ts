import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { type InstallToDiskRequest, installToDisk } from "../../src/operations/install-to-disk.ts";
import { buildInstallImage } from "../builders/install-images.ts";
import { linuxAmd64, systemOn } from "../builders/operation-machine.ts";
import { content, placeLayout } from "../builders/os-images.ts";
import { findTool } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";

const mebibyte = 1024 * 1024;
const tools = ["mkfs.ext4", "debugfs", "e2fsck", "mkfs.vfat", "mmd", "mcopy", "mtype", "mdir", "sgdisk", "sfdisk"];
const missing = tools.filter((name) => findTool(name) === undefined);

/** What sfdisk says of a disk. */
interface SfdiskAnswer {
  readonly partitiontable: { readonly partitions: readonly { readonly uuid: string }[] };
}

describe.skipIf(missing.length > 0)(
  `install to-disk with a boot partition beside the EFI system partition${missing.length > 0 ? ` (missing: ${missing.join(", ")})` : ""}`,
  () => {
    let top: string;
    const linux = openLinux();
    const place = (name: string) => join(top, name);
    beforeAll(async () => {
      top = mkdtempSync(join(tmpdir(), "osdeploy-install-"));
      placeLayout(linux.files, fromText(place("layout")), {
        os: await buildInstallImage(),
        efi: await buildInstallImage({ changes: [{ path: "efi" }] }),
      });
    });
    afterAll(() => rmSync(top, { recursive: true }));

    async function install(name: string, changes: Partial<InstallToDiskRequest> & { readonly tag?: string } = {}) {
      const { tag = "os", ...more } = changes;
      return await installToDisk(systemOn(linux), {
        image: parseImageReference(`oci:${place("layout")}:${tag}`),
        platform: linuxAmd64,
        source: { environment: { variables: {}, userId: 0 } },
        targetImage: undefined,
        kernelArguments: [],
        bootloader: "systemd-boot",
        rootKeys: undefined,
        allowMissingVerity: false,
        target: fromText(place(name)),
        wipe: false,
        format: "raw",
        diskBytes: 340 * mebibyte,
        bootBytes: 40 * mebibyte,
        espBytes: 34 * mebibyte,
        rootBytes: undefined,
        randomUuids: false,
        ...more,
      });
    }

    const judge = (program: string, ...args: readonly string[]) => run(findTool(program) ?? program, args);
    const onEsp = (name: string, path: string) => judge("mtype", "-i", `${place(name)}@@1M`, `::${path}`).stdout;
    const onBoot = (name: string, path: string) => judge("mtype", "-i", `${place(name)}@@35M`, `::${path}`).stdout;
    const digest = (name: string) =>
      createHash("sha256")
        .update(readFileSync(place(name)))
        .digest("hex");

    test("systemd-boot and its settings are on the one, kernel and entry on the other", async () => {
      const { bootUuid } = await install("disk");
      expect(judge("sgdisk", "-v", place("disk")).stdout).toContain("No problems found");
      const { partitiontable } = JSON.parse(judge("sfdisk", "--json", place("disk")).stdout) as SfdiskAnswer;
      expect(partitiontable.partitions).toMatchObject([
        { start: 2048, size: 34 * 2048, type: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", name: "esp" },
        { start: 35 * 2048, size: 40 * 2048, type: "BC13C2FF-59E6-4262-A352-B275FD6F7172", name: "boot" },
        { start: 75 * 2048, type: "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709", name: "root" },
      ]);
      const [esp, boot] = partitiontable.partitions.map(({ uuid }) => uuid.toLowerCase());
      expect(boot).toBe(bootUuid);
      expect(onEsp("disk", "/EFI/BOOT/BOOTX64.EFI")).toBe(content("systemd-boot", 9000));
      expect(onEsp("disk", "/loader/loader.conf")).toContain("default osdeploy-*");
      expect(onBoot("disk", "/loader/entries.srel")).toBe("type1\n");
      expect(onBoot("disk", "/osdeploy/bootloader")).toBe("systemd-boot\n");
      const entry = onBoot("disk", "/loader/entries/osdeploy-000001.conf");
      expect(entry).toContain(` systemd.mount-extra=PARTUUID=${bootUuid}:/boot:vfat:`);
      // The image has no /efi.
      expect(entry).toContain(` systemd.mount-extra=PARTUUID=${esp}:/boot/efi:vfat:`);
      expect(judge("mdir", "-b", "-i", `${place("disk")}@@35M`, "::").stdout).toContain("::/efi/");
      expect(onBoot("disk", /^linux (.*)$/m.exec(entry)?.[1] ?? "")).toBe(content("kernel", 30_000));
    });

    test("GRUB on the one finds its configuration on the other", async () => {
      await install("grub", { bootloader: "grub" });
      const volume = judge("mdir", "-i", `${place("grub")}@@35M`, "::").stdout;
      const serial = /Volume Serial Number is (\S+)/.exec(volume)?.[1];
      expect(onEsp("grub", "/EFI/debian/grub.cfg")).toContain(`--fs-uuid ${serial}`);
      expect(onBoot("grub", "/grub/grub.cfg")).toContain(`--fs-uuid ${serial}`);
      expect(onBoot("grub", "/grub/osdeploy.cfg")).toContain("osdeploy-000001");
    });

    test("the EFI system partition is mounted at /efi where the image has that", async () => {
      await install("efi", { tag: "efi" });
      expect(onBoot("efi", "/loader/entries/osdeploy-000001.conf")).toContain(":/efi:vfat:");
    });

    test("the same bytes come out again, and one that is too small is refused", async () => {
      await install("one");
      await install("two");
      expect(digest("two")).toBe(digest("one"));
      await expect(install("three", { espBytes: 2.1 * mebibyte })).rejects.toMatchObject({
        code: "no-space",
        message: expect.stringContaining("the EFI system partition has 2202009"),
      });
    });
  },
);
