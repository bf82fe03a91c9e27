// make-layer.mjs layer-4g|layer-64m|files-500k|files-50k LAYOUT: an OCI image of one zstd layer, as large as its name says.
import { spawn } from "node:child_process";
import { createHash, randomFillSync } from "node:crypto";
import { once } from "node:events";
import { createReadStream, mkdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { pack } from "tar-stream";

const [, , name, layout] = process.argv;
mkdirSync(`${layout}/blobs/sha256`, { recursive: true });
const stat = { uid: 0, gid: 0, mtime: new Date(1_700_000_000_000) };
const diffHash = createHash("sha256");
const zstd = spawn("sh", ["-c", `zstd -1 -q -c > '${layout}/layer'`], { stdio: ["pipe", "ignore", "inherit"] });
const tar = pack();
tar.on("data", (piece) => {
  diffHash.update(piece);
  if (!zstd.stdin.write(piece)) {
    tar.pause();
    zstd.stdin.once("drain", () => tar.resume());
  }
});
tar.on("end", () => zstd.stdin.end());
const entry = (header, content) => new Promise((done) => tar.entry({ ...stat, ...header }, content, done));
for (const path of ["usr", "usr/share"]) await entry({ name: path, type: "directory", mode: 0o755 });
await (name.startsWith("layer")
  ? oneFile(name === "layer-4g" ? 4096 : 64)
  : manyFiles(name === "files-500k" ? 500_000 : 50_000));
tar.finalize();
await once(zstd, "close");

const diffId = `sha256:${diffHash.digest("hex")}`;
const put = (bytes) => {
  const hex = createHash("sha256").update(bytes).digest("hex");
  writeFileSync(`${layout}/blobs/sha256/${hex}`, bytes);
  return { digest: `sha256:${hex}`, size: bytes.length };
};
const json = (value) => Buffer.from(JSON.stringify(value));
const layerHash = createHash("sha256");
for await (const piece of createReadStream(`${layout}/layer`)) layerHash.update(piece);
const layer = { digest: `sha256:${layerHash.digest("hex")}`, size: statSync(`${layout}/layer`).size };
renameSync(`${layout}/layer`, `${layout}/blobs/${layer.digest.replace(":", "/")}`);
const type = "application/vnd.oci.image";
const config = put(
  json({
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: [diffId] },
  }),
);
const manifest = put(
  json({
    schemaVersion: 2,
    mediaType: `${type}.manifest.v1+json`,
    config: { mediaType: `${type}.config.v1+json`, ...config },
    layers: [{ mediaType: `${type}.layer.v1.tar+zstd`, ...layer }],
  }),
);
writeFileSync(`${layout}/oci-layout`, json({ imageLayoutVersion: "1.0.0" }));
writeFileSync(
  `${layout}/index.json`,
  json({
    schemaVersion: 2,
    manifests: [
      {
        mediaType: `${type}.manifest.v1+json`,
        ...manifest,
        annotations: { "org.opencontainers.image.ref.name": name },
      },
    ],
  }),
);

/** One file of `megabytes` MiB whose blocks all differ and compress to a quarter, as those of an operating system do. */
async function oneFile(megabytes) {
  const sink = tar.entry({ ...stat, name: "usr/share/large", size: megabytes * 2 ** 20, mode: 0o644 });
  const piece = Buffer.alloc(1 << 20, "osdeploy ");
  for (let i = 0; i < megabytes; i++) {
    for (let at = 0; at < piece.length; at += 4096) randomFillSync(piece, at, 1024);
    if (!sink.write(Buffer.from(piece))) await once(sink, "drain");
  }
  sink.end();
  await once(sink, "finish");
}

async function manyFiles(count) {
  for (let i = 0; i < count; i++) {
    if (i % 500 === 0) await entry({ name: `usr/share/d${i / 500}`, type: "directory", mode: 0o755 });
    await entry(
      { name: `usr/share/d${Math.floor(i / 500)}/f${i}`, mode: 0o644 },
      `content of the file number ${i}, `.repeat(8),
    );
  }
}
