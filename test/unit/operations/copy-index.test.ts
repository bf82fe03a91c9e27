import { afterEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { copyImage } from "../../../src/operations/copy-image.ts";
import type { CopyImageRequest } from "../../../src/operations/copy-request.ts";
import {
  type BuiltImage,
  type BuiltIndex,
  buildImage,
  buildIndex,
  descriptorOf,
  json,
} from "../../builders/oci-image.ts";
import { sha256 } from "../../builders/oci-layer.ts";
import { linuxAmd64, machineWith, noLogin, SeenProgress, systemOn } from "../../builders/operation-machine.ts";
import { putSignature } from "../../builders/registry-signature.ts";
import { makeKey } from "../../builders/signatures.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";
import { FakeRegistry } from "../../fakes/fake-registry.ts";

const indexType = "application/vnd.oci.image.index.v1+json";
const shared = [{ path: "usr/" }, { path: "usr/a", content: "a".repeat(3000) }];
const amd64 = await buildImage({ layers: [shared, [{ path: "b", content: "amd64" }]] });
const arm64 = await buildImage({ layers: [shared, [{ path: "b", content: "arm64" }]], architecture: "arm64" });
const index = buildIndex([amd64, arm64]);

const registries: FakeRegistry[] = [];
afterEach(async () => {
  for (const registry of registries.splice(0)) await registry.stop();
});

async function registryWith(...images: readonly (BuiltImage | BuiltIndex)[]): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start();
  registries.push(registry);
  for (const image of images) registry.add(image, "v1");
  return registry;
}

function entriesOf(built: BuiltIndex): readonly { readonly digest: string; readonly annotations?: object }[] {
  return JSON.parse(Buffer.from(built.index).toString()).manifests;
}

/** An index of indexes. */
function indexOf(...inner: readonly BuiltIndex[]): BuiltIndex {
  const manifests = inner.map((each) => ({ mediaType: indexType, digest: each.indexDigest, size: each.index.length }));
  const bytes = json({ schemaVersion: 2, mediaType: indexType, manifests });
  const blobs = new Map([...inner.flatMap((each) => [...each.blobs]), [sha256(bytes), bytes] as const]);
  return { index: bytes, indexDigest: sha256(bytes), indexType, blobs };
}

async function copy(from: string, to: string, more: Partial<CopyImageRequest> & { readonly linux?: FakeLinux } = {}) {
  const { linux = machineWith({}), ...options } = more;
  const seen = new SeenProgress();
  const copied = await copyImage(systemOn(linux, { progress: seen.report }), {
    image: parseImageReference(from),
    platform: linuxAmd64,
    source: { ...noLogin, retry: { tries: 2, delayMs: 1 } },
    destination: parseImageReference(to),
    destinationOptions: { environment: { variables: { TMPDIR: "/" }, userId: 0 }, retry: { tries: 2, delayMs: 1 } },
    ...{ format: undefined, level: undefined, removeSignatures: false, all: true },
    ...options,
  });
  return { copied, warnings: seen.warnings, linux };
}

const images = [
  { manifestDigest: amd64.manifestDigest, platform: "linux/amd64" },
  { manifestDigest: arm64.manifestDigest, platform: "linux/arm64" },
];

describe("copyImage --all", () => {
  test("all images of an index and their attestations go along, byte for byte, and the name comes last", async () => {
    const from = await registryWith(index);
    const to = await registryWith();
    const target = `docker://${to.host}/os:new`;
    const { copied } = await copy(`docker://${from.host}/os:v1`, target, { digestFile: fromText("/digest") });
    expect(copied).toMatchObject({ kind: "index", destination: target, manifestDigest: index.indexDigest, images });
    const puts = to.requests.filter(({ method }) => method === "PUT").map(({ path }) => path);
    expect(puts.at(-1)).toBe("/v2/os/manifests/new");
    // Each blob once: two configs, the shared layer, two others, and the attestation's config and statement.
    expect(puts.filter((path) => path.startsWith("/upload"))).toHaveLength(7);
    const documents = new Set([index.indexDigest, ...entriesOf(index).map(({ digest }) => digest)]);
    const blobs = [...index.blobs].filter(([digest]) => !documents.has(digest));
    expect(copied.sentBytes).toBe(blobs.reduce((sum, [, bytes]) => sum + bytes.length, 0));
    const again = await copy(`docker://${from.host}/os:v1`, target);
    expect(again.copied.sentBytes).toBe(0);
    for (const file of ["oci:/layout:t", "oci-archive:/archive.tar:t"]) {
      const { copied: kept, linux } = await copy(target, file);
      expect(kept).toMatchObject({ manifestDigest: index.indexDigest, images });
      const back = await registryWith();
      await copy(file, `docker://${back.host}/os:back`, { linux });
      for (const [digest, bytes] of index.blobs) {
        const answer = await fetch(`http://${back.host}/v2/os/blobs/${digest}`);
        expect(Buffer.from(await answer.arrayBuffer())).toEqual(Buffer.from(bytes));
      }
      expect(linux.openPaths).toEqual([]);
    }
  });

  test("the digest of the index is written down", async () => {
    const from = await registryWith(index);
    const { linux } = await copy(`docker://${from.host}/os:v1`, "oci:/out", { digestFile: fromText("/digest") });
    expect(Buffer.from(linux.files.readFile(fromText("/digest"), 100)).toString()).toBe(index.indexDigest);
  });

  test.each([true, false])(
    "a digest that can be written nowhere ends the copy before it begins (all: %j)",
    async (all) => {
      const from = await registryWith(index);
      const copying = copy(`docker://${from.host}/os:v1`, "oci:/out", { digestFile: fromText("/gone/digest"), all });
      await expect(copying).rejects.toMatchObject({ code: "not-found" });
      expect(from.requests).toEqual([]);
    },
  );

  test("one image is copied as without it", async () => {
    const from = await registryWith(arm64);
    const platform = { ...linuxAmd64, architecture: "arm64" };
    const { copied } = await copy(`docker://${from.host}/os:v1`, "oci:/out", { platform });
    expect(copied).toMatchObject({ kind: "image", manifestDigest: arm64.manifestDigest });
  });

  test("indexes in an index are copied before it; too many in each other are refused", async () => {
    const from = await registryWith(indexOf(index, buildIndex([arm64])));
    const to = await registryWith();
    const { copied } = await copy(`docker://${from.host}/os:v1`, `docker://${to.host}/os:t`);
    expect(copied).toMatchObject({ images });
    const puts = to.requests.filter(({ method, path }) => method === "PUT" && path.includes("manifests"));
    expect(puts.map(({ path }) => path.replace(/.*manifests[/]/, "")).slice(-3)).toEqual([
      index.indexDigest,
      buildIndex([arm64]).indexDigest,
      "t",
    ]);
    const deep = await registryWith([1, 2, 3, 4].reduce((inner) => indexOf(inner), index));
    await expect(copy(`docker://${deep.host}/os:v1`, "oci:/out")).rejects.toMatchObject({ code: "limit-exceeded" });
  });

  test.each([[{ format: "zstd" as const }], [{ level: 3 }]])(
    "another compression would make another index: %j is refused",
    async (more) => {
      const from = await registryWith(index);
      await expect(copy(`docker://${from.host}/os:v1`, "oci:/out", more)).rejects.toMatchObject({ code: "usage" });
      expect(from.requests).toEqual([]);
    },
  );

  test("an index that lacks a manifest, or has no image, or one that cannot be read, is no index to copy", async () => {
    const without = new Map(index.blobs);
    without.delete(arm64.manifestDigest);
    const odd = json({ schemaVersion: 2, layers: [] });
    const naming = (...manifests: readonly object[]): BuiltIndex => {
      const bytes = json({ schemaVersion: 2, mediaType: indexType, manifests });
      const blobs = new Map([[sha256(bytes), bytes] as const, [sha256(odd), odd] as const]);
      return { index: bytes, indexDigest: sha256(bytes), indexType, blobs };
    };
    const ofOdd = { mediaType: "application/vnd.oci.image.manifest.v1+json", digest: sha256(odd), size: odd.length };
    const huge = Array.from({ length: 20 }, (_, at) => ({
      ...descriptorOf(amd64),
      ...{ digest: `sha256:${String(at).padStart(64, "0")}`, size: 4_000_000 },
    }));
    for (const [refused, code] of [
      [{ ...index, blobs: without }, "not-found"],
      [naming(), "not-found"],
      [naming(ofOdd), "unsupported"],
      [naming({ ...descriptorOf(amd64), size: 80_000_000 }), "limit-exceeded"],
      [naming(...huge), "not-found"],
    ] as const) {
      const from = await registryWith(refused);
      const linux = machineWith({});
      await expect(copy(`docker://${from.host}/os:v1`, "oci:/out", { linux })).rejects.toMatchObject({ code });
      expect(linux.files.lstatIfExists(fromText("/out"))).toBeUndefined();
    }
  });

  test("the policy is asked about each image, before anything is sent", async () => {
    const from = await registryWith(index);
    const linux = machineWith({});
    linux.files.writeNewFile(fromText("/policy.json"), Buffer.from('{"default": [{"type": "reject"}]}'), 0o644);
    const source = { ...noLogin, signaturePolicy: fromText("/policy.json") };
    const copying = copy(`docker://${from.host}/os:v1`, "oci:/out", { linux, source });
    await expect(copying).rejects.toMatchObject({ code: "untrusted" });
    expect(from.requests.filter(({ path }) => path.includes("/blobs/"))).toEqual([]);
  });

  /** A machine whose policy wants signatures by a key, the registry with some, and the copy. */
  async function copySigned(from: BuiltIndex, signed: readonly string[]) {
    const registry = await registryWith(from);
    const key = makeKey();
    for (const digest of signed) putSignature(registry, key, { digest, reference: `${registry.host}/os` });
    const linux = machineWith({});
    const keyed = { type: "sigstoreSigned", keyData: Buffer.from(key.pem).toString("base64") };
    const policy = { default: [{ ...keyed, signedIdentity: { type: "matchRepository" } }] };
    linux.files.writeNewFile(fromText("/policy.json"), json(policy), 0o644);
    for (const path of ["/etc", "/etc/containers", "/etc/containers/registries.d"]) {
      if (linux.files.lstatIfExists(fromText(path)) === undefined) linux.files.makeDirectory(fromText(path), 0o755);
    }
    const attachments = Buffer.from("default-docker: {use-sigstore-attachments: true}");
    linux.files.writeNewFile(fromText("/etc/containers/registries.d/a.yaml"), attachments, 0o644);
    const source = { ...noLogin, signaturePolicy: fromText("/policy.json") };
    return copy(`docker://${registry.host}/os:v1`, "oci:/out", { linux, source, removeSignatures: true });
  }

  /** The digest of the attestation that stands behind each image. */
  const attestation = String(entriesOf(index).find(({ annotations }) => annotations !== undefined)?.digest);

  test("all that an index names has to be signed, as in containers/image: attestations, and indexes in it", async () => {
    const both = [amd64.manifestDigest, arm64.manifestDigest];
    await expect(copySigned(index, [...both, index.indexDigest])).rejects.toMatchObject({
      code: "untrusted",
      message: expect.stringContaining(`Cannot use ${attestation} of docker://`),
      facts: { hint: expect.stringContaining("attestations") },
    });
    const all = [...both, attestation];
    expect(await copySigned(index, all)).toMatchObject({ copied: { images } });
    const outer = indexOf(index);
    await expect(copySigned(outer, all)).rejects.toMatchObject({ code: "untrusted" });
    expect(await copySigned(outer, [...all, index.indexDigest])).toMatchObject({ copied: { images } });
  });

  test.each([
    ["says of an image that it is an attestation", { annotations: { "vnd.docker.reference.type": "x" } }],
    ["gives an image no platform", { platform: { os: "unknown", architecture: "unknown" } }],
    ["says of an image that it is an artifact", { artifactType: "application/x" }],
  ])("no word of an index lets an image pass the policy: one that %s before it names it", async (_name, words) => {
    const [unsigned, signed] = [descriptorOf(arm64), { ...descriptorOf(amd64), platform: amd64.platform }];
    for (const again of [[{ ...unsigned, platform: arm64.platform }], []]) {
      const manifests = [signed, { ...unsigned, ...words }, ...again];
      const bytes = json({ schemaVersion: 2, mediaType: indexType, manifests });
      const blobs = new Map([...index.blobs, [sha256(bytes), bytes] as const]);
      const smuggling = { index: bytes, indexDigest: sha256(bytes), indexType, blobs };
      await expect(copySigned(smuggling, [amd64.manifestDigest])).rejects.toMatchObject({ code: "untrusted" });
      const { copied } = await copySigned(smuggling, [amd64.manifestDigest, arm64.manifestDigest]);
      expect(copied).toMatchObject({ images: again.length > 0 ? images : images.slice(0, 1) });
    }
  });

  test("signatures of the index and of its images go along, and are told of where they cannot", async () => {
    const from = await registryWith(index);
    for (const digest of [index.indexDigest, arm64.manifestDigest]) {
      const config = { mediaType: "application/vnd.oci.empty.v1+json", digest: from.addBytes(json({})), size: 2 };
      const manifest = json({ schemaVersion: 2, config, layers: [], about: digest });
      const type = "application/vnd.oci.image.manifest.v1+json";
      from.addBytes(manifest, { type, tag: `${digest.replace(":", "-")}.sig` });
    }
    const to = await registryWith();
    const { copied } = await copy(`docker://${from.host}/os:v1`, `docker://${to.host}/os:t`);
    expect(copied.companions).toEqual({ copied: 2, leftBehind: 0 });
    const names = to.requests.flatMap(({ method, path }) => (method === "PUT" ? [path.split("/manifests/")[1]] : []));
    expect(names.filter((name) => name?.endsWith(".sig"))).toHaveLength(2);
    expect(names.at(-1)).toBe("t");
    const file = await copy(`docker://${from.host}/os:v1`, "oci:/out");
    expect(file.copied.companions).toEqual({ copied: 0, leftBehind: 2 });
    expect(file.warnings).toHaveLength(2);
    const alone = await copy(`docker://${from.host}/os:v1`, "oci:/out", { removeSignatures: true });
    expect([alone.copied.companions, alone.warnings]).toEqual([{ copied: 0, leftBehind: 0 }, []]);
  });

  test.each([
    ["the index", index.indexDigest],
    ["a manifest that it names", arm64.manifestDigest],
  ])("from a layout with other bytes for %s nothing is sent", async (_name, digest) => {
    const [from, to] = [await registryWith(index), await registryWith()];
    const { linux } = await copy(`docker://${from.host}/os:v1`, "oci:/layout:v1");
    const path = fromText(`/layout/blobs/${digest.replace(":", "/")}`);
    const text = Buffer.from(linux.files.readFile(path, 100_000)).toString();
    linux.files.unlink(path);
    linux.files.writeNewFile(path, Buffer.from(text.replace("application/", "APPLICATION/")), 0o644);
    await expect(copy("oci:/layout:v1", `docker://${to.host}/os:v1`, { linux })).rejects.toMatchObject({
      code: "digest-mismatch",
      facts: { expected: digest },
    });
    expect(to.requests.map(({ method }) => method)).not.toContain("PUT");
  });

  test.each([true, false])("stopped when the last blob is there, sets no name (all: %j)", async (all) => {
    const from = await registryWith(index);
    const linux = machineWith({});
    const halt = new AbortController();
    let finished = 0;
    const copying = copyImage(
      systemOn(linux, {
        signal: halt.signal,
        progress: ({ kind }) => {
          if (kind === "layer-finished") finished++;
          if (finished === (all ? 7 : 2)) halt.abort();
        },
      }),
      {
        ...{ image: parseImageReference(`docker://${from.host}/os:v1`), platform: linuxAmd64, source: noLogin, all },
        destination: parseImageReference("oci-archive:/out.tar"),
        destinationOptions: { environment: { variables: { TMPDIR: "/" }, userId: 0 } },
        ...{ format: undefined, level: undefined, removeSignatures: true },
      },
    );
    await expect(copying).rejects.toMatchObject({ code: "interrupted" });
    expect(linux.files.lstatIfExists(fromText("/out.tar"))).toBeUndefined();
  });

  test("images of a layout that no index joins are refused", async () => {
    const linux = machineWith({});
    const from = await registryWith(index);
    const name = `docker://${from.host}/os`;
    for (const { manifestDigest } of images) {
      const platform = { ...linuxAmd64, architecture: manifestDigest === arm64.manifestDigest ? "arm64" : "amd64" };
      await copy(`${name}@${manifestDigest}`, "oci:/both", { linux, all: false, platform });
    }
    await expect(copy("oci:/both", "oci:/out", { linux })).rejects.toMatchObject({
      ...{ code: "unsupported", message: "Cannot take all images of oci:/both: no index joins them" },
    });
  });
});
