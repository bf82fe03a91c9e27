import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
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
    readBlob: async ({ annotations }) => Buffer.from(annotations.get("text") ?? ""),
  };
}

const listed = (name: string, mediaType = manifestType) => ({ mediaType, digest: digestOf(name), size: 1 });
const subject = { digest };

describe("findAttachments", () => {
  test("layers of the tag that are payloads, and bundles that refer to the image", async () => {
    const found = await findAttachments(
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
      found.map((each) =>
        each.kind === "attachment"
          ? `payload ${Buffer.from(each.payload)}`
          : each.kind === "bundle" && `${Buffer.from(each.bytes)}`,
      ),
    ).toEqual(["payload payload", "statement"]);
  });

  test.each([
    ["too many that refer to it", { [tag]: { manifests: Array.from({ length: 129 }, () => listed("bundle")) } }],
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
});
