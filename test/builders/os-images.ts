import { type ByteString, fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import type { LinuxFiles, Path } from "../../src/linux/linux.ts";
import { type BuiltImage, buildImage, descriptorOf, json } from "./oci-image.ts";
import type { LayerFile } from "./oci-layer.ts";

/** Content of `bytes` bytes that depends on `seed`; over 64 of them become an object. */
export function content(seed: string, bytes = 200): string {
  return seed.repeat(Math.ceil(bytes / seed.length)).slice(0, bytes);
}

/** A small image that boots: a base layer, and one on top that differs by `version`. */
export async function buildOsImage(version: string, changes: readonly LayerFile[] = []): Promise<BuiltImage> {
  return await buildImage({
    labels: { "org.opencontainers.image.version": version },
    layers: osLayers(version, changes),
  });
}

/** The layers of such an image. */
export function osLayers(version: string, changes: readonly LayerFile[] = []): readonly (readonly LayerFile[])[] {
  return [baseLayer, [...versionLayer(version), ...changes]];
}

const directories = [
  "boot",
  "etc",
  "run",
  "sysroot",
  "tmp",
  "usr",
  "usr/bin",
  "usr/lib",
  "usr/lib/modules",
  "var",
  "var/lib",
];

const baseLayer: readonly LayerFile[] = [
  ...directories.map((path): LayerFile => ({ path, mtime: 1000 })),
  { path: "usr/bin/sh", content: content("shell"), mode: 0o755 },
  { path: "usr/bin/sudo", content: content("sudo"), mode: 0o4755 },
  { path: "usr/bin/dash", hardLink: "usr/bin/sh" },
  { path: "bin", symlink: "usr/bin" },
  { path: "etc/passwd", content: content("root:x:0:0\n") },
  { path: "etc/hostname", content: "host\n" },
  { path: "var/lib/state", content: content("state"), uid: 7, gid: 8 },
];

function versionLayer(version: string): readonly LayerFile[] {
  return [
    { path: "usr/lib/os-release", content: `ID=test\nPRETTY_NAME="Test OS"\nIMAGE_VERSION=${version}\n` },
    { path: `usr/lib/modules/6.1-${version}` },
    { path: `usr/lib/modules/6.1-${version}/vmlinuz`, content: content(`kernel ${version}`, 3000) },
    { path: `usr/lib/modules/6.1-${version}/initramfs.img`, content: content(`initramfs ${version}`, 5000) },
    { path: "usr/lib/libc.so", content: content(`libc ${version}`, 9000) },
    { path: "etc/motd", content: content(`welcome to ${version} `) },
  ];
}

/** Puts an OCI layout with these images into `files`, durable. */
export function placeLayout(files: LinuxFiles, directory: Path, images: Readonly<Record<string, BuiltImage>>): void {
  const inside = (name: string): ByteString => fromText(`${directory}/${name}`);
  for (const path of [directory, inside("blobs"), inside("blobs/sha256")]) files.makeDirectory(path, 0o755);
  const blobs = new Map(Object.values(images).flatMap((image) => [...image.blobs]));
  for (const [digest, bytes] of blobs) files.writeNewFile(inside(`blobs/${digest.replace(":", "/")}`), bytes, 0o644);
  files.writeNewFile(inside("oci-layout"), json({ imageLayoutVersion: "1.0.0" }), 0o644);
  const manifests = Object.entries(images).map(([tag, image]) => ({
    ...descriptorOf(image),
    platform: image.platform,
    annotations: { "org.opencontainers.image.ref.name": tag },
  }));
  files.writeNewFile(inside("index.json"), json({ schemaVersion: 2, manifests }), 0o644);
  const fd = files.open(directory, "directory");
  files.syncFileSystem(fd);
  files.close(fd);
}

/** Puts a small root file system that boots into `files`, durable: with a hard link, a symlink and a device. */
export function placeRootDirectory(files: LinuxFiles, directory: Path): void {
  const inside = (name: string): ByteString => fromText(`${directory}/${name}`);
  const write = (path: string, text: string) => files.writeNewFile(inside(path), toBytes(fromText(text)), 0o644);
  files.makeDirectory(directory, 0o755);
  for (const path of [...directories, "usr/lib/modules/6.1"]) files.makeDirectory(inside(path), 0o755);
  write("usr/bin/sh", content("shell"));
  files.link(inside("usr/bin/sh"), inside("usr/bin/dash"));
  files.symlink(fromText("usr/bin"), inside("bin"));
  files.makeNode(inside("var/null"), "character-device", { permissions: 0o666, rdev: 0x103 });
  write("usr/lib/modules/6.1/vmlinuz", content("kernel", 3000));
  write("usr/lib/modules/6.1/initramfs.img", content("initramfs", 5000));
  write("etc/hostname", "host\n");
  const fd = files.open(directory, "directory");
  files.syncFileSystem(fd);
  files.close(fd);
}
