import { describe, expect, test } from "vitest";
import { fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { installToRoot } from "../../../src/operations/install-to-root.ts";
import { SeenProgress, sysrootPath, systemOn } from "../../builders/operation-machine.ts";
import {
  install,
  type MachineOptions,
  machine,
  refusal,
  requestFor,
  rootMount,
  text,
} from "../../builders/root-installs.ts";
import { putFile } from "../../builders/tool-runs.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

describe("installToRoot, beside a system that is there", () => {
  function packageSystem(files: Readonly<Record<string, string>>, options: MachineOptions = {}): FakeLinux {
    const linux = machine(options);
    for (const [path, words] of Object.entries({
      "/target/etc/hostname": "host",
      "/target/usr/bin/sh": "shell",
      ...files,
    })) {
      putFile(linux.files, path, words);
    }
    return linux;
  }

  const beside = { isExisting: true, bootloader: undefined } as const;

  test("adds an entry that is counted to systemd-boot, and changes nothing of what is there", async () => {
    const foreign = "title Debian\nlinux /vmlinuz\noptions root=/dev/sda2\n";
    const linux = packageSystem({
      "/target/boot/EFI/systemd/systemd-bootx64.efi": "its own",
      "/target/boot/loader/entries/debian.conf": foreign,
    });
    const result = await install(linux, beside);
    expect(result).toMatchObject({ bootloader: "systemd-boot", bootEntry: "osdeploy-000001+3.conf" });
    expect(text(linux, "/target/boot/loader/entries/osdeploy-000001+3.conf")).toContain("\nsort-key 0-osdeploy\n");
    expect(text(linux, "/target/boot/EFI/systemd/systemd-bootx64.efi")).toBe("its own");
    expect(text(linux, "/target/boot/loader/entries/debian.conf")).toBe(foreign);
    expect(text(linux, "/target/etc/hostname")).toBe("host");
    expect(linux.files.readDirectory(sysrootPath)).toEqual(["boot", "composefs", "etc", "state", "usr"]);
  });

  test("adds one that is not counted where systemd-boot has nothing else to start", async () => {
    const linux = packageSystem({
      "/target/boot/EFI/systemd/systemd-bootx64.efi": "its own",
      "/target/boot/EFI/Linux/debian-6.12.efi.old": "a kernel that was put away",
    });
    expect(await install(linux, beside)).toMatchObject({ bootEntry: "osdeploy-000001.conf" });
    // Who knows what else it finds, on another partition.
    expect(text(linux, "/target/boot/loader/entries/osdeploy-000001.conf")).toContain("\nsort-key 0-osdeploy\n");
  });

  test("counts beside unified kernels, which have no entries", async () => {
    const linux = packageSystem({
      "/target/boot/EFI/systemd/systemd-bootx64.efi": "its own",
      "/target/boot/EFI/Linux/debian-6.12.EFI": "a kernel",
      "/target/boot/EFI/Linux/notes.txt": "none",
    });
    expect(await install(linux, beside)).toMatchObject({ bootEntry: "osdeploy-000001+3.conf" });
    expect(text(linux, "/target/boot/loader/entries/osdeploy-000001+3.conf")).toContain("\nsort-key 0-osdeploy\n");
  });

  test.each([
    ["default debian-*\n", true],
    ["timeout 3\n", false],
    ["default osdeploy-*\n", false],
  ])("warns where loader.conf starts something else: %j", async (config, warns) => {
    const linux = packageSystem({ "/target/boot/loader/loader.conf": config });
    const progress = new SeenProgress();
    await installToRoot(systemOn(linux, { progress: progress.report }), requestFor(beside));
    const warning =
      '/target/boot/loader/loader.conf is somebody else\'s and says default "debian-*", so the loader starts that: take the line out';
    expect(progress.warnings).toEqual(warns ? [warning] : []);
    expect(text(linux, "/target/boot/loader/loader.conf")).toBe(config);
  });

  test("makes a GRUB that is there show its entries", async () => {
    const grub = { "/target/boot/grub/grub.cfg": `source \${config_directory}/custom.cfg\n` };
    const linux = packageSystem(grub, { mounts: [rootMount] });
    const result = await install(linux, beside);
    expect(result.bootloader).toBe("grub");
    expect(text(linux, "/target/boot/grub/custom.cfg")).toBe(`source "\${config_directory}/osdeploy.cfg"\n`);
    expect(text(linux, "/target/boot/grub/osdeploy.cfg")).toContain("/boot/osdeploy/");
    expect(text(linux, "/target/boot/grub/grub.cfg")).toBe(grub["/target/boot/grub/grub.cfg"]);
    expect(linux.files.lstatIfExists(fromText("/target/boot/EFI"))).toBeUndefined();
  });

  test("leaves a custom.cfg of somebody else's alone, and tells what to add", async () => {
    const files = { "/target/boot/grub/grub.cfg": "", "/target/boot/grub/custom.cfg": "set color=blue\n" };
    const linux = packageSystem(files);
    const progress = new SeenProgress();
    await installToRoot(systemOn(linux, { progress: progress.report }), requestFor(beside));
    expect(progress.warnings).toEqual([expect.stringContaining("custom.cfg is somebody else's: add the line")]);
    expect(text(linux, "/target/boot/grub/custom.cfg")).toBe("set color=blue\n");
  });

  test("a custom.cfg that leads elsewhere is somebody else's too", async () => {
    const linux = packageSystem({ "/target/boot/grub/grub.cfg": "", "/target/etc/custom.cfg": "set color=blue\n" });
    linux.files.symlink(fromText("../../etc/custom.cfg"), fromText("/target/boot/grub/custom.cfg"));
    const progress = new SeenProgress();
    await installToRoot(systemOn(linux, { progress: progress.report }), requestFor(beside));
    expect(progress.warnings).toEqual([expect.stringContaining("custom.cfg is somebody else's: add the line")]);
    expect(text(linux, "/target/etc/custom.cfg")).toBe("set color=blue\n");
  });

  test("an empty custom.cfg is one that somebody did not finish", async () => {
    const linux = packageSystem({ "/target/boot/grub/grub.cfg": "", "/target/boot/grub/custom.cfg": "" });
    const progress = new SeenProgress();
    await installToRoot(systemOn(linux, { progress: progress.report }), requestFor(beside));
    expect(progress.warnings).toEqual([]);
    expect(text(linux, "/target/boot/grub/custom.cfg")).toBe(`source "\${config_directory}/osdeploy.cfg"\n`);
  });

  test("a custom.cfg that has the line already is fine", async () => {
    const line = `source "\${config_directory}/osdeploy.cfg"\n`;
    const linux = packageSystem({ "/target/boot/grub/grub.cfg": "", "/target/boot/grub/custom.cfg": line });
    const progress = new SeenProgress();
    await installToRoot(systemOn(linux, { progress: progress.report }), requestFor(beside));
    expect(progress.warnings).toEqual([]);
  });

  test("refuses where there is no loader that it knows, or another one than was asked for", async () => {
    expect(await refusal(packageSystem({}), beside)).toContain("there is no boot loader at its boot");
    expect(await refusal(packageSystem({}), { ...beside, bootloader: "grub" })).toContain(
      "there is no boot loader that osdeploy knows",
    );
    const grub = packageSystem({ "/target/boot/grub/grub.cfg": "" });
    expect(await refusal(grub, { ...beside, bootloader: "systemd-boot" })).toContain(
      "the boot loader is grub at boot below it",
    );
    expect(grub.files.readDirectory(sysrootPath)).toEqual(["boot", "etc", "usr"]);
  });

  test("refuses a system that runs from an image", async () => {
    const linux = packageSystem({}, { mounts: [{ ...rootMount, type: "overlay", source: "composefs:abc" }] });
    expect(await refusal(linux, beside)).toContain("it is not a file system of a disk but an overlay");
  });

  test("without a loader to speak of it only writes the entry", async () => {
    const linux = packageSystem({});
    expect(await install(linux, { ...beside, bootloader: "none" })).toMatchObject({
      bootEntry: "osdeploy-000001.conf",
    });
    expect(toBytes(fromText(text(linux, "/target/etc/hostname")))).toHaveLength(4);
  });
});
