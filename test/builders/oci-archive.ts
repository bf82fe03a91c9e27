import { gunzipSync } from "node:zlib";
import { extract } from "tar-stream";
import type { BuiltImage } from "./oci-image.ts";
import { sha256 } from "./oci-layer.ts";

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly platform?: BuiltImage["platform"];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The images of an OCI archive by their tags, with layers of gzip: what `writeOciArchive` wrote of built ones. */
export async function readOciArchive(archive: Uint8Array): Promise<ReadonlyMap<string, BuiltImage>> {
  const files = await readTar(archive);
  const blobs = new Map(
    [...files].flatMap(([path, bytes]) => (path.startsWith("blobs/") ? [[sha256(bytes), bytes] as const] : [])),
  );
  const blob = (digest: string): Uint8Array => {
    const bytes = blobs.get(digest);
    if (bytes === undefined) throw new Error(`The archive has no blob ${digest}`);
    return bytes;
  };
  const { manifests } = parse<{ manifests: readonly Descriptor[] }>(files.get("index.json") ?? new Uint8Array());
  return new Map(
    manifests.map(({ digest, mediaType, annotations, platform }) => {
      const manifest = blob(digest);
      const documents = parse<{ config: Descriptor; layers: readonly Descriptor[] }>(manifest);
      const layers = documents.layers.map((layer) => {
        const tar = gunzipSync(blob(layer.digest));
        return { tar, diffId: sha256(tar), blob: blob(layer.digest), digest: layer.digest, mediaType: layer.mediaType };
      });
      const config = blob(documents.config.digest);
      const own = [manifest, config, ...layers.map((layer) => layer.blob)];
      const image: BuiltImage = {
        ...{ manifest, manifestDigest: digest, manifestType: mediaType },
        ...{ config, configDigest: documents.config.digest, layers },
        blobs: new Map(own.map((bytes) => [sha256(bytes), bytes])),
        platform: platform ?? { os: "linux", architecture: "amd64" },
      };
      return [annotations?.["org.opencontainers.image.ref.name"] ?? "", image];
    }),
  );
}

async function readTar(archive: Uint8Array): Promise<ReadonlyMap<string, Uint8Array>> {
  const entries = extract();
  entries.end(archive);
  const files = new Map<string, Uint8Array>();
  for await (const entry of entries) {
    const pieces: Uint8Array[] = [];
    for await (const piece of entry) pieces.push(piece as Uint8Array);
    files.set(entry.header.name, Buffer.concat(pieces));
  }
  return files;
}

function parse<T>(bytes: Uint8Array): T {
  return JSON.parse(Buffer.from(bytes).toString()) as T;
}
