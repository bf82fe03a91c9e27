import {
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join, resolve } from "node:path";
import type { VirtualDisk } from "../../src/lab/virtual-machine.ts";
import { extractImage } from "../tools/extract-image.ts";
import { projectDir } from "../tools/find-tool.ts";
import { OfflineDisk } from "./disk-damage.ts";
import {
  baseDisk,
  guestArguments,
  installBaseDisk,
  onceARun,
  osLayout,
  overlayDisk,
  type TestLoader,
  vmPlace,
} from "./os-disk.ts";
import type { Trixie } from "./trixie.ts";

const { OSDEPLOY_DIST = "dist" } = process.env;

/** What the system itself is told, whoever starts it. */
const kernelArguments = ["rw", ...guestArguments, "panic=1"].join(" ");

/**
 * A disk with a Debian that is no image: ordinary files on ext4, started by systemd-boot from the EFI system partition at
 * /boot, or by GRUB from /boot in the root file system, as Debian's installer has it. It has this checkout's build of osdeploy.
 */
export async function makePackageDisk(room: Trixie, loader: TestLoader, file: string): Promise<string> {
  await installBaseDisk("systemd-boot");
  const disk = new OfflineDisk(room, baseDisk("systemd-boot"), file);
  const tree = `${file}.tree`;
  rmSync(tree, { recursive: true, force: true });
  extractImage(osLayout, "v1", tree);
  cpSync(resolve(projectDir, OSDEPLOY_DIST), join(tree, "usr/lib/osdeploy/dist"), { recursive: true, force: true });
  const [version = ""] = readdirSync(join(tree, "usr/lib/modules"));
  const modules = join(tree, "usr/lib/modules", version);
  const kernel = { vmlinuz: join(modules, "vmlinuz"), initramfs: join(modules, "initramfs.img") };
  const uuid = disk.rootUuid();
  writeFileSync(
    join(tree, "etc/fstab"),
    `UUID=${uuid} / ext4 defaults 0 1\n/dev/vda1 ${espPlace[loader]} vfat umask=0077 0 2\n`,
  );
  for (const path of ["EFI", "loader", "osdeploy"]) disk.boot("mdeltree", `::/${path}`);
  if (loader === "grub") addGrub(disk, tree, { uuid, kernel });
  else addSystemdBoot(disk, tree, { uuid, kernel });
  const root = `${file}.root`;
  rmSync(root, { force: true });
  writeFileSync(root, "");
  truncateSync(root, disk.rootBytes);
  const options = ["-q", "-b", "4096", "-O", "verity", "-U", uuid, "-d", tree];
  const { status, stderr } = room.run("usr/sbin/mkfs.ext4", ...options, root);
  if (status !== 0) throw new Error(`mkfs.ext4 failed: ${stderr}`);
  disk.replaceRoot(root);
  for (const path of [tree, root]) rmSync(path, { recursive: true });
  return file;
}

const espPlace = { "systemd-boot": "/boot", grub: "/boot/efi" } as const;

interface PackageKernel {
  readonly uuid: string;
  readonly kernel: { readonly vmlinuz: string; readonly initramfs: string };
}

/** As `bootctl install` and `kernel-install` leave it. */
function addSystemdBoot(disk: OfflineDisk, tree: string, { uuid, kernel }: PackageKernel): void {
  const binary = join(tree, "usr/lib/systemd/boot/efi/systemd-bootx64.efi");
  const entry = [
    "title Debian",
    "sort-key debian",
    "version 6.12",
    "linux /debian/linux",
    "initrd /debian/initrd",
    `options root=UUID=${uuid} ${kernelArguments}`,
  ];
  const texts = { "loader.conf": "timeout 1\n", "debian.conf": `${entry.join("\n")}\n` };
  for (const path of ["EFI", "EFI/BOOT", "EFI/systemd", "loader", "loader/entries", "debian"])
    disk.boot("mmd", `::/${path}`);
  for (const path of ["EFI/BOOT/BOOTX64.EFI", "EFI/systemd/systemd-bootx64.efi"])
    disk.boot("mcopy", binary, `::/${path}`);
  disk.boot("mcopy", kernel.vmlinuz, "::/debian/linux");
  disk.boot("mcopy", kernel.initramfs, "::/debian/initrd");
  writeText(disk, texts["loader.conf"], "loader/loader.conf");
  writeText(disk, texts["debian.conf"], "loader/entries/debian.conf");
}

/** As `grub-install` and `grub-mkconfig` leave it, in short. */
function addGrub(disk: OfflineDisk, tree: string, { uuid, kernel }: PackageKernel): void {
  for (const path of ["EFI", "EFI/BOOT", "EFI/debian"]) disk.boot("mmd", `::/${path}`);
  disk.boot("mcopy", join(tree, "usr/lib/grub/x86_64-efi/monolithic/grubx64.efi"), "::/EFI/BOOT/BOOTX64.EFI");
  const stub = `search.fs_uuid ${uuid} root\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n`;
  writeText(disk, stub, "EFI/debian/grub.cfg");
  mkdirSync(join(tree, "boot/efi"), { recursive: true });
  mkdirSync(join(tree, "boot/grub"));
  copyFileSync(kernel.vmlinuz, join(tree, "boot/vmlinuz"));
  copyFileSync(kernel.initramfs, join(tree, "boot/initrd.img"));
  writeFileSync(join(tree, "boot/grub/grub.cfg"), grubConfig(uuid));
  writeFileSync(join(tree, "boot/grub/grubenv"), "# GRUB Environment Block\n".padEnd(1024, "#"));
}

/** The parts of Debian's that say what starts: /etc/grub.d/00_header, 10_linux and 41_custom. */
function grubConfig(uuid: string): string {
  return `if [ -s $prefix/grubenv ]; then
  set have_grubenv=true
  load_env
fi
if [ "\${next_entry}" ] ; then
   set default="\${next_entry}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="0"
fi
set timeout=1
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'gnulinux-simple-${uuid}' {
  search --no-floppy --fs-uuid --set=root ${uuid}
  linux /boot/vmlinuz root=UUID=${uuid} ${kernelArguments}
  initrd /boot/initrd.img
}
if [ -f  \${config_directory}/custom.cfg ]; then
  source \${config_directory}/custom.cfg
elif [ -z "\${config_directory}" -a -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
`;
}

function writeText(disk: OfflineDisk, text: string, path: string): void {
  const file = `${disk.file}.text`;
  writeFileSync(file, text);
  disk.boot("mcopy", "-o", file, `::/${path}`);
}

/**
 * An ext4 disk that holds the OS layout of the tests, for guests that have no registry, and below `osdeploy` this checkout's
 * build, which finds the Node modules of the image. What the guest at `place` writes to it is only its own.
 */
export async function layoutDisk(room: Trixie, place: string): Promise<VirtualDisk> {
  const file = join(vmPlace, "layout.raw");
  await onceARun("layout", () => makeLayoutDisk(room, file));
  return overlayDisk(room, file, join(place, "layout.qcow2"));
}

function makeLayoutDisk(room: Trixie, file: string): void {
  const content = `${file}.content`;
  for (const path of [file, content]) rmSync(path, { recursive: true, force: true });
  cpSync(osLayout, content, { recursive: true });
  cpSync(resolve(projectDir, OSDEPLOY_DIST), join(content, "osdeploy/dist"), { recursive: true });
  copyFileSync(join(projectDir, "package.json"), join(content, "osdeploy/package.json"));
  symlinkSync("/usr/lib/osdeploy/node_modules", join(content, "osdeploy/node_modules"));
  const { status, stderr } = room.run("usr/sbin/mkfs.ext4", "-q", "-L", "layout", "-d", content, file, "2G");
  rmSync(content, { recursive: true });
  if (status !== 0) throw new Error(`mkfs.ext4 failed: ${stderr}`);
}
