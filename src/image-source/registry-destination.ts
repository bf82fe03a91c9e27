import { sha256Of } from "../core/digest/blob-hasher.ts";
import { type ManifestDigest, parseManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import { formatImageReference, type RegistryReference } from "../core/oci/reference.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import type { WorkDirectory } from "../linux/work-directory.ts";
import { checkedBlob } from "./checked-blob.ts";
import { streamRange } from "./file-range.ts";
import type { HttpAnswer, HttpRequest } from "./http-client.ts";
import { connectionFailure, readBody, statusFailure } from "./http-failure.ts";
import type { ImageDestination, ImageToCommit, OpenBlob, WritableRegistry } from "./image-destination.ts";
import type { ResolvedDocument } from "./image-source.ts";
import type { Registry } from "./registry.ts";
import { fetchManifest, unlessMissing } from "./registry-documents.ts";
import { withAdvice } from "./registry-login.ts";
import { withRetries } from "./retry.ts";
import { openScratchDirectory } from "./scratch-directory.ts";

/** What registries answer to uploads is empty or a sentence. */
const answerLimitBytes = 64 * 1024;

/**
 * A repository in a registry. Blobs are looked for before they are sent; the tag is set last.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#push
 */
export class RegistryDestination implements ImageDestination, WritableRegistry {
  readonly scratch: Path;
  readonly #work: WorkDirectory;
  readonly lanes = 3;
  readonly #reference: RegistryReference;
  readonly #registry: Registry;
  readonly #files: LinuxFiles;

  /** `temporary` is where large files may lie for a while. `registry` is closed with this. */
  constructor(
    reference: RegistryReference,
    registry: Registry,
    { linux, temporary }: { readonly linux: Linux; readonly temporary: Path },
  ) {
    this.#reference = reference;
    this.#registry = registry;
    this.#files = linux.files;
    this.#work = openScratchDirectory(linux, temporary);
    this.scratch = this.#work.path;
  }

  describe(): string {
    return formatImageReference(this.#reference);
  }

  async hasBlob(blob: Descriptor): Promise<boolean> {
    const what = `look for blob ${blob.digest} in ${this.describe()}`;
    return this.#try(what, async () => {
      const answer = await this.#registry.request(`blobs/${blob.digest}`, { method: "HEAD", headers: {} }, what);
      answer.body.destroy();
      if (answer.status === 200) return true;
      if (answer.status === 404) return false;
      throw withAdvice(await statusFailure(answer, what), this.#registry.options.login);
    });
  }

  async putBlob(blob: Descriptor, open: OpenBlob): Promise<void> {
    const what = `send blob ${blob.digest} to ${this.describe()}`;
    await this.#try(what, async () => {
      const place = await this.#beginUpload(what);
      const headers = { "content-type": "application/octet-stream", "content-length": String(blob.sizeBytes) };
      const body = () => checkedBlob(blob, open());
      await this.#send(withDigest(place, blob.digest), { method: "PUT", headers, body }, what);
    });
  }

  async putFile(blob: Descriptor, path: Path): Promise<void> {
    const range = { path, offsetBytes: 0, lengthBytes: blob.sizeBytes };
    await this.putBlob(blob, () => streamRange(this.#files, range, 0));
    this.#files.unlink(path);
  }

  async commit({ manifest }: ImageToCommit): Promise<void> {
    const { digest, tag } = this.#reference;
    if (digest !== undefined && digest !== manifest.digest) {
      throw new OsdeployError("usage", `Cannot write ${manifest.digest} to ${this.describe()}: that is another image`);
    }
    await this.putManifest(tag ?? digest ?? "latest", manifest);
  }

  registry(): WritableRegistry {
    return this;
  }

  async readManifest(name: string): Promise<ResolvedDocument<ManifestDigest> | undefined> {
    const found = await unlessMissing(() => fetchManifest(this.#registry, name, `read ${name} at ${this.describe()}`));
    return found && { ...found, digest: parseManifestDigest(sha256Of(found.bytes)) };
  }

  async putManifest(name: string, manifest: ResolvedDocument<ManifestDigest>): Promise<{ readonly isListed: boolean }> {
    const what = `send the manifest to ${this.describe()}`;
    return this.#try(what, async () => {
      const headers = { "content-type": manifest.mediaType };
      const request: HttpRequest = { method: "PUT", headers, body: () => manifest.bytes };
      const answer = await this.#send(`manifests/${name}`, request, what);
      return { isListed: answer.header("oci-subject") !== undefined };
    });
  }

  async close(): Promise<void> {
    this.#work.close();
    await this.#registry.close();
  }

  async #beginUpload(what: string): Promise<URL> {
    const request: HttpRequest = { method: "POST", headers: { "content-length": "0" } };
    const answer = await this.#send("blobs/uploads/", request, what);
    const location = answer.header("location");
    if (location !== undefined && URL.canParse(location, answer.url.href)) return new URL(location, answer.url);
    throw new OsdeployError("network", `Cannot ${what}: the registry names no place for it`);
  }

  /** One request that changes something; its answer has been read. */
  async #send(target: string | URL, request: HttpRequest, what: string): Promise<HttpAnswer> {
    const answer = await this.#registry.request(target, request, what);
    if (![200, 201, 202, 204].includes(answer.status)) {
      throw withAdvice(await statusFailure(answer, what), this.#registry.options.login);
    }
    await readBody(answer, answerLimitBytes, what);
    return answer;
  }

  async #try<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    const { retry } = this.#registry.options;
    return withRetries(retry, async () => {
      try {
        return await attempt();
      } catch (error) {
        throw connectionFailure(error, what, { host: this.#registry.host, signal: retry.signal });
      }
    });
  }
}

/** Where the upload ends. What the registry wrote into the address stays as it is: it may be signed. */
function withDigest(place: URL, digest: string): URL {
  return new URL(`${place.href}${place.search === "" ? "?" : "&"}digest=${encodeURIComponent(digest)}`);
}
