// npm run bench:link -- [--rounds N] [--links MS@MB/S,...] [--upgrades v2,v3] [--json FILE]
//
// Upgrades over links with a delay and a bandwidth: layers in parts against whole layers, both in Debian's docker-registry
// behind test/fakes/slow-link.ts, interleaved. Prints medians, requests, bytes and ratios; see docs/design/performance.md.
// "Whole" is the same image as plain zstd, of which the layers that differ come whole.
// OSDEPLOY_BENCH_IMAGES names a folder with the OCI layouts zstd/ and chunked/, each with the tags v1, v2 and v3;
// OSDEPLOY_BENCH_STORE is a folder on a tmpfs for the stores (default /dev/shm), OSDEPLOY_BENCH_MAIN the program to measure.
// It needs docker-registry and skopeo, as test/setup.sh gets them.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { rolldown } from "rolldown";
import { median } from "./measure.mjs";

const root = resolve(import.meta.dirname, "../..");
const { OSDEPLOY_BENCH_IMAGES: images = "", OSDEPLOY_BENCH_STORE: tmpfs = "/dev/shm" } = process.env;
const main = process.env.OSDEPLOY_BENCH_MAIN ?? join(root, "dist/cli/main.js");
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "3" },
    links: { type: "string", default: "0@inf,20@5,100@20,300@12,300@50,300@inf" },
    upgrades: { type: "string", default: "v2,v3" },
    json: { type: "string" },
  },
});
const links = values.links.split(",").map((text) => {
  const [delayMs, megabytes] = text.split("@");
  return { text, delayMs: Number(delayMs), bytesPerSecond: megabytes === "inf" ? Infinity : Number(megabytes) * 1e6 };
});

if (!existsSync(join(images, "chunked"))) throw new Error("OSDEPLOY_BENCH_IMAGES names no folder with chunked/");
const store = join(tmpfs, `osdeploy-link-${process.pid}`);
const work = mkdtempSync(join(tmpdir(), "osdeploy-link-"));
const registry = await startRegistry();
try {
  await measureAll();
} finally {
  registry.child.kill();
  for (const path of [store, work]) rmSync(path, { recursive: true, force: true });
}

async function measureAll() {
  const upgrades = values.upgrades.split(",");
  for (const format of ["zstd", "chunked"]) for (const tag of ["v1", ...upgrades]) push(format, tag);
  const { SlowLink } = await loadSlowLink();
  const link = await SlowLink.start(registry.host);
  mkdirSync(store, { recursive: true });
  for (const format of ["zstd", "chunked"]) {
    run([process.execPath, main, "repo", "init", "--insecure", "--repo", join(store, format)]);
    await pull(registry.host, format, "v1", join(store, format));
  }
  const samples = {};
  for (const options of links) {
    link.options = options;
    for (const tag of upgrades) {
      const name = `${options.text} ${tag}`;
      samples[name] = { parts: [], whole: [] };
      for (let round = 0; round < Number(values.rounds); round++) {
        samples[name].parts.push(await upgrade(link, "chunked", tag));
        samples[name].whole.push(await upgrade(link, "zstd", tag));
      }
      report(name, samples[name]);
    }
  }
  await link.stop();
  if (values.json) writeFileSync(values.json, JSON.stringify(samples, undefined, 1));
}

/** One upgrade from a copy of the store with the first version. */
async function upgrade(link, format, tag) {
  const repo = join(store, "repo");
  rmSync(repo, { recursive: true, force: true });
  run(["cp", "-a", join(store, format), repo]);
  let bytes = 0;
  const before = link.asked.length;
  link.onPiece = (_path, _offset, length) => {
    bytes += length;
  };
  const seconds = await pull(link.host, format, tag, repo);
  const asked = link.asked.slice(before);
  rmSync(repo, { recursive: true, force: true });
  return { seconds, bytes, requests: asked.length, ranges: asked.filter(({ range }) => range !== undefined).length };
}

/** Seconds of a pull. Not waited for in this thread, which is the link. */
function pull(host, format, tag, repo) {
  const words = [
    main,
    "pull",
    "--quiet",
    "--bootable",
    "--tls-verify=false",
    "--repo",
    repo,
    `${host}/${format}:${tag}`,
  ];
  const start = performance.now();
  const child = spawn(process.execPath, words, { stdio: ["ignore", "ignore", "inherit"] });
  return new Promise((done, failed) => {
    child.on("exit", (status) => {
      if (status === 0) done((performance.now() - start) / 1000);
      else failed(new Error(`osdeploy ${words.slice(1).join(" ")} ended with status ${status}`));
    });
  });
}

function report(name, { parts, whole }) {
  const of = (samples, key) => median(samples.map((sample) => sample[key]));
  const ratios = parts.map((sample, round) => sample.seconds / whole[round].seconds);
  const line = (samples) =>
    `${of(samples, "seconds").toFixed(1)} s, ${(of(samples, "bytes") / 1e6).toFixed(1)} MB, ${of(samples, "requests")} requests`;
  console.log(`${name.padEnd(12)} parts ${line(parts)} (${of(parts, "ranges")} for parts); whole ${line(whole)};`);
  console.log(
    `${"".padEnd(12)} ratio ${median(ratios).toFixed(2)} (${ratios.map((each) => each.toFixed(2)).join(" ")})`,
  );
}

function push(format, tag) {
  const to = `docker://${registry.host}/${format}:${tag}`;
  const words = ["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", "--preserve-digests"];
  run([tool("skopeo"), ...words, `oci:${join(images, format)}:${tag}`, to]);
}

function run([program, ...words]) {
  const { status, stderr } = spawnSync(program, words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${words.join(" ")}: ${stderr}`);
}

function tool(name) {
  const own = join(resolve(root, process.env.OSDEPLOY_TOOLS ?? ".cache/tools"), "bin", name);
  return existsSync(own) ? own : name;
}

async function startRegistry() {
  const config = join(work, "config.yml");
  const storage = `storage: {filesystem: {rootdirectory: ${join(work, "files")}}}`;
  writeFileSync(config, `version: 0.1\n${storage}\nhttp: {addr: "127.0.0.1:0"}\n`);
  const env = { ...process.env, OTEL_TRACES_EXPORTER: "none" };
  // A file, not a pipe: while skopeo is waited for, nobody would read the pipe, and the registry would stop.
  const log = join(work, "registry.log");
  const child = spawn(tool("docker-registry"), ["serve", config], {
    stdio: ["ignore", "ignore", openSync(log, "w")],
    env,
  });
  for (;;) {
    const port = /listening on 127\.0\.0\.1:([0-9]+)/.exec(readFileSync(log, "utf8"))?.[1];
    if (port !== undefined) return { child, host: `127.0.0.1:${port}` };
    if (child.exitCode !== null) throw new Error(`docker-registry ended: ${readFileSync(log, "utf8")}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

/** The link of the tests, which is TypeScript. */
async function loadSlowLink() {
  const file = join(work, "slow-link.mjs");
  const build = await rolldown({ input: join(root, "test/fakes/slow-link.ts"), platform: "node" });
  await build.write({ file, format: "esm" });
  await build.close();
  return import(file);
}
