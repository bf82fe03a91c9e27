import { expect } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { type BundleRequest, type BundleResult, bundleImage } from "../../src/operations/bundle.ts";
import { checkRepo } from "../../src/operations/check-repo.ts";
import { status } from "../../src/operations/status.ts";
import { switchImage } from "../../src/operations/switch.ts";
import type { FakeLinux } from "../fakes/fake-linux.ts";
import { buildChunkedImage, buildChunkedLayer, noise } from "./chunked-layer.ts";
import type { LayerFile } from "./oci-layer.ts";
import {
  layoutReference,
  linuxAmd64,
  machineWith,
  noLogin,
  repoOfSysroot,
  SeenProgress,
  switchTo,
  sysrootPath,
  systemOn,
} from "./operation-machine.ts";

/** The files of the layer that all images share. */
export const bootable: readonly LayerFile[] = [
  ...["boot/", "etc/", "run/", "sysroot/", "tmp/", "var/", "usr/", "usr/lib/", "usr/lib/modules/"].map((path) => ({
    path,
  })),
  { path: "usr/lib/os-release", content: "ID=test\n" },
  { path: "usr/lib/modules/6.1/" },
  { path: "usr/lib/modules/6.1/vmlinuz", content: noise(3000, 100) },
  { path: "usr/lib/modules/6.1/initramfs.img", content: noise(5000, 101) },
  { path: "usr/small", content: "inline" },
];
/** So many files; those of the numbers `changed` are other ones than in the first version. */
export const many = (count: number, changed: readonly number[], version: number): readonly LayerFile[] =>
  Array.from({ length: count }, (_, i) => ({
    path: `usr/file-${i}`,
    content: noise(20_000, i + (changed.includes(i) ? 1000 * version : 0)),
  }));
/** How they are cut into chunks. */
export const chunks = { chunkBytes: 8000 };
/** The lower layer of all images. */
export const base = await buildChunkedLayer(bootable, chunks);
/** The upper layer of each. */
export const top = {
  v1: await buildChunkedLayer(many(30, [], 1), chunks),
  v2: await buildChunkedLayer([...many(30, [3, 17], 2), { path: "usr/new", content: noise(30_000, 7) }], chunks),
  v3: await buildChunkedLayer(many(30, [5], 3), chunks),
};
/** Images that boot; the later ones share most files with the first. */
export const images = {
  v1: buildChunkedImage([base, top.v1]),
  v2: buildChunkedImage([base, top.v2]),
  v3: buildChunkedImage([base, top.v3]),
};

type Changes = Partial<Omit<BundleRequest, "image">> & { readonly image?: string };

/** Bundles v2, unless said otherwise, into `/b.tar`. */
export async function bundle(
  linux: FakeLinux,
  changes: Changes = {},
  progress = new SeenProgress(),
): Promise<BundleResult> {
  return bundleImage(systemOn(linux, { progress: progress.report }), {
    ...{ platform: linuxAmd64, source: { ...noLogin, retry: { tries: 2, delayMs: 1 } }, repo: undefined },
    ...{ hosts: [], bases: [], output: fromText("/b.tar") },
    ...changes,
    image: parseImageReference(changes.image ?? layoutReference("v2")),
  });
}

/** A host that switched to these images. */
export async function host(...tags: readonly (keyof typeof images)[]): Promise<FakeLinux> {
  const linux = machineWith(images);
  for (const tag of tags) await switchTo(linux, tag);
  return linux;
}

/** Puts the status of hosts where a bundle is made. */
export async function carry(from: readonly FakeLinux[], to: FakeLinux) {
  const paths = from.map((_, number) => fromText(`/host-${number}.json`));
  for (const [number, linux] of from.entries()) {
    const value = await status(systemOn(linux), { sysroot: sysrootPath });
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    to.files.writeNewFile(paths[number] ?? fromText("/"), bytes, 0o644);
  }
  return paths;
}

/** The bytes of a bundle. */
export function readBytes(linux: FakeLinux, path = "/b.tar"): Uint8Array {
  return linux.files.readFile(fromText(path), 1 << 30);
}

/** Brings a file to another machine. */
export function bring(from: FakeLinux, to: FakeLinux, bytes = readBytes(from)): void {
  to.files.writeNewFile(fromText("/b.tar"), bytes, 0o644);
}

/** Switches to the image in `/b.tar`. */
export const switchToBundle = (
  linux: FakeLinux,
  changes: { targetReference?: string } = {},
  progress = new SeenProgress(),
) =>
  switchImage(systemOn(linux, { progress: progress.report }), {
    ...{ image: parseImageReference("oci-archive:/b.tar"), sysroot: sysrootPath, platform: linuxAmd64 },
    ...{ source: noLogin, kernelArguments: [] },
    targetReference: changes.targetReference === undefined ? undefined : parseImageReference(changes.targetReference),
  });

/** Nothing is damaged, left over or open. */
export async function expectSound(linux: FakeLinux): Promise<void> {
  const { problems } = await checkRepo(systemOn(linux), { repo: repoOfSysroot, metadataOnly: false });
  expect(problems).toEqual([]);
  expect(linux.files.readDirectory(fromText(`${repoOfSysroot}/staging`))).toEqual([]);
  expect(linux.openPaths).toEqual([]);
}

/** How much of each layer is in a bundle. */
export const kinds = ({ layers }: BundleResult) => layers.map(({ kind }) => kind);
