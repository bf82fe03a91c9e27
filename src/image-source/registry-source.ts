import { sha256Of } from "../core/digest/blob-hasher.ts";
import { type ManifestDigest, parseManifestDigest } from "../core/digest/oci-digest.ts";
import { assert, OsdeployError } from "../core/errors.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import { documentKind } from "../core/oci/media-type.ts";
import type { Platform } from "../core/oci/platform.ts";
import { formatImageReference, type RegistryReference, type ShortReference } from "../core/oci/reference.ts";
import { formatRegistryName, type RegistryName } from "../core/oci/registry-name.ts";
import { EndpointFailures, EndpointRegistries } from "./endpoint-registries.ts";
import { checkRange } from "./file-range.ts";
import type {
  BlobLocation,
  BlobRange,
  ImageSource,
  ResolvedDocument,
  ResolvedImage,
  ResolvedIndex,
  ResolvedRegistry,
} from "./image-source.ts";
import type { Registry } from "./registry.ts";
import { downloadBlob } from "./registry-blob.ts";
import { fetchManifest, fetchReferrers, fetchSmallBlob, unlessMissing } from "./registry-documents.ts";
import type { Endpoint } from "./registry-endpoints.ts";
import { asIndex, checkDigest, checkDocument, resolveDocument } from "./resolve-image.ts";

/** How a source in a registry finds its way. */
export interface RegistrySourceOptions {
  /** The full names that may be meant, in the order to try them; never empty. More than one only for a short name. */
  readonly names: readonly RegistryName[];
  /** Where the image of a name may be got, in the order to try it. @throws OsdeployError `permission-denied`. */
  readonly endpointsOf: (name: RegistryName) => readonly Endpoint[];
  readonly open: (endpoint: Endpoint) => Promise<Registry>;
}

/** What was asked for, and who may have it. */
interface Place {
  readonly name: RegistryName;
  /** Who delivered the manifest; undefined before it is there. */
  readonly delivered: Endpoint | undefined;
  /** Who is asked for what is named by its digest, in this order. */
  readonly endpoints: readonly Endpoint[];
}

/**
 * An image in a registry, or in one of its mirrors. Connects on first use.
 *
 * Who delivered the manifest is asked first for all that follows. When it fails, the others are asked for what is named
 * by its digest: whoever serves it, it is the same.
 */
export class RegistrySource implements ImageSource {
  readonly #reference: RegistryReference | ShortReference;
  readonly #options: RegistrySourceOptions;
  readonly #registries: EndpointRegistries;
  #place: Place | undefined;
  /** The registry that delivered the manifest. */
  #delivering: Registry | undefined;
  #isResolved = false;
  /** How often each blob was asked for to its end. */
  readonly #begun = new Map<string, number>();

  constructor(reference: RegistryReference | ShortReference, options: RegistrySourceOptions) {
    this.#reference = reference;
    this.#options = options;
    this.#registries = new EndpointRegistries(options.open);
  }

  describe(): string {
    return formatImageReference(this.reference());
  }

  reference(): RegistryReference | ShortReference {
    return this.#isResolved && this.#place !== undefined ? { kind: "registry", ...this.#place.name } : this.#reference;
  }

  async resolve(platform: Platform): Promise<ResolvedImage> {
    return this.#withName(async (name) => {
      const document = await this.#fetchNamed(name);
      const title = titleOf(name);
      const readDocument = (descriptor: Descriptor) => this.#readDocument(descriptor, title);
      const image = await resolveDocument(document, { readDocument, platform, name: title });
      this.#isResolved = true;
      return image;
    });
  }

  async resolveIndex(): Promise<ResolvedIndex | undefined> {
    return this.#withName(async (name) => {
      const title = titleOf(name);
      const document = asIndex(await this.#fetchNamed(name), title);
      this.#isResolved = true;
      return document && { document, readDocument: (descriptor) => this.#readDocument(descriptor, title) };
    });
  }

  /** The first of the names that `use` finds something under. */
  async #withName<T>(use: (name: RegistryName) => Promise<T>): Promise<T> {
    const failures: OsdeployError[] = [];
    for (const name of this.#options.names) {
      try {
        return await use(name);
      } catch (error) {
        if (!(error instanceof OsdeployError) || error.code === "interrupted") throw error;
        failures.push(error);
      }
    }
    throw joined(failures, this.#reference);
  }

  registry(): ResolvedRegistry | undefined {
    const place = this.#isResolved ? this.#place : undefined;
    const endpoint = place?.delivered;
    const registry = this.#delivering;
    return place && endpoint && registry && new DeliveringRegistry(place.name, endpoint, registry);
  }

  bundle(): undefined {
    return undefined;
  }

  locateBlob(_blob: Descriptor): BlobLocation | undefined {
    return undefined;
  }

  async *openBlob(blob: Descriptor, options = { offsetBytes: 0 }): AsyncGenerator<Uint8Array> {
    yield* this.#download(blob, { start: options.offsetBytes, end: blob.sizeBytes, toEnd: true });
  }

  async *readBlobRange(blob: Descriptor, range: BlobRange): AsyncGenerator<Uint8Array> {
    checkRange(blob, range);
    const { offsetBytes, lengthBytes } = range;
    yield* this.#download(blob, { start: offsetBytes, end: offsetBytes + lengthBytes, toEnd: false });
  }

  async close(): Promise<void> {
    await this.#registries.close();
  }

  /** The manifest or index with this name; who delivered it is asked first from now on. */
  async #fetchNamed(name: RegistryName): Promise<ResolvedDocument<ManifestDigest>> {
    const endpoints = this.#options.endpointsOf(name);
    const title = titleOf(name);
    const found = await this.#registries.first(endpoints, async (registry, endpoint) => {
      const what = from(endpoint, `fetch manifest of ${title}`);
      const { bytes, mediaType } = await fetchManifest(registry, name.digest ?? name.tag ?? "latest", what);
      if (name.digest !== undefined) checkDigest(bytes, name.digest);
      // The registry tells a digest, too (Docker-Content-Digest); it is not trusted, so it is not read.
      const document = { mediaType, digest: name.digest ?? parseManifestDigest(sha256Of(bytes)), bytes };
      return { endpoint, document, registry };
    });
    this.#delivering = found.registry;
    this.#place = this.#placeOf(name, found.endpoint, { endpoints, digest: found.document.digest });
    return found.document;
  }

  /**
   * The endpoints for all that follows the manifest: who delivered it comes first. Where no mirror may say what a tag is,
   * those that may serve digests come before the registry itself: tags are as fresh as it has them, and the load is theirs.
   */
  #placeOf(
    name: RegistryName,
    delivered: Endpoint,
    { endpoints, digest }: { readonly endpoints: readonly Endpoint[]; readonly digest: ManifestDigest },
  ): Place {
    const asked = new Set(endpoints.map(textOf));
    const forDigests = delivered.isMirror ? [] : this.#options.endpointsOf({ ...name, digest });
    const fresh = forDigests.filter((endpoint) => endpoint.isMirror && !asked.has(textOf(endpoint)));
    const others = endpoints.filter((endpoint) => endpoint !== delivered);
    return { name, delivered, endpoints: [...fresh, delivered, ...others] };
  }

  /** Who cannot be reached is asked last from now on: each blob would wait for him anew. */
  #demote(endpoint: Endpoint, error: unknown): void {
    if (!(error instanceof OsdeployError) || error.code !== "network" || this.#place === undefined) return;
    const others = this.#place.endpoints.filter((each) => each !== endpoint);
    this.#place = { ...this.#place, endpoints: [...others, endpoint] };
  }

  async #readDocument(descriptor: Descriptor, title: string): Promise<Uint8Array> {
    const { digest } = descriptor;
    const isConfig = documentKind(descriptor.mediaType) === "config";
    return this.#registries.first(this.#places().endpoints, async (registry, endpoint) => {
      const what = from(endpoint, `fetch blob ${digest} of ${title}`);
      const read = isConfig ? fetchSmallBlob(registry, { digest }, what) : fetchManifest(registry, digest, what);
      const { bytes } = await read;
      // Here already, so that another endpoint can do better.
      checkDocument(bytes, descriptor);
      return bytes;
    });
  }

  async *#download(blob: Descriptor, part: Parameters<typeof downloadBlob>[1]["part"]): AsyncGenerator<Uint8Array> {
    const { name } = this.#places();
    const failures = new EndpointFailures();
    let { start } = part;
    for (const endpoint of this.#endpointsFor(blob, part)) {
      const what = from(endpoint, `fetch blob ${blob.digest} of docker://${formatRegistryName(name)}`);
      try {
        const registry = await this.#registries.get(endpoint);
        for await (const piece of downloadBlob(registry, { blob, part: { ...part, start }, what })) {
          start += piece.length;
          yield piece;
        }
        return;
      } catch (error) {
        // It sends whole blobs only. So it serves, and who asked for a part of one decides what to do.
        if (error instanceof OsdeployError && error.code === "unsupported") throw error;
        failures.add(endpoint, error);
        this.#demote(endpoint, error);
      }
    }
    throw failures.joined();
  }

  /**
   * Whoever begins a blob a second time was not served what its digest says the first time: then another endpoint comes
   * first. A mirror with damaged blobs stops no pull that way.
   */
  #endpointsFor(
    blob: Descriptor,
    { start, toEnd }: { readonly start: number; readonly toEnd: boolean },
  ): readonly Endpoint[] {
    const { endpoints } = this.#places();
    const begun = this.#begun.get(blob.digest) ?? 0;
    if (!toEnd) return endpoints;
    this.#begun.set(blob.digest, begun + 1);
    if (start > 0) return endpoints;
    const first = begun % Math.max(endpoints.length, 1);
    return [...endpoints.slice(first), ...endpoints.slice(0, first)];
  }

  /** Before anything was resolved: as the configuration has it. */
  #places(): Place {
    const [name] = this.#options.names;
    assert(name !== undefined, "a source has a name to ask for");
    this.#place ??= { name, delivered: undefined, endpoints: this.#options.endpointsOf(name) };
    return this.#place;
  }
}

function titleOf(name: RegistryName): string {
  return `docker://${formatRegistryName(name)}`;
}

function textOf({ host, repository }: Endpoint): string {
  return `${host}/${repository}`;
}

/** The registry that delivered an image's manifest. */
class DeliveringRegistry implements ResolvedRegistry {
  readonly logical: RegistryName;
  readonly physical: RegistryName;
  readonly #registry: Registry;

  constructor(logical: RegistryName, endpoint: Endpoint, registry: Registry) {
    this.logical = logical;
    this.physical = { ...logical, host: endpoint.host, repository: endpoint.repository };
    this.#registry = registry;
  }

  get latencyMs(): number | undefined {
    return this.#registry.latencyMs;
  }

  async readManifest(name: string): Promise<ResolvedDocument<ManifestDigest> | undefined> {
    const found = await unlessMissing(() => fetchManifest(this.#registry, name, `fetch manifest ${this.#of(name)}`));
    if (found === undefined) return undefined;
    if (name.includes(":")) checkDigest(found.bytes, parseManifestDigest(name));
    return { ...found, digest: parseManifestDigest(name.includes(":") ? name : sha256Of(found.bytes)) };
  }

  async readReferrers(digest: ManifestDigest): Promise<readonly Uint8Array[] | undefined> {
    return fetchReferrers(this.#registry, digest, `fetch the referrers of ${this.#of(digest)}`);
  }

  async readBlob(blob: Descriptor, limitBytes: number): Promise<Uint8Array> {
    const what = `fetch blob ${this.#of(blob.digest)}`;
    const { bytes } = await fetchSmallBlob(this.#registry, { digest: blob.digest, limitBytes }, what);
    checkDigest(bytes, blob.digest);
    return bytes;
  }

  #of(name: string): string {
    return `${name} of ${this.physical.host}/${this.physical.repository}`;
  }
}

function from(endpoint: Endpoint, what: string): string {
  return endpoint.isMirror ? `${what} from the mirror ${endpoint.host}` : what;
}

/** One error for all names that a short one could stand for. */
function joined(failures: readonly OsdeployError[], reference: RegistryReference | ShortReference): OsdeployError {
  const [first, ...others] = failures;
  assert(first !== undefined, "a source without a name has nothing to fail with");
  if (others.length === 0) return first;
  const { code, facts } = failures.find((failure) => failure.code !== "not-found") ?? first;
  const state = failures.map(({ message }) => message).join("; ");
  return new OsdeployError(code, `Cannot find "${formatImageReference(reference)}" in a search registry: ${state}`, {
    facts,
    cause: first,
  });
}
