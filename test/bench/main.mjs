// npm run bench -- [--rounds N] [--only NAME,...] [--json FILE]
//
// Times osdeploy against its peers and bounds, interleaved, and prints medians and ratios; see docs/design/performance.md.
// It needs real images: OSDEPLOY_BENCH_IMAGES names a folder with the OCI layouts gzip/ and zstd/, each with the tags v1
// and v2. OSDEPLOY_BENCH_STORE is a folder on a tmpfs for the stores (default /dev/shm), OSDEPLOY_BENCH_DISK one on a disk.
// OSDEPLOY_BENCH_MAIN is the program to measure (default dist/cli/main.js).
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { groups } from "./groups.mjs";
import { column, measure, median } from "./measure.mjs";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, only: { type: "string" }, json: { type: "string" } },
});
const rounds = Number(values.rounds);
const only = values.only?.split(",");
const store = `${process.env.OSDEPLOY_BENCH_STORE ?? "/dev/shm"}/osdeploy-bench-${process.pid}`;

/** @type {Record<string, { wall: number[], cpu: number[], peak: number[] }>} */
const samples = {};

for (const group of groups({ store })) {
  if (only && !only.includes(group.name)) continue;
  const missing = group.needs.filter((path) => !existsSync(path));
  if (missing.length > 0) {
    console.log(`${group.name}: skipped, needs ${missing.join(", ")}`);
    continue;
  }
  console.log(`\n${group.name}: ${group.about}`);
  for (let round = 0; round < (group.rounds ?? rounds); round++) {
    for (const run of group.runs) runOnce(group, run);
  }
  report(group);
}
if (values.json) writeFileSync(values.json, JSON.stringify(samples, undefined, 1));

function runOnce(group, run) {
  rmSync(store, { recursive: true, force: true });
  mkdirSync(store, { recursive: true });
  for (const command of run.prepare ?? []) measure(command);
  const { wallSeconds, cpuSeconds, peakMegabytes } = measure(run.command, { env: run.env });
  const name = `${group.name}/${run.name}`;
  samples[name] ??= { wall: [], cpu: [], peak: [] };
  const all = samples[name];
  all.wall.push(wallSeconds);
  all.cpu.push(cpuSeconds);
  all.peak.push(peakMegabytes);
  rmSync(store, { recursive: true, force: true });
}

function report(group) {
  console.log(
    `${"".padEnd(34)}${["wall s", "min", "max", "cpu s", "peak MB"].map((word) => word.padStart(8)).join("")}`,
  );
  for (const run of group.runs) {
    const { wall, cpu, peak } = samples[`${group.name}/${run.name}`];
    const figures = [median(wall), Math.min(...wall), Math.max(...wall), median(cpu), Math.max(...peak)];
    console.log(run.name.padEnd(34) + figures.map((figure) => column(figure)).join(""));
  }
  for (const ratio of group.ratios) console.log(ratioLine(group, ratio));
}

/** Ratios are taken round by round and then their median: both sides of a round met the same machine. */
function ratioLine(group, { of, to, figure, atMost }) {
  const above = samples[`${group.name}/${of}`][figure];
  const below = to === undefined ? above.map(() => 1) : samples[`${group.name}/${to}`][figure];
  const value = median(above.map((a, round) => a / below[round]));
  const verdict = value <= atMost ? "met" : "MISSED";
  const what = to === undefined ? `${figure} of ${of}` : `${figure} of ${of} / ${to}`;
  return `  ${what}: ${value.toFixed(2)}, goal at most ${atMost}: ${verdict}`;
}
