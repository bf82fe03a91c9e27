import { describe, expect, test } from "vitest";
import { readBootEntries } from "../../../src/bootloader/bls-directory.ts";
import { blsField, blsOptions } from "../../../src/core/boot/bls-entry.ts";
import { fromBytes, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { assert, OsdeployError } from "../../../src/core/errors.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import {
  type InstallToRootRequest,
  type InstallToRootResult,
  installToRoot,
} from "../../../src/operations/install-to-root.ts";
import { buildImageWithKernel, buildInstallImage } from "../../builders/install-images.ts";
import {
  layoutReference,
  linuxAmd64,
  machineWith,
  SeenProgress,
  sysrootPath,
  systemOn,
} from "../../builders/operation-machine.ts";
import { content } from "../../builders/os-images.ts";
import { putFile, putMounts, toolsThatSay } from "../../builders/tool-runs.ts";
import type { FakeLinux, FakeLinuxOptions } from "../../fakes/fake-linux.ts";

const images = {
  os: await buildInstallImage(),
  driverless: await buildInstallImage({
    changes: [{ path: "usr/lib/modules/6.12.1-test/modules.builtin", content: "kernel/fs/erofs/erofs.ko\n" }],
  }),
  older: await buildImageWithKernel("6.4.0"),
  loaderless: await buildInstallImage({ without: ["usr/lib/systemd/boot"] }),
  homeless: await buildInstallImage({ without: ["etc/ssh", "etc/ssh/sshd_config.d"] }),
  roaming: await buildInstallImage({
    without: ["root"],
    changes: [
      { path: "root", symlink: "var/roothome" },
      { path: "var/roothome", mode: 0o700 },
    ],
  }),
  nested: await buildInstallImage({
    without: ["root"],
    changes: [
      { path: "root", symlink: "var/roothome" },
      { path: "var/roothome", symlink: "/elsewhere" },
    ],
  }),
  nestedKeys: await buildInstallImage({
    without: ["root"],
    changes: [
      { path: "root", symlink: "var/roothome" },
      { path: "var/roothome", mode: 0o700 },
      { path: "var/roothome/.ssh", symlink: "/elsewhere" },
    ],
  }),
  nestedSsh: await buildInstallImage({ changes: [{ path: "etc/ssh/authorized_keys.d", symlink: "/elsewhere" }] }),
};

const rootMount = { at: "/target", type: "ext4", source: "/dev/sda2" };
const bootMount = { at: "/target/boot", type: "vfat", source: "/dev/sda1" };

interface MachineOptions extends FakeLinuxOptions {
  readonly mounts?: Parameters<typeof putMounts>[1];
  readonly rootUuid?: string;
}

function machine({
  mounts = [rootMount, bootMount],
  rootUuid = "root-uuid\n",
  ...options
}: MachineOptions = {}): FakeLinux {
  const linux = machineWith(images, {
    mountPoints: [{ path: "/target" }, ...(mounts.includes(bootMount) ? [{ path: "/target/boot" }] : [])],
    runProgram: toolsThatSay((words) => (words.at(-1) === "/dev/sda2" ? rootUuid : "B007-0001\n")),
    ...options,
  });
  putMounts(linux, mounts);
  return linux;
}

function requestFor(changes: Partial<InstallToRootRequest> = {}): InstallToRootRequest {
  return {
    image: parseImageReference(layoutReference("os")),
    platform: linuxAmd64,
    source: { environment: { variables: {}, userId: 0 } },
    targetImage: undefined,
    kernelArguments: [],
    bootloader: "systemd-boot",
    rootKeys: undefined,
    allowMissingVerity: false,
    root: sysrootPath,
    isExisting: false,
    rootSpec: undefined,
    ...changes,
  };
}

async function install(linux: FakeLinux, changes: Partial<InstallToRootRequest> = {}): Promise<InstallToRootResult> {
  return await installToRoot(systemOn(linux), requestFor(changes));
}

async function refusal(linux: FakeLinux, changes: Partial<InstallToRootRequest> = {}): Promise<string> {
  try {
    await install(linux, changes);
  } catch (error) {
    if (error instanceof OsdeployError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "nothing was refused";
}

function text(linux: FakeLinux, path: string): string {
  return fromBytes(linux.files.readFile(fromText(path), 1_000_000));
}

function entriesOf(linux: FakeLinux) {
  return readBootEntries(linux.files, fromText("/target/boot")).entries;
}

describe("installToRoot, into an empty file system", () => {
  test("puts loader, kernel, sealed repo, state and an entry there", async () => {
    const linux = machine();
    const result = await install(linux, { kernelArguments: ["quiet"] });
    expect(result).toMatchObject({
      root: "/target",
      image: layoutReference("os"),
      kernel: "6.12.1-test",
      bootloader: "systemd-boot",
      // There is nothing else that the loader could start when it gave this one up.
      bootEntry: "osdeploy-000001.conf",
    });
    expect(text(linux, "/target/boot/EFI/BOOT/BOOTX64.EFI")).toBe(content("systemd-boot", 9000));
    expect(text(linux, "/target/boot/osdeploy/bootloader")).toBe("systemd-boot\n");
    const [entry] = entriesOf(linux);
    assert(entry !== undefined, "there is an entry");
    expect(entry.fileName).toBe(result.bootEntry);
    const mount = "systemd.mount-extra=UUID=B007-0001:/boot:vfat:umask=0077,nosuid,nodev,noexec,nofail";
    expect(blsOptions(entry.entry)).toBe(
      `rw root=UUID=root-uuid ${mount} quiet panic=30 composefs=${result.rootImage} osdeploy.entry=osdeploy-000001`,
    );
    expect(text(linux, `/target/boot${blsField(entry.entry, "linux")}`)).toBe(content("kernel", 30_000));
    expect(linux.files.measureVerity(fromText("/target/composefs/meta.json"), "sha512")).toBeDefined();
    expect(text(linux, `/target/state/deploy/${result.rootImage}/etc/shadow`)).toBe(content("root:*\n"));
    expect(linux.files.readDirectory(sysrootPath)).toEqual(["boot", "composefs", "state"]);
    expect(linux.openPaths).toEqual([]);
  });

  test("GRUB is put there with its settings", async () => {
    const linux = machine();
    await install(linux, { bootloader: "grub" });
    expect(text(linux, "/target/boot/EFI/BOOT/BOOTX64.EFI")).toBe(content("grub", 9000));
    expect(text(linux, "/target/boot/EFI/test/grub.cfg")).toContain("--fs-uuid B007-0001");
    expect(text(linux, "/target/boot/grub/osdeploy.cfg")).toContain("osdeploy-000001");
  });

  test("without a loader the boot files may lie in the root file system", async () => {
    const linux = machine({ mounts: [rootMount] });
    const { bootEntry } = await install(linux, { bootloader: "none", rootSpec: "LABEL=root" });
    expect(bootEntry).toBe("osdeploy-000001.conf");
    const [entry] = entriesOf(linux);
    expect(entry && blsField(entry.entry, "linux")).toMatch(/^\/boot\/osdeploy\//);
    expect(entry && blsOptions(entry.entry)).toMatch(/^rw root=LABEL=root panic=30 composefs=/);
  });

  test("follows what it is told to, and puts keys where root can use them", async () => {
    const linux = machine();
    putFile(linux.files, "/keys", "ssh-ed25519 AAAA me\n");
    const targetImage = parseImageReference("docker://example.org/os:latest");
    const { rootImage } = await install(linux, { rootKeys: fromText("/keys"), targetImage });
    const state = `/target/state/deploy/${rootImage}`;
    expect(text(linux, `${state}/${rootImage}.origin`)).toContain("docker://example.org/os:latest");
    expect(text(linux, `${state}/etc/ssh/authorized_keys.d/root`)).toBe("ssh-ed25519 AAAA me\n");
    expect(text(linux, `${state}/etc/ssh/sshd_config.d/10-osdeploy-keys.conf`)).toContain(
      "/etc/ssh/authorized_keys.d/%u",
    );
  });

  test("keys go to root's home where that is in /var", async () => {
    const linux = machine();
    putFile(linux.files, "/keys", "ssh-ed25519 AAAA me\n");
    const image = parseImageReference(layoutReference("roaming"));
    await install(linux, { rootKeys: fromText("/keys"), image });
    const home = "/target/state/os/default/var/roothome";
    expect(text(linux, `${home}/.ssh/authorized_keys`)).toBe("ssh-ed25519 AAAA me\n");
    expect(linux.files.lstat(fromText(`${home}/.ssh`)).permissions).toBe(0o700);
  });

  test("refuses a file system that cannot seal, before anything is there; then does it where that is fine", async () => {
    const linux = machine({ verity: false });
    expect(await refusal(linux)).toBe('unsupported: Cannot install to "/target": files there cannot be sealed');
    expect(linux.files.readDirectory(sysrootPath)).toEqual(["boot"]);
    const { rootImage } = await install(linux, { allowMissingVerity: true });
    const [entry] = entriesOf(linux);
    expect(entry && blsOptions(entry.entry)).toContain(` composefs=?${rootImage} `);
    const again = machine({ verity: false });
    expect(await refusal(again)).toContain("cannot be sealed");
  });

  test("refuses what cannot fit before any layer is fetched", async () => {
    const linux = machine();
    const space = { totalBytes: 4096, availableBytes: 10, availableInodes: 9, readOnly: false, type: 0 };
    const full = Object.assign(Object.create(linux), { files: { ...linux.files, space: () => space } });
    expect(await refusal(full)).toMatch(
      /^no-space: Cannot install this image: its layers alone have \d+ bytes, and 10 are free for the repo$/,
    );
    expect(entriesOf(linux)).toEqual([]);
    expect(linux.files.readDirectory(fromText("/target/composefs/streams"))).toEqual(["refs"]);
    // What a stopped run has fetched is not fetched again.
    const resumed = machine();
    const again = Object.assign(Object.create(resumed), { files: { ...resumed.files, space: () => space } });
    await refusal(again);
    putFile(resumed.files, "/target/composefs/staging/layer-sha256-00", "x".repeat(1_000_000));
    expect(await refusal(again)).not.toContain("its layers alone");
  });

  test("refuses a second time: that is what switch is for", async () => {
    const linux = machine();
    await install(linux);
    expect(await refusal(linux)).toContain(
      'already-exists: Cannot install to "/target": there is a deployment already',
    );
  });

  test.each<[string, MachineOptions, Partial<InstallToRootRequest>, string]>([
    [
      "no mount",
      { mounts: [bootMount] },
      {},
      'not-found: Cannot install to "/target": no file system is mounted there',
    ],
    ["no boot partition", { mounts: [rootMount] }, {}, "no FAT partition is mounted at its boot"],
    [
      "a boot partition of another kind",
      { mounts: [rootMount, { ...bootMount, type: "ext4" }] },
      {},
      "no FAT partition",
    ],
    ["a root without UUID", { rootUuid: "" }, {}, "its file system has no UUID"],
    [
      "an image without the loader",
      {},
      { image: parseImageReference(layoutReference("loaderless")) },
      "it has no boot loader",
    ],
    [
      "an image whose kernel lacks what mounts its root",
      {},
      { image: parseImageReference(layoutReference("driverless")) },
      "not-bootable: Cannot install this image: its kernel 6.12.1-test has no overlay, no ext4, no vfat",
    ],
    [
      "a kernel that cannot mount any, checked or not,",
      {},
      { image: parseImageReference(layoutReference("older")), allowMissingVerity: true },
      "not-bootable: Cannot install this image: its kernel is 6.4.0, and overlayfs has layers for contents alone from 6.5 on",
    ],
  ])("refuses %s, and adds no entry", async (_, options, changes, message) => {
    const linux = machine(options);
    expect(await refusal(linux, changes)).toContain(message);
    expect(entriesOf(linux)).toEqual([]);
  });

  test("refuses keys for an image that has no place for them", async () => {
    const linux = machine();
    putFile(linux.files, "/keys", "ssh-ed25519 AAAA me\n");
    putFile(linux.files, "/none", "# nothing\n");
    const image = parseImageReference(layoutReference("homeless"));
    expect(await refusal(linux, { rootKeys: fromText("/keys"), image })).toContain("Cannot install keys for root");
    expect(await refusal(linux, { rootKeys: fromText("/none") })).toBe(
      'bad-format: Cannot use the keys in "/none": there is none in it',
    );
  });

  test.each([
    ["nested", "var/roothome is a symlink"],
    ["nestedKeys", "var/roothome/.ssh is a symlink"],
    ["nestedSsh", "etc/ssh/authorized_keys.d is a symlink"],
  ])("puts keys nowhere where a link of the image's leads (%s)", async (tag, state) => {
    const linux = machine();
    putFile(linux.files, "/keys", "ssh-ed25519 AAAA me\n");
    linux.files.makeDirectory(fromText("/elsewhere"), 0o755);
    const image = parseImageReference(layoutReference(tag));
    expect(await refusal(linux, { rootKeys: fromText("/keys"), image })).toBe(
      `unsupported: Cannot install keys for root: /${state} in the image`,
    );
    expect(linux.files.readDirectory(fromText("/elsewhere"))).toEqual([]);
  });

  test("refuses a repo that is insecure already", async () => {
    const linux = machine({ verity: false });
    await install(linux, { allowMissingVerity: true, bootloader: "none" });
    for (const { fileName } of entriesOf(linux))
      linux.files.unlink(fromText(`/target/boot/loader/entries/${fileName}`));
    const sealing = Object.assign(Object.create(linux), { files: { ...linux.files, enableVerity: () => true } });
    expect(await refusal(sealing)).toContain("there is an insecure repo already");
  });
});

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
    const linux = packageSystem({ "/target/boot/EFI/systemd/systemd-bootx64.efi": "its own" });
    expect(await install(linux, beside)).toMatchObject({ bootEntry: "osdeploy-000001.conf" });
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
