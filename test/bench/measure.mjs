import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// Some machines have each Node read a file of certificates before it begins, which takes it longer than to start.
const { NODE_EXTRA_CA_CERTS: _, ...environment } = process.env;

/**
 * One run of a command as a whole process.
 *
 * @typedef {{ wallSeconds: number, cpuSeconds: number, peakMegabytes: number }} Sample
 */

/**
 * Runs `command` to its end and measures it with GNU time. A failing command ends the benchmark: a figure of a failed
 * run means nothing.
 *
 * @param {readonly string[]} command
 * @param {{ env?: Record<string, string> }} [options]
 * @returns {Sample}
 */
export function measure(command, options = {}) {
  const folder = mkdtempSync(join(tmpdir(), "osdeploy-bench-"));
  const report = join(folder, "time");
  const start = process.hrtime.bigint();
  const result = spawnSync("/usr/bin/time", ["-f", "%U %S %M", "-o", report, ...command], {
    encoding: "utf8",
    env: { ...environment, ...options.env },
    maxBuffer: 1 << 30,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const wallSeconds = Number(process.hrtime.bigint() - start) / 1e9;
  if (result.error) throw result.error;
  if (result.status !== 0) throw new Error(`${command.join(" ")} ended with ${result.status}: ${result.stderr}`);
  const [user, system, kilobytes] = readFileSync(report, "utf8").trim().split(" ").map(Number);
  rmSync(folder, { recursive: true });
  return { wallSeconds, cpuSeconds: user + system, peakMegabytes: kilobytes / 1024 };
}

/** The median of `values`. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** A value with two digits after the point, right-aligned in a column. */
export function column(value, width = 8) {
  return (typeof value === "number" ? value.toFixed(2) : value).padStart(width);
}
