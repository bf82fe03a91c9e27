import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { documentLimitBytes, parseDocument } from "../core/oci/json.ts";
import { arrayOf, optional, textOf } from "../core/oci/json-place.ts";
import { acceptedDocumentTypes } from "../core/oci/media-type.ts";
import type { HttpAnswer } from "./http-client.ts";
import { connectionFailure, readBody, statusFailure } from "./http-failure.ts";
import type { Registry } from "./registry.ts";
import { withAdvice } from "./registry-login.ts";
import { withRetries } from "./retry.ts";

/** A document as a registry sends it; its bytes are compared with nothing yet. */
export interface SentDocument {
  /** What the registry says it is; empty when it says nothing. */
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** Pages of one list that are asked for; a registry can name ever another one. */
const pageLimit = 1_000;
/** Tags in one repository. */
const tagLimit = 100_000;

/** The manifest or index `name`: a tag or a digest. `what` continues `Cannot `. @throws OsdeployError `not-found` too. */
export async function fetchManifest(registry: Registry, name: string, what: string): Promise<SentDocument> {
  const accept = acceptedDocumentTypes.join(", ");
  return fetchDocument(
    registry,
    { path: `manifests/${name}`, headers: { accept }, limitBytes: documentLimitBytes },
    what,
  );
}

/** A blob that is small enough to be read as a whole. */
export async function fetchSmallBlob(
  registry: Registry,
  blob: { readonly digest: string; readonly limitBytes?: number },
  what: string,
): Promise<SentDocument> {
  const limitBytes = blob.limitBytes ?? documentLimitBytes;
  return fetchDocument(registry, { path: `blobs/${blob.digest}`, headers: {}, limitBytes }, what);
}

/**
 * The index of what refers to the manifest `digest`; undefined when the registry has no such list, and the tag
 * `sha256-HEX` is where one may be.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers
 */
export async function fetchReferrers(
  registry: Registry,
  digest: ManifestDigest,
  what: string,
): Promise<SentDocument | undefined> {
  const path = `referrers/${digest}`;
  return unlessMissing(() => fetchDocument(registry, { path, headers: {}, limitBytes: documentLimitBytes }, what));
}

/** All tags of the repository, in the order of the registry. */
export async function listTags(registry: Registry): Promise<readonly string[]> {
  const what = `list the tags of ${registry.host}/${registry.repository}`;
  const tags: string[] = [];
  let path: string | undefined = "tags/list";
  for (let page = 0; path !== undefined && page < pageLimit; page++) {
    const answer: { readonly bytes: Uint8Array; readonly next: string | undefined } = await fetchPage(
      registry,
      path,
      what,
    );
    const found = optional(parseDocument(answer.bytes, `the answer to "${what}"`), "tags");
    if (found !== undefined) tags.push(...arrayOf(found, tagLimit).map(textOf));
    if (tags.length > tagLimit) break;
    path = answer.next;
  }
  if (path === undefined) return tags;
  throw new OsdeployError("limit-exceeded", `Cannot ${what}: there are too many`);
}

/** What `read` gives, or undefined when there is no such thing. */
export async function unlessMissing<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof OsdeployError && error.code === "not-found") return undefined;
    throw error;
  }
}

interface DocumentRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly limitBytes: number;
}

async function fetchDocument(registry: Registry, request: DocumentRequest, what: string): Promise<SentDocument> {
  return withAnswer(registry, request, what, async (answer) => {
    const mediaType = (answer.header("content-type") ?? "").replace(/;.*$/s, "").trim();
    return { mediaType, bytes: await readBody(answer, request.limitBytes, what) };
  });
}

async function fetchPage(
  registry: Registry,
  path: string,
  what: string,
): Promise<{ readonly bytes: Uint8Array; readonly next: string | undefined }> {
  return withAnswer(registry, { path, headers: {} }, what, async (answer) => ({
    bytes: await readBody(answer, documentLimitBytes, what),
    next: nextPage(answer.header("link")),
  }));
}

/** The rest of the list, on this registry and in this repository: `Link: </v2/NAME/tags/list?n=…>; rel="next"`. */
function nextPage(link: string | undefined): string | undefined {
  return /<[^>]*\/(tags\/list\?[^>]{1,1000})>\s*;\s*rel="?next"?/.exec(link ?? "")?.[1];
}

async function withAnswer<T>(
  registry: Registry,
  request: Pick<DocumentRequest, "path" | "headers">,
  what: string,
  use: (answer: HttpAnswer) => Promise<T>,
): Promise<T> {
  const { retry, login } = registry.options;
  return withRetries(retry, async () => {
    try {
      const answer = await registry.get(request.path, request.headers, what);
      if (answer.status !== 200) throw withAdvice(await statusFailure(answer, what), login);
      return await use(answer);
    } catch (error) {
      throw connectionFailure(error, what, { host: registry.host, signal: retry.signal });
    }
  });
}
