import { describe, expect, test } from "vitest";
import type { ManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import type { ResolvedIndex } from "../../../src/image-source/image-source.ts";
import { readWholeIndex } from "../../../src/operations/read-index.ts";
import { json } from "../../builders/oci-image.ts";
import { sha256 } from "../../builders/oci-layer.ts";

const indexType = "application/vnd.oci.image.index.v1+json";
const manifestType = "application/vnd.oci.image.manifest.v1+json";

/** A document as an index names it; `size` is what the index says. */
interface Named {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  readonly size?: number;
}

/** A manifest like no other with another `name`. */
function manifest(name: string, size?: number): Named {
  const blob = { mediaType: "application/octet-stream", digest: sha256(Buffer.from(name)), size: 1 };
  const bytes = json({ schemaVersion: 2, mediaType: manifestType, config: blob, layers: [blob] });
  return { mediaType: manifestType, bytes, ...(size !== undefined && { size }) };
}

const documents = new Map<string, Uint8Array>();

function index(...named: readonly Named[]): Named {
  const manifests = named.map(({ mediaType, bytes, size = bytes.length }) => {
    documents.set(sha256(bytes), bytes);
    return { mediaType, digest: sha256(bytes), size };
  });
  return { mediaType: indexType, bytes: json({ schemaVersion: 2, mediaType: indexType, manifests }) };
}

/** How an index is read that a registry made up; and how many documents were asked for. */
async function read({ mediaType, bytes }: Named) {
  let asked = 0;
  const resolved: ResolvedIndex = {
    document: { mediaType, digest: sha256(bytes) as ManifestDigest, bytes },
    readDocument: async ({ digest }) => {
      asked++;
      return documents.get(digest) ?? new Uint8Array(0);
    },
  };
  const outcome = await readWholeIndex(resolved).catch((error: unknown) => error);
  return { asked, outcome };
}

const nested = (depth: number): Named => (depth === 0 ? index(manifest("a")) : index(nested(depth - 1)));
const many = (count: number, size?: number, from = 0) =>
  index(...Array.from({ length: count }, (_, i) => manifest(String(from + i), size)));
const mebibytes = (count: number) => count * 1024 * 1024;

describe("readWholeIndex", () => {
  test.each([
    ["1000 manifests and indexes", index(many(500), many(498, undefined, 500))],
    ["manifests that say 64 MiB together", many(16, mebibytes(4))],
    ["indexes four deep", nested(3)],
  ])("reads %s", async (_, whole) => {
    const { outcome } = await read(whole);
    expect(outcome).toMatchObject({ images: expect.anything() });
  });

  test.each([
    [
      "1001 manifests and indexes",
      index(many(500), many(499, undefined, 500)),
      1000,
      "it names more than 1000 manifests",
    ],
    ["manifests that say more than 64 MiB together", many(17, mebibytes(4)), 16, "more than 67108864 bytes"],
    ["indexes five deep", nested(4), 4, "its indexes lie more than 4 deep in each other"],
  ])("refuses %s, and asks for no more", async (_, whole, most, words) => {
    const { asked, outcome } = await read(whole);
    expect(outcome).toMatchObject({ code: "limit-exceeded", message: expect.stringContaining(words) });
    expect(asked).toBe(most);
  });
});
