import { formatBytes } from "../../core/bytes/byte-count.ts";
import type { ProgressEvent } from "../../operations/progress.ts";
import { printable } from "./plain-text.ts";
import type { ProgressRenderer, RendererHost } from "./progress-renderer.ts";
import { type LayerTally, type OverallTally, ProgressTally } from "./progress-tally.ts";
import { phaseWord, taskWords } from "./progress-words.ts";
import { formatPercent, formatSeconds, shortDigest } from "./units.ts";

/** Between two lines about the whole, so that a log of a slow pull stays short. */
const overallEveryMs = 10_000;

/** One line for each thing that happened, for pipes and logs. */
export function plainProgress(host: RendererHost): ProgressRenderer {
  const tally = new ProgressTally();
  let overallAt = host.now();
  const line = (text: string): void => host.write(`${text}\n`);
  return {
    show(event) {
      tally.add(event, host.now());
      for (const text of plainLines(event, tally)) line(text);
      if (event.kind === "layer-advanced" && host.now() - overallAt >= overallEveryMs) {
        overallAt = host.now();
        line(overallText(tally.overall()));
      }
    },
    end: () => undefined,
  };
}

function plainLines(event: ProgressEvent, tally: ProgressTally): readonly string[] {
  switch (event.kind) {
    case "start":
      return [`${taskWords[event.task]} ${printable(event.subject)}`];
    case "layers":
      return tally.layers().flatMap((layer, at) => (layer.known ? [layerText(layer, at, tally)] : []));
    case "layer-finished":
      return tally
        .layers()
        .flatMap((layer, at) => (layer.digest === event.digest ? [layerText(layer, at, tally)] : []));
    case "phase":
      return [phaseWord(event.phase, tally.task)];
    case "warning":
      return [warningText(event.message)];
    default:
      return [];
  }
}

function layerText(layer: LayerTally, at: number, tally: ProgressTally): string {
  const state = layer.known ? "already there" : "done";
  return `Layer ${at + 1}/${tally.layers().length} ${shortDigest(layer.digest)}: ${state} (${formatBytes(layer.sizeBytes)})`;
}

/** A warning as every renderer for people shows it. */
export function warningText(message: string): string {
  return `osdeploy: warning: ${printable(message)}`;
}

/** The whole in one line: layers, bytes, share, rate, time left. */
export function overallText(overall: OverallTally): string {
  const parts = [
    `Layers ${overall.layersDone}/${overall.layers}`,
    `${formatBytes(overall.bytes)} of ${formatBytes(overall.totalBytes)}`,
    formatPercent(overall.bytes, overall.totalBytes),
  ];
  if (overall.bytesPerSecond !== undefined) parts.push(`${formatBytes(Math.round(overall.bytesPerSecond))}/s`);
  if (overall.secondsLeft !== undefined) parts.push(`${formatSeconds(overall.secondsLeft)} left`);
  return parts.join("  ");
}
