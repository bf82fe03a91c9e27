import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { parseRegistryName } from "../../../src/core/oci/registry-name.ts";
import type { ResolvedRegistry } from "../../../src/image-source/image-source.ts";
import { findAttachments } from "../../../src/image-source/signature-attachments.ts";

const digest = parseManifestDigest(`sha256:${"a".repeat(64)}`);
const tag = digest.replace(":", "-");
const manifestType = "application/vnd.oci.image.manifest.v1+json";
const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json";
const payloadType = "application/vnd.dev.cosign.simplesigning.v1+json";
const digestOf = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;
const layer = (mediaType: string, text: string, more: object = {}) => ({
  ...{ mediaType, digest: digestOf(text), size: text.length, annotations: { text } },
  ...more,
});

/** A registry whose blobs hold the text of their annotation. */
function registry(documents: Readonly<Record<string, object>>): ResolvedRegistry {
  const name = parseRegistryName("quay.io/os");
  return {
    ...{ logical: name, physical: name, latencyMs: undefined, readReferrers: async () => undefined },
    readManifest: async (wanted) => {
      const document = documents[wanted];
      const bytes = Buffer.from(JSON.stringify(document ?? {}));
      return document && { mediaType: manifestType, digest: parseManifestDigest(digestOf("x")), bytes };
    },
    readBlob: async ({ annotations, sizeBytes }, limitBytes) => {
      if (sizeBytes > limitBytes) throw new OsdeployError("limit-exceeded", "Cannot fetch the blob: it is too large");
      return Buffer.from(annotations.get("text") ?? "");
    },
  };
}

const listed = (name: string, mediaType = manifestType) => ({ mediaType, digest: digestOf(name), size: 1 });
const subject = { digest };

describe("findAttachments", () => {
  test("layers of the tag that are payloads, and bundles that refer to the image", async () => {
    const { signatures, untold } = await findAttachments(
      registry({
        [`${tag}.sig`]: { layers: [layer(payloadType, "payload"), layer("application/x", "other")] },
        [tag]: {
          manifests: [
            ...["bundle", "stranger", "nobody's", "odd", "gone"].map((name) => listed(name)),
            listed("index", "application/vnd.oci.image.index.v1+json"),
          ],
        },
        [digestOf("bundle")]: { subject, layers: [layer(bundleType, "statement"), layer("application/x", "other")] },
        [digestOf("stranger")]: { subject: { digest: digestOf("y") }, layers: [layer(bundleType, "theirs")] },
        [digestOf("nobody's")]: { layers: [layer(bundleType, "nobody's")] },
        [digestOf("odd")]: { subject, layers: [{ no: "descriptor" }] },
      }),
      digest,
    );
    expect(
      signatures.map((each) =>
        each.kind === "attachment"
          ? `payload ${Buffer.from(each.payload)}`
          : each.kind === "bundle" && `${Buffer.from(each.bytes)}`,
      ),
    ).toEqual(["payload payload", "statement"]);
    expect(untold).toBeUndefined();
  });

  test.each([
    [
      "too many in one",
      { [`${tag}.sig`]: { layers: Array.from({ length: 129 }, () => layer(payloadType, "payload")) } },
    ],
    [
      "too large",
      { [`${tag}.sig`]: { layers: Array.from({ length: 20 }, () => layer(payloadType, "p", { size: 4_000_000 })) } },
    ],
  ])("refuses %s", async (_name, documents) => {
    await expect(findAttachments(registry(documents), digest)).rejects.toMatchObject({
      code: expect.stringMatching(/limit-exceeded|bad-format/),
    });
  });

  test.each([4 * 1024 * 1024, 4 * 1024 * 1024 + 1])("one signature may have 4 MiB; one has %i bytes", async (size) => {
    const large = registry({ [`${tag}.sig`]: { layers: [layer(payloadType, "payload", { size })] } });
    const finding = findAttachments(large, digest);
    if (size % 2 === 0) expect((await finding).signatures).toHaveLength(1);
    else await expect(finding).rejects.toMatchObject({ code: "limit-exceeded" });
  });

  test("128 signatures of one image are read, wherever they are, and 64 MiB of them; more is not", async () => {
    const found = (payloads: number, bundles: number, size = 1) => {
      const layers = (type: string, count: number) => Array.from({ length: count }, () => layer(type, "x", { size }));
      return findAttachments(
        registry({
          [`${tag}.sig`]: { layers: layers(payloadType, payloads) },
          [tag]: { manifests: [listed("bundle")] },
          [digestOf("bundle")]: { subject, layers: layers(bundleType, bundles) },
        }),
        digest,
      );
    };
    const size = 4 * 1024 * 1024;
    expect(await found(100, 28)).toMatchObject({ signatures: { length: 128 }, untold: undefined });
    expect(await found(100, 29)).toMatchObject({ signatures: { length: 100 }, untold: { code: "limit-exceeded" } });
    expect(await found(10, 6, size)).toMatchObject({ signatures: { length: 16 }, untold: undefined });
    expect(await found(10, 7, size)).toMatchObject({ signatures: { length: 10 }, untold: { code: "limit-exceeded" } });
  });

  const signed = { [`${tag}.sig`]: { layers: [layer(payloadType, "payload")] } };
  const one = [expect.objectContaining({ kind: "attachment" })];

  test("other signatures stand where bundles cannot be read, and it is told why", async () => {
    const many = registry({ ...signed, [tag]: { manifests: Array.from({ length: 129 }, () => listed("bundle")) } });
    const tooMany = { signatures: one, untold: { code: "limit-exceeded" } };
    expect(await findAttachments(many, digest)).toMatchObject(tooMany);
    const failure = new OsdeployError("network", "Cannot fetch the referrers", { facts: { status: 500 } });
    const refusing = { ...registry(signed), readReferrers: () => Promise.reject(failure) };
    expect(await findAttachments(refusing, digest)).toEqual({ signatures: one, untold: failure });
    const bundle = { subject, layers: [layer(bundleType, "statement")] };
    const listing = { ...signed, [tag]: { manifests: [listed("bundle"), listed("broken")] } };
    const broken = registry({ ...listing, [digestOf("bundle")]: bundle, [digestOf("broken")]: { subject, layers: 1 } });
    expect((await findAttachments(broken, digest)).signatures).toHaveLength(2);
  });

  test.each([
    ["a signal", new OsdeployError("interrupted", "Cannot go on")],
    ["a mistake of ours", new TypeError("x is not a function")],
  ])("%s is no reason to go on without bundles", async (_name, error) => {
    const failing = { ...registry(signed), readReferrers: () => Promise.reject(error) };
    await expect(findAttachments(failing, digest)).rejects.toBe(error);
  });
});
