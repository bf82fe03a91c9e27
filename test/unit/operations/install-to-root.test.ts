import { describe, expect, test } from "vitest";
import { blsField, blsOptions } from "../../../src/core/boot/bls-entry.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { assert } from "../../../src/core/errors.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { removeTree } from "../../../src/linux/remove-tree.ts";
import { type InstallToRootRequest, installToRoot } from "../../../src/operations/install-to-root.ts";
import type { System } from "../../../src/operations/system.ts";
import { layoutReference, SeenProgress, sysrootPath, systemOn } from "../../builders/operation-machine.ts";
import { content } from "../../builders/os-images.ts";
import {
  bootMount,
  entriesOf,
  install,
  type MachineOptions,
  machine,
  refusal,
  requestFor,
  rootMount,
  text,
} from "../../builders/root-installs.ts";
import { putFile } from "../../builders/tool-runs.ts";

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

  test.each(["systemd-boot", "grub"] as const)("a %s that is there with the same bytes stays", async (bootloader) => {
    const linux = machine();
    const paths = ["EFI/BOOT/BOOTX64.EFI", ...(bootloader === "grub" ? ["EFI/debian/grub.cfg"] : [])];
    const whole = machine();
    await install(whole, { bootloader });
    for (const path of paths) putFile(linux.files, `/target/boot/${path}`, text(whole, `/target/boot/${path}`));
    const before = paths.map((path) => linux.files.lstat(fromText(`/target/boot/${path}`)).identity);
    await install(linux, { bootloader });
    expect(paths.map((path) => linux.files.lstat(fromText(`/target/boot/${path}`)).identity)).toEqual(before);
    expect(entriesOf(linux)).toHaveLength(1);
  });

  test("refuses to replace a loader of somebody else's, before any of ours is there", async () => {
    const linux = machine();
    putFile(linux.files, "/target/boot/EFI/BOOT/BOOTX64.EFI", "another");
    expect(await refusal(linux)).toBe(
      'already-exists: Cannot install the boot loader as "/target/boot/EFI/BOOT/BOOTX64.EFI": it is there already, and is not the image\'s',
    );
    expect(text(linux, "/target/boot/EFI/BOOT/BOOTX64.EFI")).toBe("another");
    expect(linux.files.readDirectory(fromText("/target/boot/EFI"))).toEqual(["BOOT"]);
    // What another loader was installed as here says nothing of this one.
    putFile(linux.files, "/target/boot/osdeploy/bootloader", "grub\n");
    expect(await refusal(linux)).toContain("already-exists");
  });

  test("replaces a loader that an installation before left where its note says so", async () => {
    const linux = machine();
    putFile(linux.files, "/target/boot/EFI/BOOT/BOOTX64.EFI", "of an older image");
    putFile(linux.files, "/target/boot/osdeploy/bootloader", "systemd-boot\n");
    await install(linux);
    expect(text(linux, "/target/boot/EFI/BOOT/BOOTX64.EFI")).toBe(content("systemd-boot", 9000));
    expect(linux.files.readDirectory(fromText("/target/boot/EFI/BOOT"))).toEqual(["BOOTX64.EFI"]);
  });

  test("without a loader the boot files may lie in the root file system", async () => {
    const linux = machine({ mounts: [rootMount] });
    const { bootEntry } = await install(linux, { bootloader: "none", rootSpec: "LABEL=root" });
    expect(bootEntry).toBe("osdeploy-000001.conf");
    const [entry] = entriesOf(linux);
    expect(entry && blsField(entry.entry, "linux")).toMatch(/^\/boot\/osdeploy\//);
    expect(entry && blsOptions(entry.entry)).toMatch(/^rw root=LABEL=root panic=30 composefs=/);
  });

  test("warns where the image's kernel cannot mount its /boot, and goes on", async () => {
    const linux = machine();
    const progress = new SeenProgress();
    const image = parseImageReference(layoutReference("bootless"));
    await installToRoot(systemOn(linux, { progress: progress.report }), requestFor({ image }));
    expect(progress.warnings).toEqual([
      "The image's kernel 6.12.1-test has no vfat in its lists: without it /boot is not mounted, and no entry can be changed there",
    ]);
    expect(entriesOf(linux)).toHaveLength(1);
  });

  test("follows what it is told to, and puts keys where root can use them", async () => {
    const linux = machine();
    putFile(linux.files, "/keys", "ssh-ed25519 AAAA me\n");
    const targetImage = parseImageReference("docker://example.org/os:latest");
    const { rootImage } = await install(linux, { rootKeys: fromText("/keys"), targetImage });
    const state = `/target/state/deploy/${rootImage}`;
    expect(text(linux, `${state}/${rootImage}.origin`)).toContain("docker://example.org/os:latest");
    expect(text(linux, `${state}/etc/ssh/authorized_keys.d/root`)).toBe("ssh-ed25519 AAAA me\n");
    const permissionsOf = (name: string) => linux.files.lstat(fromText(`${state}/etc/ssh/${name}`)).permissions;
    expect(["authorized_keys.d", "authorized_keys.d/root"].map(permissionsOf)).toEqual([0o755, 0o600]);
    expect(text(linux, `${state}/etc/ssh/sshd_config.d/10-osdeploy-keys.conf`)).toContain(
      "/etc/ssh/authorized_keys.d/%u",
    );
  });

  test("follows the source where it is told nothing, and says when that is a path of this machine", async () => {
    const linux = machine();
    const progress = new SeenProgress();
    const request = requestFor({ targetImage: undefined });
    const { image } = await installToRoot(systemOn(linux, { progress: progress.report }), request);
    expect(image).toBe(layoutReference("os"));
    expect(progress.events.find(({ kind }) => kind !== "warning")).toMatchObject({ kind: "start", subject: "/target" });
    expect(progress.events.at(-1)).toEqual({ kind: "done" });
    expect(progress.warnings).toEqual([expect.stringContaining(`follows ${image}, which is a path of this machine`)]);
    const targetImage = parseImageReference("oci:relative:os");
    expect(await refusal(machine(), { targetImage })).toMatch(/^usage: /);
  });

  test("of an image with an overlay /etc, only the layers are made, and keys go to the upper one", async () => {
    const linux = machine();
    putFile(linux.files, "/keys", "ssh-ed25519 AAAA me\n");
    const image = parseImageReference(layoutReference("overlaid"));
    const { rootImage } = await install(linux, { rootKeys: fromText("/keys"), image });
    const etc = `/target/state/deploy/${rootImage}/etc`;
    const names = (path: string) => linux.files.readDirectory(fromText(`${etc}${path}`));
    expect([names(""), names("/upper"), names("/work")]).toEqual([["upper", "work"], ["ssh"], []]);
    expect(names("/upper/ssh")).toEqual(["authorized_keys.d", "sshd_config.d"]);
    expect(text(linux, `${etc}/upper/ssh/authorized_keys.d/root`)).toBe("ssh-ed25519 AAAA me\n");
    expect(text(linux, `${etc}/upper/ssh/sshd_config.d/10-osdeploy-keys.conf`)).toContain("AuthorizedKeysFile");
    // The directory hides the image's, so it looks like that one.
    const ssh = fromText(`${etc}/upper/ssh`);
    expect(linux.files.lstat(ssh).permissions).toBe(0o711);
    expect(linux.files.xattrs(ssh).get(fromText("security.capability"))).toBe("of the image");
    // Without keys nothing is changed.
    const keyless = machine();
    await install(keyless, { image });
    expect(keyless.files.readDirectory(fromText(`${etc}/upper`))).toEqual([]);
  });

  test("keys go to root's home where that is in /var", async () => {
    const linux = machine();
    putFile(linux.files, "/keys", "ssh-ed25519 AAAA me\n");
    const image = parseImageReference(layoutReference("roaming"));
    await install(linux, { rootKeys: fromText("/keys"), image });
    const home = "/target/state/os/default/var/roothome";
    expect(text(linux, `${home}/.ssh/authorized_keys`)).toBe("ssh-ed25519 AAAA me\n");
    const owned = { uid: 0, gid: 0 };
    expect(linux.files.lstat(fromText(`${home}/.ssh`))).toMatchObject({ permissions: 0o700, ...owned });
    expect(linux.files.lstat(fromText(`${home}/.ssh/authorized_keys`))).toMatchObject({ permissions: 0o600, ...owned });
  });

  test("keys are there before the entry is, also in a /var that a stopped installation without them left", async () => {
    const linux = machine();
    const image = parseImageReference(layoutReference("roaming"));
    const { bootEntry } = await install(linux, { image });
    linux.files.unlink(fromText(`/target/boot/loader/entries/${bootEntry}`));
    removeTree(linux.files, fromText("/target/state/os/default/var/roothome"));
    putFile(linux.files, "/keys", "ssh-ed25519 AAAA me\n");
    await install(linux, { rootKeys: fromText("/keys"), image });
    const home = "/target/state/os/default/var/roothome";
    expect(text(linux, `${home}/.ssh/authorized_keys`)).toBe("ssh-ed25519 AAAA me\n");
    expect(linux.files.lstat(fromText(home)).permissions).toBe(0o700);
    const made = linux.trace.map(({ call, path }) => `${call} ${path}`);
    const isLast = (end: string) => made.findLastIndex((line) => line.endsWith(end));
    expect(isLast(".ssh/authorized_keys.osdeploy-new")).toBeLessThan(isLast(`${bootEntry}.new`));
  });

  test("the /etc that a stopped installation left is made anew", async () => {
    const linux = machine();
    const { bootEntry, rootImage } = await install(linux);
    linux.files.unlink(fromText(`/target/boot/loader/entries/${bootEntry}`));
    const left = `/target/state/deploy/${rootImage}/etc/left`;
    putFile(linux.files, left, "x");
    await install(linux);
    expect(linux.files.lstatIfExists(fromText(left))).toBeUndefined();
  });

  test("refuses keys for what another program starts from there, whose /etc stays", async () => {
    const linux = machine();
    const { bootEntry, rootImage } = await install(linux);
    const entries = "/target/boot/loader/entries";
    putFile(linux.files, `${entries}/bootc.conf`, text(linux, `${entries}/${bootEntry}`));
    linux.files.unlink(fromText(`${entries}/${bootEntry}`));
    putFile(linux.files, "/keys", "ssh-ed25519 AAAA me\n");
    expect(await refusal(linux, { rootKeys: fromText("/keys") })).toContain(
      "already-exists: Cannot install keys for root: another program starts this image from here already",
    );
    expect(entriesOf(linux)).toEqual([]);
    expect(linux.files.lstatIfExists(fromText(`/target/state/deploy/${rootImage}`))).toBeDefined();
    // Without keys nothing is to be changed there.
    await install(linux);
    expect(entriesOf(linux)).toHaveLength(1);
  });

  test("makes no entry once somebody wants an end", async () => {
    const linux = machine();
    const stop = new AbortController();
    const progress: System["progress"] = (event) => {
      if (event.kind === "phase" && event.phase === "publish") stop.abort();
    };
    const system = systemOn(linux, { progress, signal: stop.signal });
    await expect(installToRoot(system, requestFor())).rejects.toMatchObject({ code: "interrupted" });
    expect(entriesOf(linux)).toEqual([]);
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
      /^no-space: Cannot install this image: its layers alone have \d+ bytes \(\d\.\d kB\), and 10 bytes are free for the repo$/,
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

  test("refuses a root that holds other things", async () => {
    const linux = machine();
    putFile(linux.files, "/target/srv/letter", "dear");
    expect(await refusal(linux)).toContain("it has no repo, and holds other things (srv)");
    expect(linux.files.readDirectory(sysrootPath)).toEqual(["boot", "srv"]);
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
    ["no boot partition for GRUB", { mounts: [rootMount] }, { bootloader: "grub" }, "no FAT partition is mounted"],
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
      "not-bootable: Cannot install this image: its kernel 6.12.1-test has no overlay, no ext4",
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
    const nowhere = parseImageReference("oci:/nowhere:os");
    expect(await refusal(linux, { rootKeys: fromText("/none"), image: nowhere })).toBe(
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
    expect(entriesOf(linux)).toEqual([]);
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
