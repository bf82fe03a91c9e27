// Writes an image into an OCI layout directory, from the tars of its layers, bottom first.
//
//   node write-oci.mjs --layout DIR --tag TAG --title TITLE --architecture ARCH --compression zstd|gzip|none
//                      --created SECONDS TAR...
//
// Equal arguments and tars give equal bytes (with the same gzip or zstd program). A layer that another image of the
// layout already has, by its diff id, is not compressed again. Prints the manifest's digest.
//
//   node write-oci.mjs --layout DIR --prune
//
// Removes the blobs that no image of the layout has any more.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { parseArgs } from "node:util";

const OCI = "application/vnd.oci.image";
const REF_NAME = "org.opencontainers.image.ref.name";
const COMPRESSIONS = {
  none: { suffix: "tar", command: undefined },
  gzip: { suffix: "tar+gzip", command: ["gzip", "-6", "-n", "-c"] },
  zstd: { suffix: "tar+zstd", command: ["zstd", "-3", "-q", "-c"] },
};

const words = ["layout", "tag", "title", "architecture", "compression", "created"];
const { values, positionals: tars } = parseArgs({
  allowPositionals: true,
  options: {
    ...Object.fromEntries(words.map((name) => [name, { type: "string" }])),
    prune: { type: "boolean", default: false },
  },
});
const { layout, tag, title, architecture } = values;
const compression = COMPRESSIONS[values.compression];
const complete = tag && title && architecture && compression && values.created && tars.length > 0;
if (!layout || (!values.prune && !complete)) {
  throw new Error(
    "usage: write-oci.mjs --layout DIR --tag TAG --title TITLE --architecture ARCH --compression zstd|gzip|none --created SECONDS TAR... | --layout DIR --prune",
  );
}
const blobs = join(layout, "blobs", "sha256");
const known = readKnown();
if (values.prune) prune();
else console.log(await addImage());

async function addImage() {
  mkdirSync(blobs, { recursive: true });
  const layers = [];
  for (const tar of tars) layers.push(await putLayer(tar));
  const manifest = putManifest(layers);
  writeFileSync(join(layout, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  putIndex(manifest);
  writeFileSync(knownFile(), JSON.stringify(known));
  return manifest.digest;
}

function prune() {
  const kept = new Set();
  for (const { digest } of JSON.parse(readFileSync(join(layout, "index.json"), "utf8")).manifests) {
    const manifest = JSON.parse(readFileSync(join(blobs, hexOf(digest)), "utf8"));
    for (const named of [digest, manifest.config.digest, ...manifest.layers.map((layer) => layer.digest)]) {
      kept.add(hexOf(named));
    }
  }
  for (const name of readdirSync(blobs)) if (!kept.has(name)) rmSync(join(blobs, name));
  const left = Object.entries(known).filter(([, { digest }]) => kept.has(hexOf(digest)));
  writeFileSync(knownFile(), JSON.stringify(Object.fromEntries(left)));
}

function hexOf(digest) {
  return digest.slice("sha256:".length);
}

/** Beside the layout, not in it: diff id to layer descriptor. */
function knownFile() {
  return `${layout}.layers.json`;
}

function readKnown() {
  return existsSync(knownFile()) ? JSON.parse(readFileSync(knownFile(), "utf8")) : {};
}

async function putLayer(tar) {
  const diffId = await digestOf(tar);
  if (known[diffId] === undefined || !existsSync(join(blobs, hexOf(known[diffId].digest)))) {
    known[diffId] = await compress(tar, join(blobs, `part-${basename(tar)}`));
  }
  return { diffId, descriptor: known[diffId], name: basename(tar, ".tar") };
}

async function digestOf(file) {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return `sha256:${hash.digest("hex")}`;
}

async function compress(tar, part) {
  const hash = createHash("sha256");
  const tee = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  const input = createReadStream(tar, { highWaterMark: 1 << 20 });
  if (compression.command === undefined) await pipeline(input, tee, createWriteStream(part));
  else await throughProgram(compression.command, input, [tee, createWriteStream(part)]);
  const hex = hash.digest("hex");
  const size = statSync(part).size;
  renameSync(part, join(blobs, hex));
  return { mediaType: `${OCI}.layer.v1.${compression.suffix}`, digest: `sha256:${hex}`, size };
}

async function throughProgram([program, ...args], input, output) {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) =>
      status === 0 ? resolve() : reject(new Error(`${program} ended with status ${status}`)),
    );
  });
  await Promise.all([pipeline(input, child.stdin), pipeline(child.stdout, ...output), ended]);
}

function putDocument(mediaType, value) {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash("sha256").update(bytes).digest("hex");
  writeFileSync(join(blobs, hex), bytes);
  return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
}

function putManifest(parts) {
  const created = new Date(Number(values.created) * 1000).toISOString().replace(".000Z", "Z");
  const labels = { "org.opencontainers.image.title": title, "org.opencontainers.image.version": tag };
  const config = putDocument(`${OCI}.config.v1+json`, {
    created,
    architecture,
    os: "linux",
    config: { Cmd: ["/sbin/init"], Labels: { ...labels, "containers.bootc": "1" } },
    rootfs: { type: "layers", diff_ids: parts.map(({ diffId }) => diffId) },
    history: parts.map(({ name }) => ({ created, created_by: `${title} ${name}` })),
  });
  return putDocument(`${OCI}.manifest.v1+json`, {
    schemaVersion: 2,
    mediaType: `${OCI}.manifest.v1+json`,
    config,
    layers: parts.map(({ descriptor }) => descriptor),
    annotations: labels,
  });
}

function putIndex(manifest) {
  const file = join(layout, "index.json");
  const old = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")).manifests : [];
  const others = old.filter(({ annotations }) => annotations[REF_NAME] !== tag);
  const entry = { ...manifest, platform: { architecture, os: "linux" }, annotations: { [REF_NAME]: tag } };
  const index = { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests: [...others, entry] };
  writeFileSync(`${file}.part`, JSON.stringify(index));
  renameSync(`${file}.part`, file);
}
