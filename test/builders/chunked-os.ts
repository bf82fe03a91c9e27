import { buildChunkedImage, buildChunkedLayer, noise } from "./chunked-layer.ts";
import type { BuiltImage } from "./oci-image.ts";
import type { LayerFile } from "./oci-layer.ts";
import { osLayers } from "./os-images.ts";

/** A small image that boots, of zstd:chunked layers that are large enough to come in parts. */
export async function chunkedOsImage(version: string, changes: readonly LayerFile[] = []): Promise<BuiltImage> {
  const data = { path: "usr/lib/data", content: noise(200_000, 77) };
  const layers = osLayers(version, [data, { path: "usr/lib/new", content: noise(20_000, version.length) }, ...changes]);
  return buildChunkedImage(await Promise.all(layers.map((files) => buildChunkedLayer(files, { chunkBytes: 40_000 }))));
}

/** dpkg's database with these packages, as `name version`. */
export function dpkgStatus(...packages: readonly string[]): string {
  const stanza = (words: string) => {
    const [name, version] = words.split(" ");
    return `Package: ${name}\nStatus: install ok installed\nArchitecture: all\nVersion: ${version}\nDescription: ${"x".repeat(200)}\n`;
  };
  return packages.map(stanza).join("\n");
}
