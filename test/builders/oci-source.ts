import type { Server } from "node:net";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { ImageSource, ResolvedLayer } from "../../src/image-source/image-source.ts";
import { openImageSource, type SourceOptions } from "../../src/image-source/open-image-source.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { FakeRegistry, type FakeRegistryOptions } from "../fakes/fake-registry.ts";
import { type BuiltImage, buildImage } from "./oci-image.ts";

/** A process without login files, proxies and a home. */
export const bareEnvironment = { variables: { HOME: "/nowhere" }, userId: 4_000_000 } as const;

export const amd64 = parsePlatform("amd64");

/** Registries and sources that a test opened, so that all of them end with it. */
export class OpenSources {
  readonly #open: { stop(): Promise<void> }[] = [];

  /** For `afterEach`. */
  async stop(): Promise<void> {
    for (const each of this.#open.splice(0)) await each.stop();
  }

  /** A fake registry that holds `image` as `os:v1`. */
  async registry(image: BuiltImage, options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
    const registry = await FakeRegistry.start(options);
    this.#open.push(registry);
    registry.add(image, "v1");
    return registry;
  }

  /** A source that loses patience soon, for `os:v1` unless said otherwise. */
  source(place: { readonly host: string }, options: Partial<SourceOptions> = {}, name = "os:v1"): ImageSource {
    const reference = parseImageReference(`docker://${place.host}/${name}`);
    return this.add(openImageSource(reference, openLinux(), { ...patience, environment: bareEnvironment, ...options }));
  }

  addServer(server: Server): void {
    this.#open.push({ stop: () => new Promise((done) => server.close(() => done())) });
  }

  add(source: ImageSource): ImageSource {
    this.#open.push({ stop: () => source.close() });
    return source;
  }
}

const patience = {
  retry: { tries: 3, delayMs: 1 },
  timeouts: { connectMs: 2_000, headersMs: 400, idleMs: 400 },
};

/** An image with one layer of some 60 kB that does not compress. */
export function buildNoiseImage(): Promise<BuiltImage> {
  const noise = Array.from({ length: 60_000 }, (_, at) => String.fromCharCode(33 + ((at * at * 31) % 90))).join("");
  return buildImage({ layers: [[{ path: "usr/" }, { path: "usr/a", content: noise }]], compression: "none" });
}

/** The lowest layer of what `source` resolves to. */
export async function layerOf(source: ImageSource): Promise<ResolvedLayer> {
  const [layer] = (await source.resolve(amd64)).layers;
  if (layer === undefined) throw new Error("the image has a layer");
  return layer;
}

/** All pieces, joined. */
export async function readAll(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const found: Uint8Array[] = [];
  for await (const piece of pieces) found.push(piece);
  return Buffer.concat(found);
}
