import { sha256 } from "./oci-layer.ts";

const manifestType = "application/vnd.oci.image.manifest.v1+json";
const indexType = "application/vnd.oci.image.index.v1+json";

/**
 * Puts an artifact of one layer beside an image in a registry without the API for referrers, and lists it under the tag that
 * takes its place. Gives the artifact's digest.
 */
export async function putReferrer(
  name: string,
  subject: string,
  artifact: {
    readonly artifactType: string;
    readonly mediaType: string;
    readonly content: Uint8Array;
    readonly annotations?: object;
  },
): Promise<string> {
  const { artifactType, mediaType, content, annotations = {} } = artifact;
  const [, host, repository] = /^([^/]+)\/(.*?)(:[^:/]*)?$/.exec(name) ?? [];
  const base = `http://${host}/v2/${repository}`;
  const config = Buffer.from("{}");
  for (const bytes of [config, content]) await putBlob(base, bytes);
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: manifestType,
      artifactType,
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: sha256(config), size: config.length },
      layers: [{ mediaType, digest: sha256(content), size: content.length, annotations }],
      subject: { mediaType: manifestType, digest: subject, size: 1 },
    }),
  );
  const digest = sha256(manifest);
  await put(`${base}/manifests/${digest}`, manifestType, manifest);
  const tag = `${base}/manifests/${subject.replace(":", "-")}`;
  const before = await fetch(tag, { headers: { accept: indexType } });
  const listed = before.ok ? ((await before.json()) as { readonly manifests: readonly object[] }).manifests : [];
  const entry = { mediaType: manifestType, digest, size: manifest.length, artifactType };
  const index = { schemaVersion: 2, mediaType: indexType, manifests: [...listed, entry] };
  await put(tag, indexType, Buffer.from(JSON.stringify(index)));
  return digest;
}

async function putBlob(base: string, bytes: Uint8Array): Promise<void> {
  const begun = await fetch(`${base}/blobs/uploads/`, { method: "POST" });
  const place = new URL(begun.headers.get("location") ?? "", base);
  place.searchParams.set("digest", sha256(bytes));
  await put(place.href, "application/octet-stream", bytes);
}

async function put(url: string, type: string, bytes: Uint8Array): Promise<void> {
  const answer = await fetch(url, { method: "PUT", headers: { "content-type": type }, body: new Uint8Array(bytes) });
  if (!answer.ok) throw new Error(`PUT ${url} answers ${answer.status}: ${await answer.text()}`);
}
