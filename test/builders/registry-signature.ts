import type { FakeRegistry } from "../fakes/fake-registry.ts";
import { sha256 } from "./oci-layer.ts";
import { attachment, cosignPayload, type SigningKey } from "./signatures.ts";

/** Puts a signature beside a manifest, as cosign 2 does. `reference` is the name that it is for. */
export function putSignature(
  registry: FakeRegistry,
  key: SigningKey,
  { digest, reference }: { readonly digest: string; readonly reference: string },
): void {
  const made = attachment(key, cosignPayload(digest, reference));
  if (made.kind !== "attachment") throw new Error("An attachment is one");
  const layer = {
    mediaType: "application/vnd.dev.cosign.simplesigning.v1+json",
    digest: sha256(made.payload),
    size: made.payload.length,
    annotations: Object.fromEntries(made.annotations),
  };
  const type = "application/vnd.oci.image.manifest.v1+json";
  const config = { mediaType: "application/vnd.oci.image.config.v1+json", digest: sha256(made.payload), size: 1 };
  registry.addBytes(made.payload);
  const manifest = { schemaVersion: 2, mediaType: type, config, layers: [layer] };
  registry.addBytes(Buffer.from(JSON.stringify(manifest)), { type, tag: `${digest.replace(":", "-")}.sig` });
}
