import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { decompress } from "@mongodb-js/zstd";
import { extract } from "tar-stream";

/** The files of a packed OCI layout: path to bytes. Links and directories are left out. */
export type OciLayout = ReadonlyMap<string, Uint8Array>;

/** Reads a layout that is kept as `.tar.zst`. */
export async function readLayoutArchive(file: URL): Promise<OciLayout> {
  const archive = extract();
  const layout = new Map<string, Uint8Array>();
  archive.end(await decompress(await readFile(file)));
  for await (const entry of archive) {
    const pieces: Uint8Array[] = [];
    for await (const piece of entry) pieces.push(piece as Uint8Array);
    if (entry.header.type === "file") layout.set(entry.header.name.replace(/^\.\//, ""), Buffer.concat(pieces));
  }
  return layout;
}

/** The unpacked tars of the image whose manifest has `manifestDigest`, lowest layer first. Checks nothing. */
export async function readLayerTars(layout: OciLayout, manifestDigest: string): Promise<readonly Uint8Array[]> {
  const manifest = JSON.parse(Buffer.from(blob(layout, manifestDigest)).toString("utf8")) as {
    readonly layers: readonly { readonly digest: string }[];
  };
  return Promise.all(manifest.layers.map(({ digest }) => unpack(blob(layout, digest))));
}

function blob(layout: OciLayout, digest: string): Uint8Array {
  const bytes = layout.get(`blobs/${digest.replace(":", "/")}`);
  if (bytes === undefined) throw new Error(`the layout has no blob ${digest}`);
  return bytes;
}

async function unpack(bytes: Uint8Array): Promise<Uint8Array> {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return gunzipSync(bytes);
  if (Buffer.from(bytes.subarray(0, 4)).readUInt32LE() === 0xfd2fb528) return decompress(Buffer.from(bytes));
  return bytes;
}
