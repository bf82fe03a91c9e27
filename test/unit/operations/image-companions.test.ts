import { afterEach, describe, expect, test } from "vitest";
import { bundleText } from "../../../src/cli/output/bundle-text.ts";
import { sentImageText } from "../../../src/cli/output/sent-image-text.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { bundleImage } from "../../../src/operations/bundle.ts";
import { copyImage } from "../../../src/operations/copy-image.ts";
import type { CopyImageRequest } from "../../../src/operations/copy-request.ts";
import { buildImage } from "../../builders/oci-image.ts";
import { sha256 } from "../../builders/oci-layer.ts";
import { linuxAmd64, machineWith, noLogin, SeenProgress, systemOn } from "../../builders/operation-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";
import { FakeRegistry } from "../../fakes/fake-registry.ts";

const manifestType = "application/vnd.oci.image.manifest.v1+json";
const indexType = "application/vnd.oci.image.index.v1+json";
const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json";
const image = await buildImage({ layers: [[{ path: "a", content: "one" }]] });
const tag = image.manifestDigest.replace(":", "-");

const registries: FakeRegistry[] = [];
afterEach(async () => {
  for (const registry of registries.splice(0)) await registry.stop();
});

async function newRegistry(): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start();
  registries.push(registry);
  return registry;
}

const json = (value: object) => Buffer.from(JSON.stringify(value));
const config = Buffer.from("{}");
const described = (bytes: Uint8Array, mediaType: string) => ({ mediaType, digest: sha256(bytes), size: bytes.length });

/** Puts a manifest of one layer into a registry, and gives its digest. */
function add(registry: FakeRegistry, content: string, more: object = {}, name?: string): string {
  const layer = Buffer.from(content);
  for (const bytes of [config, layer]) registry.addBytes(bytes);
  const manifest = json({
    schemaVersion: 2,
    mediaType: manifestType,
    config: described(config, "application/vnd.oci.empty.v1+json"),
    layers: [described(layer, bundleType)],
    ...more,
  });
  return registry.addBytes(manifest, { type: manifestType, ...(name !== undefined && { tag: name }) });
}

const about = (digest: string) => ({ subject: { mediaType: manifestType, digest, size: 1 } });

function list(registry: FakeRegistry, subject: string, digests: readonly string[]): void {
  const manifests = digests.map((digest) => ({
    ...{ mediaType: manifestType, digest, size: 1, artifactType: bundleType },
    annotations: { a: "b" },
  }));
  const bytes = json({ schemaVersion: 2, mediaType: indexType, manifests });
  registry.addBytes(bytes, { type: indexType, tag: subject.replace(":", "-") });
}

/** An image with a tagged signature and a bundle, which is itself signed. */
async function signedSource(): Promise<{ registry: FakeRegistry; bundle: string; ofBundle: string; tagged: string }> {
  const registry = await newRegistry();
  registry.add(image, "v1");
  const tagged = add(registry, "tagged", {}, `${tag}.sig`);
  const bundle = add(registry, "bundle", about(image.manifestDigest));
  const ofBundle = add(registry, "of the bundle", about(bundle));
  list(registry, image.manifestDigest, [bundle, `sha256:${"0".repeat(64)}`]);
  list(registry, bundle, [ofBundle]);
  return { registry, bundle, ofBundle, tagged };
}

async function copy(
  from: FakeRegistry,
  to: string,
  more: Partial<CopyImageRequest & { readonly machine: FakeLinux }> = {},
) {
  const seen = new SeenProgress();
  const linux = more.machine ?? machineWith({});
  const write = (path: string, text: string) => {
    for (const at of ["/etc", "/etc/containers", "/etc/containers/registries.d"]) {
      if (linux.files.lstatIfExists(fromText(at)) === undefined) linux.files.makeDirectory(fromText(at), 0o755);
    }
    linux.files.writeNewFile(fromText(path), Buffer.from(text), 0o644);
  };
  if (more.source !== undefined) {
    write("/etc/containers/registries.d/a.yaml", "default-docker: {use-sigstore-attachments: true}\n");
  }
  const copied = copyImage(systemOn(linux, { progress: seen.report }), {
    image: parseImageReference(`docker://${from.host}/os:v1`),
    platform: linuxAmd64,
    source: noLogin,
    destination: parseImageReference(to),
    destinationOptions: { environment: { variables: { TMPDIR: "/" }, userId: 0 } },
    ...{ format: undefined, level: undefined, removeSignatures: false },
    ...more,
  });
  return { copied: await copied.catch(failed), warnings: seen.warnings };
}

function failed(error: unknown): unknown {
  return error;
}

const sentTo = (registry: FakeRegistry) =>
  registry.requests.filter(({ method }) => method === "PUT").map(({ path }) => path.replace("/v2/os/manifests/", ""));

async function read(registry: FakeRegistry, name: string): Promise<Record<string, readonly object[]>> {
  return (await (await fetch(`http://${registry.host}/v2/os/manifests/${name}`)).json()) as Record<
    string,
    readonly object[]
  >;
}

describe("what is beside an image", () => {
  test("goes along between registries, before the image gets its name, and is listed where the registry does not", async () => {
    const { registry, bundle, ofBundle } = await signedSource();
    const target = await newRegistry();
    const { copied, warnings } = await copy(registry, `docker://${target.host}/os:v2`);
    expect(copied).toMatchObject({ companions: { copied: 3, leftBehind: 0 }, manifestDigest: image.manifestDigest });
    expect(warnings).toEqual([]);
    const sent = sentTo(target).filter((path) => !path.startsWith("/upload"));
    expect(sent).toEqual([`${tag}.sig`, bundle, tag, ofBundle, bundle.replace(":", "-"), "v2"]);
    expect(await read(target, tag)).toMatchObject({
      manifests: [{ digest: bundle, artifactType: bundleType, annotations: { a: "b" } }],
    });
    expect(sentImageText(copied as Parameters<typeof sentImageText>[0])).toContain("3 signatures and artifacts copied");
  });

  test("are attestations and bills of materials under tags, too, which are no signatures that a file would lose", async () => {
    const registry = await newRegistry();
    registry.add(image, "v1");
    for (const ending of ["att", "sbom"]) add(registry, ending, {}, `${tag}.${ending}`);
    const target = await newRegistry();
    const { copied } = await copy(registry, `docker://${target.host}/os:v2`);
    expect(copied).toMatchObject({ companions: { copied: 2, leftBehind: 0 } });
    const sent = sentTo(target).filter((path) => !path.startsWith("/upload"));
    expect(sent).toEqual([`${tag}.att`, `${tag}.sbom`, "v2"]);
    const file = await copy(registry, "oci-archive:/out.tar", { source: noLogin });
    expect(file.copied).toMatchObject({ companions: { copied: 0, leftBehind: 2 } });
    expect(file.warnings).toEqual(["Left behind 0 signatures and 2 other artifacts: only registries keep them"]);
  });

  test("is left to a registry that lists what refers to an image by itself", async () => {
    const { registry, bundle } = await signedSource();
    const target = await newRegistry();
    target.faults.push({ path: /manifests\/sha256:/, status: 201, headers: { "oci-subject": "x" }, times: 9 });
    await copy(registry, `docker://${target.host}/os:v2`);
    expect(sentTo(target)).toContain(bundle);
    expect(sentTo(target)).not.toContain(tag);
  });

  test("is added to what the destination has, and not sent again", async () => {
    const { registry, bundle, tagged } = await signedSource();
    const target = await newRegistry();
    const own = add(target, "their own signature", { annotations: { kept: "yes" } }, `${tag}.sig`);
    const other = add(target, "their own bundle");
    list(target, image.manifestDigest, [other]);
    await copy(registry, `docker://${target.host}/os:v2`);
    const signatures = await read(target, `${tag}.sig`);
    expect(signatures).toMatchObject({ annotations: { kept: "yes" } });
    expect(signatures["layers"]?.map((layer) => (layer as { digest: string }).digest)).toEqual([
      sha256(Buffer.from("their own signature")),
      sha256(Buffer.from("tagged")),
    ]);
    expect((await read(target, tag))["manifests"]).toMatchObject([{ digest: other }, { digest: bundle }]);
    expect([own, tagged]).not.toContain(undefined);
    const before = await read(target, tag);
    await copy(registry, `docker://${target.host}/os:v2`);
    expect(await read(target, tag)).toEqual(before);
    expect((await read(target, `${tag}.sig`))["layers"]).toHaveLength(2);
  });

  test("stays when the manifest changes, is told to stay, or goes to a file", async () => {
    const { registry, tagged } = await signedSource();
    const target = await newRegistry();
    const changed = await copy(registry, `docker://${target.host}/os:v2`, { format: "zstd" });
    expect(changed.copied).toMatchObject({ companions: { copied: 0, leftBehind: 3 } });
    expect(changed.warnings).toEqual([
      `Left behind 3 signatures and 0 other artifacts: they are about ${image.manifestDigest}, and the copy is another one`,
    ]);
    expect(sentTo(target)).not.toContain(tagged);
    const alone = await copy(registry, `docker://${target.host}/os:v2`, { removeSignatures: true });
    expect(alone).toMatchObject({ copied: { companions: { copied: 0, leftBehind: 0 } }, warnings: [] });
    const file = await copy(registry, "oci-archive:/out.tar");
    expect(file.warnings).toEqual(["Left behind 3 signatures and 0 other artifacts: only registries keep them"]);
    expect(sentImageText(file.copied as Parameters<typeof sentImageText>[0])).toContain(
      "3 signatures and artifacts were",
    );
  });

  test("refuses a file where the registry is said to hold signatures, as skopeo does", async () => {
    const { registry } = await signedSource();
    const { copied } = await copy(registry, "oci-archive:/out.tar", { source: noLogin });
    expect(copied).toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("only registries keep them"),
    });
  });

  test("of an image without any there is nothing to say, and what cannot be read is not copied", async () => {
    const registry = await newRegistry();
    registry.add(image, "v1");
    list(registry, image.manifestDigest, [registry.addBytes(json({ x: 1 }), { type: manifestType })]);
    const target = await newRegistry();
    const { copied } = await copy(registry, `docker://${target.host}/os:v2`);
    expect(copied).toMatchObject({ companions: { copied: 0, leftBehind: 0 } });
    expect(sentImageText(copied as Parameters<typeof sentImageText>[0])).not.toContain("Beside it");
  });

  test("a simple signature goes to the lookaside store, and to no file", async () => {
    const registry = await newRegistry();
    registry.add(image, "v1");
    const target = await newRegistry();
    const machine = machineWith({});
    const folder = `/var/lib/containers/sigstore/os@${image.manifestDigest.replace(":", "=")}`;
    const names = folder.split("/").slice(1);
    for (let count = 1; count <= names.length; count++) {
      machine.files.makeDirectory(fromText(`/${names.slice(0, count).join("/")}`), 0o755);
    }
    machine.files.writeNewFile(fromText(`${folder}/signature-1`), Buffer.of(1), 0o644);
    const { copied } = await copy(registry, `docker://${target.host}/os:v2`, { machine });
    expect(copied).toMatchObject({ companions: { copied: 1, leftBehind: 0 } });
    expect(machine.files.readDirectory(fromText(folder))).toEqual(["signature-1"]);
    expect((await copy(registry, "oci-archive:/out.tar", { machine })).copied).toMatchObject({ code: "unsupported" });
    const changed = await copy(registry, `docker://${target.host}/os:v3`, { machine, format: "zstd" });
    expect(changed.warnings[0]).toMatch(/^Left behind 1 signatures and 0 other artifacts/);
  });

  test("is not what the list names and what is about another image, or about none", async () => {
    const { registry, bundle } = await signedSource();
    const strange = [add(registry, "stranger", about(`sha256:${"1".repeat(64)}`)), add(registry, "of nothing")];
    list(registry, image.manifestDigest, [...strange, bundle, bundle]);
    const target = await newRegistry();
    const { copied } = await copy(registry, `docker://${target.host}/os:v2`);
    expect(copied).toMatchObject({ companions: { copied: 3, leftBehind: 0 } });
    expect(sentTo(target)).toContain(bundle);
    for (const digest of strange) expect(sentTo(target)).not.toContain(digest);
  });

  test("that the registry does not list for us is told of, and missed where signatures are said to be there", async () => {
    const { registry } = await signedSource();
    registry.faults.push({ path: /referrers/, status: 403, times: 99 });
    const target = await newRegistry();
    const { copied, warnings } = await copy(registry, `docker://${target.host}/os:v2`);
    expect(copied).toMatchObject({ companions: { copied: 1, leftBehind: 1 } });
    expect(sentTo(target)).toContain(`${tag}.sig`);
    expect(warnings).toEqual([
      expect.stringMatching(`^What else refers to ${image.manifestDigest} is left behind: Cannot fetch the referrers`),
    ]);
    expect(sentImageText(copied as Parameters<typeof sentImageText>[0])).toContain(
      "1 signatures and artifacts copied, 1 left behind",
    );
    const missed = await copy(registry, `docker://${target.host}/os:v3`, { source: noLogin });
    expect(missed.copied).toMatchObject({ code: "unauthorized" });
    expect(sentTo(target)).not.toContain("v3");
  });

  test("counts as left behind where a page for people is all that the registry tells", async () => {
    const registry = await newRegistry();
    registry.add(image, "v1");
    registry.faults.push({ path: /referrers/, status: 200, body: "a page for people", times: 99 });
    const target = await newRegistry();
    const { copied } = await copy(registry, `docker://${target.host}/os:v2`);
    expect(copied).toMatchObject({ companions: { copied: 0, leftBehind: 1 } });
  });
});

describe("a bundle of an image with signatures", () => {
  async function bundle(registry: FakeRegistry) {
    const seen = new SeenProgress();
    const linux = machineWith({});
    const bundled = await bundleImage(systemOn(linux, { progress: seen.report }), {
      image: parseImageReference(`docker://${registry.host}/os:v1`),
      ...{ platform: linuxAmd64, source: noLogin, hosts: [], bases: [], repo: undefined, output: fromText("/b.tar") },
    });
    return { bundled, warnings: seen.warnings };
  }

  test("says that they stay behind", async () => {
    const { registry } = await signedSource();
    const { bundled, warnings } = await bundle(registry);
    expect(bundled.companions).toEqual({ copied: 0, leftBehind: 3 });
    expect(warnings).toEqual(["Left behind 3 signatures and 0 other artifacts: only registries keep them"]);
    expect(bundleText(bundled)).toContain("3 signatures and artifacts were left behind");
  });

  test("is made also where nobody tells whether there are any, which is told", async () => {
    const { registry } = await signedSource();
    registry.faults.push({ path: /sha256-.*[.]sig/, status: 405, times: 99 });
    const { bundled, warnings } = await bundle(registry);
    expect(bundled.companions).toEqual({ copied: 0, leftBehind: 1 });
    expect(warnings).toEqual([
      expect.stringMatching(`^What else refers to ${image.manifestDigest} is left behind: Cannot fetch manifest`),
    ]);
  });

  test("says nothing where nothing is", async () => {
    const registry = await newRegistry();
    registry.add(image, "v1");
    const { bundled, warnings } = await bundle(registry);
    expect([bundled.companions, warnings]).toEqual([{ copied: 0, leftBehind: 0 }, []]);
    expect(bundleText(bundled)).not.toContain("Beside it");
  });
});

describe("what is beside an image is limited", () => {
  async function copyListed(digests: readonly string[], registry: FakeRegistry) {
    registry.add(image, "v1");
    list(registry, image.manifestDigest, digests);
    const target = await newRegistry();
    const { copied } = await copy(registry, `docker://${target.host}/os:v2`);
    return { copied, sent: sentTo(target) };
  }

  test("in number, before more is asked for", async () => {
    const registry = await newRegistry();
    const digests = Array.from({ length: 200 }, (_, at) => `sha256:${String(at).padStart(64, "0")}`);
    expect(await copyListed(digests, registry)).toMatchObject({ copied: { code: "limit-exceeded" }, sent: [] });
    const asked = registry.requests.filter(({ path }) => path.includes("manifests/sha256:0000"));
    expect(asked.length).toBeLessThanOrEqual(128);
    expect(asked.length).toBeGreaterThan(100);
  });

  test("in the size of its manifests, as they are told and as they are", async () => {
    const registry = await newRegistry();
    const bytes = json({ schemaVersion: 2, mediaType: indexType, manifests: [told(registry, 65 * 1024 * 1024)] });
    registry.add(image, "v1");
    registry.addBytes(bytes, { type: indexType, tag });
    const { copied } = await copy(registry, `docker://${(await newRegistry()).host}/os:v2`);
    expect(copied).toMatchObject({ code: "limit-exceeded" });
    const other = await newRegistry();
    const padding = { annotations: { padding: "x".repeat(60_000) } };
    const layers = Array.from({ length: 64 }, () => ({ ...described(config, "x"), ...padding }));
    const large = Array.from({ length: 18 }, (_, at) =>
      add(other, "large", { layers, at, ...about(image.manifestDigest) }),
    );
    expect(await copyListed(large, other)).toMatchObject({ copied: { code: "limit-exceeded" }, sent: [] });
  });

  function told(registry: FakeRegistry, size: number): object {
    return { mediaType: manifestType, digest: add(registry, "bundle", about(image.manifestDigest)), size };
  }

  test("in the size of its blobs together", async () => {
    const registry = await newRegistry();
    const layer = { ...described(config, bundleType), size: 600 * 1024 * 1024 };
    const digests = ["one", "two"].map((text) =>
      add(registry, text, { layers: [layer], text, ...about(image.manifestDigest) }),
    );
    expect(await copyListed(digests, registry)).toMatchObject({ copied: { code: "limit-exceeded" }, sent: [] });
  });

  test("in number in the destination, where nobody would read more, and nothing changes then", async () => {
    const { registry } = await signedSource();
    const target = await newRegistry();
    const layers = Array.from({ length: 128 }, (_, at) => described(Buffer.from(`theirs ${at}`), bundleType));
    add(target, "theirs", { layers }, `${tag}.sig`);
    const { copied } = await copy(registry, `docker://${target.host}/os:v2`);
    expect(copied).toMatchObject({ code: "limit-exceeded", message: expect.stringContaining("in the destination") });
    expect(await read(target, `${tag}.sig`)).toMatchObject({ layers });
    const unchanged = ["v2", tag, `${tag}.sig`].filter((name) => sentTo(target).includes(name));
    expect(unchanged).toEqual([]);
    const signature = encodeURIComponent(sha256(Buffer.from("tagged")));
    expect(sentTo(target).filter((path) => path.includes(signature))).toEqual([]);
  });

  test("in the list that the destination keeps under a tag", async () => {
    const { registry } = await signedSource();
    const target = await newRegistry();
    const theirs = Array.from({ length: 128 }, (_, at) => `sha256:${String(at).padStart(64, "0")}`);
    list(target, image.manifestDigest, theirs);
    const { copied } = await copy(registry, `docker://${target.host}/os:v2`);
    expect(copied).toMatchObject({ code: "limit-exceeded" });
    expect((await read(target, tag))["manifests"]).toHaveLength(128);
    expect(sentTo(target)).not.toContain("v2");
  });
});
