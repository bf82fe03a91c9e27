import { describe, expect, test } from "vitest";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { parseRegistryName } from "../../../src/core/oci/registry-name.ts";
import type { ResolvedRegistry } from "../../../src/image-source/image-source.ts";
import { findArtifacts, listReferrers, listReferrersIfTold } from "../../../src/image-source/referrers.ts";

const digest = parseManifestDigest(`sha256:${"a".repeat(64)}`);
const other = parseManifestDigest(`sha256:${"b".repeat(64)}`);
const manifest = "application/vnd.oci.image.manifest.v1+json";
const listed = (artifactType?: string, at: string = other) => ({
  ...{ mediaType: manifest, digest: at, size: 1 },
  ...(artifactType !== undefined && { artifactType }),
});
const indexOf = (...manifests: readonly object[]) => Buffer.from(JSON.stringify({ manifests }));

/** A registry with these documents, by tag or digest, and perhaps an answer to the API for referrers. */
function registry(
  documents: Readonly<Record<string, Uint8Array>>,
  referrers: () => Promise<Uint8Array | undefined> = async () => undefined,
): ResolvedRegistry {
  const name = parseRegistryName("quay.io/os");
  return {
    logical: name,
    physical: name,
    readManifest: async (wanted) => {
      const bytes = documents[wanted];
      return bytes && { mediaType: manifest, digest: other, bytes };
    },
    readReferrers: referrers,
    readBlob: () => Promise.reject(new Error("no blobs")),
  };
}

const tag = digest.replace(":", "-");
const failing = (code: "network" | "unauthorized" | "bad-format", facts = {}) =>
  registry({}, () => Promise.reject(new OsdeployError(code, "Cannot read", { facts })));

describe("listReferrers", () => {
  test("takes what the registry lists, else the index under the tag, else nothing", async () => {
    const told = registry({ [tag]: indexOf() }, async () => indexOf(listed("x")));
    expect(await listReferrers(told, digest)).toMatchObject([{ digest: other, artifactType: "x" }]);
    expect(await listReferrers(registry({ [tag]: indexOf(listed()) }), digest)).toMatchObject([
      { digest: other, artifactType: undefined },
    ]);
    expect(await listReferrers(registry({}), digest)).toEqual([]);
    expect(await listReferrers(registry({ [tag]: Buffer.from("{}") }), digest)).toEqual([]);
  });

  test.each([
    ["a login is asked for", failing("unauthorized")],
    ["the answer is a page for people", failing("bad-format")],
    ["the address is not known", failing("network", { status: 405 })],
  ])("where %s, there is nothing for who only wants what is told", async (_name, refusing) => {
    expect(await listReferrersIfTold(refusing, digest)).toEqual([]);
    await expect(listReferrers(refusing, digest)).rejects.toThrow("Cannot read");
  });

  test.each([{}, { status: 500 }, { status: 429 }, { status: 408 }])("what passes is a failure (%j)", async (facts) => {
    await expect(listReferrersIfTold(failing("network", facts), digest)).rejects.toThrow("Cannot read");
  });
});

test("findArtifacts: of the kind, or of none that is told, and those that are there", async () => {
  const gone = `sha256:${"c".repeat(64)}`;
  const all = indexOf(listed("wanted"), listed("another"), listed(), listed("wanted", gone));
  const found = await findArtifacts(registry({ [tag]: all, [other]: Buffer.from("{}") }), digest, "wanted");
  expect(found.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(["{}", "{}"]);
});
