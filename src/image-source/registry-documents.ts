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
/** Of a list of referrers: with a hundred on each it has more than anybody reads. */
const referrerPageLimit = 32;
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
 * The index of what refers to the manifest `digest`, page by page; undefined when the registry has no such list, and the tag
 * `sha256-HEX` is where one may be.
 *
 * @throws OsdeployError `limit-exceeded` for ever another page; `bad-format` for a next page that is none of this list.
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#listing-referrers
 */
export async function fetchReferrers(
  registry: Registry,
  digest: ManifestDigest,
  what: string,
): Promise<readonly Uint8Array[] | undefined> {
  const list = `referrers/${digest}`;
  let page = await unlessMissing(() => fetchPage(registry, list, { list, what }));
  if (page === undefined) return undefined;
  const pages = [page.bytes];
  while (page.next !== undefined) {
    if (pages.length >= referrerPageLimit) throw tooManyPages(what);
    page = await fetchPage(registry, page.next, { list, what });
    pages.push(page.bytes);
  }
  return pages;
}

/** All tags of the repository, in the order of the registry. */
export async function listTags(registry: Registry): Promise<readonly string[]> {
  const what = `list the tags of ${registry.host}/${registry.repository}`;
  const tags: string[] = [];
  const list = "tags/list";
  let path: string | undefined = list;
  for (let page = 0; path !== undefined && page < pageLimit; page++) {
    const answer: Page = await fetchPage(registry, path, { list, what });
    const found = optional(parseDocument(answer.bytes, `the answer to "${what}"`), "tags");
    if (found !== undefined) tags.push(...arrayOf(found, tagLimit).map(textOf));
    if (tags.length > tagLimit) break;
    path = answer.next;
  }
  if (path === undefined) return tags;
  throw tooManyPages(what);
}

function tooManyPages(what: string): OsdeployError {
  return new OsdeployError("limit-exceeded", `Cannot ${what}: there are too many`);
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

/** A page of a list. */
interface Page {
  readonly bytes: Uint8Array;
  /** Where the next one is, below the repository; undefined for the last. */
  readonly next: string | undefined;
}

/** `list` is where the list begins. */
async function fetchPage(
  registry: Registry,
  path: string,
  { list, what }: { readonly list: string; readonly what: string },
): Promise<Page> {
  return withAnswer(registry, { path, headers: {} }, what, async (answer) => ({
    bytes: await readBody(answer, documentLimitBytes, what),
    next: nextPage(answer.header("link"), list, what),
  }));
}

/**
 * The rest of the list, on this registry and in this repository, whatever else the address says:
 * `Link: </v2/NAME/tags/list?n=…>; rel="next"`. Proxies change hosts and forget to change them there.
 */
function nextPage(link: string | undefined, list: string, what: string): string | undefined {
  const target = /<([^<>]*)>\s*;[^,<]*\brel="?next\b/.exec(link ?? "")?.[1];
  if (target === undefined) return undefined;
  const [path = "", query] = target.split("?", 2);
  if (query !== undefined && query.length <= 1000 && path.replaceAll(/%3a/gi, ":").endsWith(`/${list}`)) {
    return `${list}?${query}`;
  }
  throw new OsdeployError("bad-format", `Cannot ${what}: the next page that the registry names is none of the list`);
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
      checkEncoding(answer, what);
      return await use(answer);
    } catch (error) {
      throw connectionFailure(error, what, { host: registry.host, signal: retry.signal });
    }
  });
}

/**
 * Documents are digested as they come. Blobs need no such check, and get none: their sizes and digests tell, and there are
 * stores that call a layer of gzip a file "encoded" with it.
 */
function checkEncoding(answer: HttpAnswer, what: string): void {
  const encoding = answer.header("content-encoding") ?? "identity";
  if (encoding === "identity") return;
  answer.body.destroy();
  const name = JSON.stringify(encoding.slice(0, 40));
  const state = `it comes compressed with ${name}, which was not asked for; a proxy in front of the registry may do that`;
  throw new OsdeployError("unsupported", `Cannot ${what}: ${state}`);
}
