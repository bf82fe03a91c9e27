import { type BuiltImage, buildImage } from "./oci-image.ts";
import type { LayerFile } from "./oci-layer.ts";
import { content } from "./os-images.ts";

const directories = [
  "boot",
  "etc",
  "etc/ssh",
  "etc/ssh/sshd_config.d",
  "root",
  "run",
  "sysroot",
  "usr",
  "usr/lib",
  "usr/lib/grub",
  "usr/lib/grub/x86_64-efi",
  "usr/lib/grub/x86_64-efi/monolithic",
  "usr/lib/modules",
  "usr/lib/modules/6.12.1-test",
  "usr/lib/systemd",
  "usr/lib/systemd/boot",
  "usr/lib/systemd/boot/efi",
  "var",
  "var/lib",
];

const files: readonly LayerFile[] = [
  { path: "usr/lib/os-release", content: 'ID=test\nPRETTY_NAME="Test OS"\nIMAGE_VERSION=1\n' },
  { path: "usr/lib/modules/6.12.1-test/vmlinuz", content: content("kernel", 30_000) },
  { path: "usr/lib/modules/6.12.1-test/initramfs.img", content: content("initramfs", 50_000) },
  { path: "usr/lib/systemd/boot/efi/systemd-bootx64.efi", content: content("systemd-boot", 9000) },
  { path: "usr/lib/grub/x86_64-efi/monolithic/grubx64.efi", content: content("grub", 9000) },
  { path: "usr/lib/large", content: content("large", 700_000) },
  { path: "usr/lib/page", content: content("page", 4096) },
  { path: "etc/shadow", content: content("root:*\n"), mode: 0o640, gid: 42 },
  { path: "etc/empty", content: "" },
  { path: 'etc/odd "name" <12>', content: content("odd"), uid: 100_000, gid: 70_000, mode: 0o4711 },
  { path: "etc/link", symlink: "../usr/lib/large" },
  {
    path: "etc/tool",
    content: content("tool"),
    xattrs: { "security.capability": "\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0" },
  },
  { path: "var/lib/state", content: content("state"), uid: 7, gid: 8, mtime: 1_234_567_890 },
];

/** A small image that can be installed, without the files at `without` and with `changes`. */
export async function buildInstallImage({
  without = [],
  changes = [],
}: {
  readonly without?: readonly string[];
  readonly changes?: readonly LayerFile[];
} = {}): Promise<BuiltImage> {
  const kept = files.filter(({ path }) => !without.some((start) => path.startsWith(start)));
  const parents = directories.map((path): LayerFile => ({ path, mtime: 1_600_000_000 }));
  const keptParents = parents.filter(({ path }) => !without.includes(path));
  return await buildImage({ layers: [[...keptParents, ...kept, ...changes]] });
}

/** The same with another kernel, by the name of its modules' directory. */
export async function buildImageWithKernel(version: string): Promise<BuiltImage> {
  const modules = `usr/lib/modules/${version}`;
  return await buildInstallImage({
    without: ["usr/lib/modules/6.12.1-test"],
    changes: [
      { path: modules },
      { path: `${modules}/vmlinuz`, content: content("old") },
      { path: `${modules}/initramfs.img`, content: content("older") },
    ],
  });
}
