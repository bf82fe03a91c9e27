import { sha256Of } from "../core/digest/blob-hasher.ts";
import { parseManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import { documentLimitBytes } from "../core/oci/json.ts";
import { acceptedDocumentTypes, documentKind } from "../core/oci/media-type.ts";
import type { Platform } from "../core/oci/platform.ts";
import { formatImageReference, type RegistryReference } from "../core/oci/reference.ts";
import type { HttpAnswer } from "./http-client.ts";
import { connectionFailure, PassingFailure, readBody, statusFailure } from "./http-failure.ts";
import type { BlobLocation, ImageSource, ResolvedImage } from "./image-source.ts";
import { Registry, type RegistryOptions } from "./registry.ts";
import { withAdvice } from "./registry-login.ts";
import { checkDigest, resolveDocument } from "./resolve-image.ts";
import { waitAfter, withRetries } from "./retry.ts";

/** So much progress makes earlier failures of a download forgotten. A byte a try would go on for ever. */
const progressBytes = 1024 * 1024;

/** An image in a registry. Connects on first use. */
export class RegistrySource implements ImageSource {
  readonly #reference: RegistryReference;
  readonly #options: RegistryOptions;
  #registry: Promise<Registry> | undefined;

  constructor(reference: RegistryReference, options: RegistryOptions) {
    this.#reference = reference;
    this.#options = options;
  }

  describe(): string {
    return formatImageReference(this.#reference);
  }

  async resolve(platform: Platform): Promise<ResolvedImage> {
    const { digest, tag } = this.#reference;
    const name = this.describe();
    const { bytes, mediaType } = await this.#fetchDocument(`manifests/${digest ?? tag}`, `fetch manifest of ${name}`);
    if (digest !== undefined) checkDigest(bytes, digest);
    // The registry tells a digest, too (Docker-Content-Digest); it is not trusted, so it is not read.
    const first = { mediaType, digest: digest ?? parseManifestDigest(sha256Of(bytes)), bytes };
    return resolveDocument(first, { readDocument: (descriptor) => this.#readDocument(descriptor), platform, name });
  }

  locateBlob(_blob: Descriptor): BlobLocation | undefined {
    return undefined;
  }

  async *openBlob(blob: Descriptor, options = { offsetBytes: 0 }): AsyncGenerator<Uint8Array> {
    let at = options.offsetBytes;
    let failures = 0;
    while (at < blob.sizeBytes) {
      const start = at;
      try {
        for await (const piece of this.#blobFrom(blob, at)) {
          at += piece.length;
          yield piece;
        }
      } catch (error) {
        failures = at - start >= progressBytes ? 1 : failures + 1;
        await waitAfter(this.#failure(error, this.#fetching(blob)), failures, this.#options.retry);
      }
    }
  }

  async close(): Promise<void> {
    await (await this.#registry)?.close();
  }

  #open(): Promise<Registry> {
    this.#registry ??= Registry.open(this.#reference, this.#options);
    return this.#registry;
  }

  #failure(error: unknown, what: string): Error {
    return connectionFailure(error, what, { host: this.#reference.host, signal: this.#options.retry.signal });
  }

  #fetching(blob: Descriptor): string {
    return `fetch blob ${blob.digest} of ${this.describe()}`;
  }

  async #readDocument(descriptor: Descriptor): Promise<Uint8Array> {
    const place = documentKind(descriptor.mediaType) === "config" ? "blobs" : "manifests";
    return (await this.#fetchDocument(`${place}/${descriptor.digest}`, this.#fetching(descriptor))).bytes;
  }

  async #fetchDocument(
    path: string,
    what: string,
  ): Promise<{ readonly bytes: Uint8Array; readonly mediaType: string }> {
    const registry = await this.#open();
    return withRetries(this.#options.retry, async () => {
      try {
        const answer = await registry.get(path, { accept: acceptedDocumentTypes.join(", ") }, what);
        if (answer.status !== 200) throw withAdvice(await statusFailure(answer, what), this.#options.credentials);
        const mediaType = (answer.header("content-type") ?? "").replace(/;.*$/s, "").trim();
        return { bytes: await readBody(answer, documentLimitBytes, what), mediaType };
      } catch (error) {
        throw this.#failure(error, what);
      }
    });
  }

  /** What comes of one try: never more than is missing, and a failure when it is less. */
  async *#blobFrom(blob: Descriptor, offsetBytes: number): AsyncGenerator<Uint8Array> {
    const what = this.#fetching(blob);
    const registry = await this.#open();
    const headers: Readonly<Record<string, string>> = offsetBytes === 0 ? {} : { range: `bytes=${offsetBytes}-` };
    const answer = await registry.get(`blobs/${blob.digest}`, headers, what);
    try {
      let at = await startOf(answer, offsetBytes, what);
      for await (const piece of answer.body as AsyncIterable<Uint8Array>) {
        const end = at + piece.length;
        if (end > blob.sizeBytes) throw tooLong(blob, what);
        if (end > offsetBytes) yield piece.subarray(Math.max(offsetBytes - at, 0));
        at = end;
      }
      if (at < blob.sizeBytes) throw new PassingFailure(tooShort(blob, at, what));
    } finally {
      answer.body.destroy();
    }
  }
}

/** Where in the blob the body of `answer` starts. Servers may ignore what we ask for and send all. */
async function startOf(answer: HttpAnswer, offsetBytes: number, what: string): Promise<number> {
  if (answer.status === 200) return 0;
  if (answer.status !== 206 || offsetBytes === 0) throw await statusFailure(answer, what);
  const start = /^bytes ([0-9]{1,15})-/.exec(answer.header("content-range") ?? "")?.[1];
  if (start !== undefined && Number(start) <= offsetBytes) return Number(start);
  throw new OsdeployError("network", `Cannot ${what}: the registry sends another part than was asked for`);
}

function tooLong(blob: Descriptor, what: string): OsdeployError {
  return new OsdeployError(
    "bad-format",
    `Cannot ${what}: it is longer than the ${blob.sizeBytes} bytes of its descriptor`,
  );
}

function tooShort(blob: Descriptor, bytes: number, what: string): OsdeployError {
  return new OsdeployError("network", `Cannot ${what}: it ended after ${bytes} of ${blob.sizeBytes} bytes`);
}
