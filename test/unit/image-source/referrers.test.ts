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
  referrers: () => Promise<readonly Uint8Array[] | undefined> = async () => undefined,
): ResolvedRegistry {
  const name = parseRegistryName("quay.io/os");
  return {
    logical: name,
    physical: name,
    latencyMs: undefined,
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
    const told = registry({ [tag]: indexOf() }, async () => [indexOf(listed("x"))]);
    expect(await listReferrers(told, digest)).toMatchObject([{ digest: other, artifactType: "x" }]);
    expect(await listReferrers(registry({ [tag]: indexOf(listed()) }), digest)).toMatchObject([
      { digest: other, artifactType: undefined },
    ]);
    expect(await listReferrers(registry({}), digest)).toEqual([]);
    expect(await listReferrers(registry({ [tag]: Buffer.from("{}") }), digest)).toEqual([]);
  });

  test("all pages of a list count, up to a limit for all of them", async () => {
    const pages = (...sizes: readonly number[]) =>
      registry({}, async () => sizes.map((size) => indexOf(...Array.from({ length: size }, () => listed()))));
    expect(await listReferrers(pages(2, 0, 1), digest)).toHaveLength(3);
    expect(await listReferrers(pages(600, 400), digest)).toHaveLength(1000);
    await expect(listReferrers(pages(600, 401), digest)).rejects.toMatchObject({ code: "limit-exceeded" });
  });

  test.each([
    ["a login is asked for", failing("unauthorized")],
    ["the answer is a page for people", failing("bad-format")],
    ["the address is not known", failing("network", { status: 405 })],
    ["there is no such thing in the registry", failing("network", { status: 501 })],
  ])("where %s, there is nothing for who only wants what is told", async (_name, refusing) => {
    expect(await listReferrersIfTold(refusing, digest)).toEqual([]);
    await expect(listReferrers(refusing, digest)).rejects.toThrow("Cannot read");
  });

  test.each([{}, { status: 500 }, { status: 429 }, { status: 408 }])("what passes is a failure (%j)", async (facts) => {
    await expect(listReferrersIfTold(failing("network", facts), digest)).rejects.toThrow("Cannot read");
  });
});

describe("findArtifacts", () => {
  const at = (number: number) => parseManifestDigest(`sha256:${number.toString(16).padStart(64, "0")}`);
  const artifact = (more: object = {}) =>
    Buffer.from(JSON.stringify({ artifactType: "wanted", subject: { digest }, ...more }));
  const emptyConfig = "application/vnd.oci.empty.v1+json";

  /** What is found where these documents are listed, each as of a type. */
  const find = (listing: readonly (readonly [string | undefined, Uint8Array | undefined])[]) => {
    const index = indexOf(...listing.map(([type], number) => listed(type, at(number))));
    const documents = listing.flatMap(([, bytes], number) => (bytes === undefined ? [] : [[at(number), bytes]]));
    return findArtifacts(registry({ [tag]: index, ...Object.fromEntries(documents) }), digest, "wanted");
  };

  test("gives those of the type and about the image, whatever the list calls them, each once", async () => {
    const good = [["wanted"], ["another"], [undefined], [emptyConfig]].map(([type]) => [type, artifact()] as const);
    expect(await find(good)).toHaveLength(3);
    const bad = [
      artifact({ artifactType: "x" }),
      artifact({ subject: { digest: other } }),
      artifact({ subject: null }),
    ];
    expect(await find([...bad, undefined].map((bytes) => ["wanted", bytes] as const))).toEqual([]);
    const twice = indexOf(listed("wanted", at(1)), listed(emptyConfig, at(1)));
    expect(await findArtifacts(registry({ [tag]: twice, [at(1)]: artifact() }), digest, "wanted")).toHaveLength(1);
  });

  test("does not mind what else there is, as signatures of cosign 3, up to 128", async () => {
    const bundle = [emptyConfig, artifact({ artifactType: "application/vnd.dev.sigstore.bundle.v0.3+json" })] as const;
    expect(await find([...Array.from({ length: 127 }, () => bundle), [emptyConfig, artifact()]])).toHaveLength(1);
    await expect(find(Array.from({ length: 129 }, () => bundle))).rejects.toMatchObject({ code: "limit-exceeded" });
  });

  test("takes 16 of the type, and no more", async () => {
    const many = (count: number) => find(Array.from({ length: count }, () => [undefined, artifact()] as const));
    expect(await many(16)).toHaveLength(16);
    await expect(many(17)).rejects.toMatchObject({ code: "limit-exceeded" });
  });

  test.each([`{"a":1,"a":2}`, "[]", "no JSON"])("passes over %s, unless the list calls it one", async (text) => {
    expect(
      await find([
        [emptyConfig, Buffer.from(text)],
        [undefined, artifact()],
      ]),
    ).toHaveLength(1);
    await expect(find([["wanted", Buffer.from(text)]])).rejects.toMatchObject({ code: "bad-format" });
  });

  test("does not take a failure for something else", async () => {
    const failed = new OsdeployError("network", "Cannot read");
    const broken = { ...registry({ [tag]: indexOf(listed()) }), readManifest: (name: string) => answer(name) };
    const answer = (name: string) =>
      name === tag ? registry({ [tag]: indexOf(listed()) }).readManifest(name) : Promise.reject(failed);
    await expect(findArtifacts(broken, digest, "wanted")).rejects.toBe(failed);
  });
});
