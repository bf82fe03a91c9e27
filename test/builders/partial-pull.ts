import { expect } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { checkRepo } from "../../src/operations/check-repo.ts";
import type { ProgressEvent } from "../../src/operations/progress.ts";
import { type PullResult, pull } from "../../src/operations/pull.ts";
import { readDirectoryIfExists } from "../../src/repo/object-listing.ts";
import type { FakeLinux } from "../fakes/fake-linux.ts";
import { FakeRegistry, type FakeRegistryOptions } from "../fakes/fake-registry.ts";
import { buildChunkedImage, buildChunkedLayer, type ChunkedLayer, noise } from "./chunked-layer.ts";
import type { BuiltImage } from "./oci-image.ts";
import type { LayerFile } from "./oci-layer.ts";
import { bareEnvironment } from "./oci-source.ts";
import { linuxAmd64, machineWithRepo, repoOfSysroot, systemOn } from "./operation-machine.ts";

const shared: readonly LayerFile[] = [
  { path: "usr/" },
  { path: "usr/small", content: "forty bytes that stay in the splitstream" },
  { path: "usr/empty", content: "" },
  { path: "usr/medium", content: noise(30_000, 2) },
  { path: "usr/large", content: noise(1_500_000, 3) },
  { path: "usr/link", symlink: "small" },
  { path: "usr/again", hardLink: "usr/medium" },
  { path: "usr/näme", content: noise(500, 4) },
];
const sparse = Buffer.concat([noise(40_000, 8), new Uint8Array(40_000), noise(40_000, 9)]);
/** The files of the first image's only layer. */
export const v1Files: readonly LayerFile[] = [
  ...shared,
  { path: "usr/old", content: noise(70_000, 5) },
  { path: "usr/parts", content: sparse },
];
const changedParts = Buffer.concat([noise(40_000, 8), new Uint8Array(40_000), noise(40_000, 10)]);
/** Those of the second one's: some are new, most are old. */
export const v2Files: readonly LayerFile[] = [
  { path: "usr/first", content: noise(90_000, 6) },
  ...shared,
  { path: "usr/twin", content: noise(90_000, 6) },
  { path: "usr/new", content: "a few new bytes" },
  { path: "usr/large-new", content: noise(1_200_000, 11) },
  { path: "usr/parts", content: changedParts },
];
/** How they are cut into chunks. */
export const chunks = { chunkBytes: 40_000 };
export const v1: ChunkedLayer = await buildChunkedLayer(v1Files, chunks);
export const v2: ChunkedLayer = await buildChunkedLayer(v2Files, chunks);
export const v1Image: BuiltImage = buildChunkedImage([v1]);
export const v2Image: BuiltImage = buildChunkedImage([v2]);

const registries: FakeRegistry[] = [];
/** Stops the registries that were started. */
export async function stopRegistries(): Promise<void> {
  for (const registry of registries.splice(0)) await registry.stop();
}

export async function registryWith(
  images: Readonly<Record<string, BuiltImage>>,
  options: FakeRegistryOptions = {},
): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options);
  registries.push(registry);
  for (const [tag, image] of Object.entries(images)) registry.add(image, tag);
  return registry;
}

export interface SeenPull extends PullResult {
  readonly warnings: readonly string[];
  /** Bytes of blobs of layers that were asked for. */
  readonly layerBytes: number;
  readonly requests: number;
}

/** Pulls; `host` is where the registry is reached, if that is another place; `onFinished` is called for each layer. */
export async function pullFrom(
  linux: FakeLinux,
  registry: FakeRegistry,
  tag: string,
  {
    host = registry.host,
    repair = false,
    onFinished = () => {},
  }: { readonly host?: string; readonly repair?: boolean; readonly onFinished?: () => void } = {},
): Promise<SeenPull> {
  const warnings: string[] = [];
  const progress = (event: ProgressEvent) => {
    if (event.kind === "warning") warnings.push(event.message);
    if (event.kind === "layer-finished") onFinished();
  };
  registry.requests.length = 0;
  const pulled = await pull(systemOn(linux, { progress }), {
    image: parseImageReference(`docker://${host}/os:${tag}`),
    repo: repoOfSysroot,
    platform: linuxAmd64,
    source: {
      environment: bareEnvironment,
      retry: { tries: 2, delayMs: 1 },
      timeouts: { connectMs: 2_000, headersMs: 400, idleMs: 400 },
    },
    bootable: false,
    repair,
  });
  const sizes = new Map(pulled.layers.map(({ digest, sizeBytes }) => [digest as string, sizeBytes]));
  const asked = registry.requests.flatMap(({ path, range }) => {
    const whole = sizes.get(path.slice(path.lastIndexOf("/") + 1));
    if (whole === undefined) return [];
    const [, start, end] = /^bytes=([0-9]+)-([0-9]*)$/.exec(range ?? "") ?? [];
    const last = end === "" ? whole - 1 : Number(end);
    return [start === undefined ? whole : last - Number(start) + 1];
  });
  return { ...pulled, warnings, layerBytes: asked.reduce((sum, bytes) => sum + bytes, 0), requests: asked.length };
}

/** What a pull of only this image gives. */
export async function wholePull(
  image: BuiltImage,
): Promise<{ readonly rawImage: string; readonly streams: readonly string[] }> {
  const linux = await machineWithRepo({});
  const { rawImage } = await pullFrom(linux, await registryWith({ x: image }), "x");
  return { rawImage, streams: layerStreams(linux) };
}

/** Layers and the object that each is. The same zstd library gives the same object for the same splitstream. */
export function layerStreams(linux: FakeLinux): readonly string[] {
  const directory = fromText(`${repoOfSysroot}/streams`);
  return readDirectoryIfExists(linux.files, directory)
    .filter((name) => name.startsWith("oci-layer-"))
    .map((name) => `${name} ${linux.files.readLink(fromText(`${directory}/${name}`))}`);
}

export async function expectHealthy(linux: FakeLinux): Promise<void> {
  const { problems } = await checkRepo(systemOn(linux), { repo: repoOfSysroot, metadataOnly: false });
  expect(problems).toEqual([]);
  expect(readDirectoryIfExists(linux.files, fromText(`${repoOfSysroot}/staging`))).toEqual([]);
  expect(linux.openPaths).toEqual([]);
}

export function indexNames(linux: FakeLinux): readonly string[] {
  return readDirectoryIfExists(linux.files, fromText(`${repoOfSysroot}/content-index`));
}
