import { styleText } from "node:util";
import { formatBytes } from "../../core/bytes/byte-count.ts";
import type { ProgressEvent } from "../../operations/progress.ts";
import { printable } from "./plain-text.ts";
import { overallText, warningText } from "./progress-plain.ts";
import type { ProgressRenderer, RendererHost } from "./progress-renderer.ts";
import { type LayerTally, ProgressTally } from "./progress-tally.ts";
import { phaseWord, taskWords } from "./progress-words.ts";
import { formatPercent, shortDigest } from "./units.ts";

/** At most ten pictures a second: more cannot be read, and cost the import its CPU. */
const drawEveryMs = 100;

const barWidth = 24;

/**
 * For a terminal: what is over stays as a line of its own; below it a block is drawn again and again, with a line for each
 * layer that moves and one for the whole.
 */
export function terminalProgress(host: RendererHost): ProgressRenderer {
  const tally = new ProgressTally();
  let blockLines = 0;
  let drawnAt = Number.NEGATIVE_INFINITY;
  const draw = (lasting: readonly string[], block: readonly string[]): void => {
    const back = blockLines === 0 ? "" : `\x1b[${blockLines}A\x1b[J`;
    // What is above the first row cannot be taken back; the last line tells of the whole.
    const drawn = block.slice(-Math.max(host.rows() - 1, 1)).map((line) => cut(line, host.columns()));
    const lines = [...lasting, ...drawn];
    blockLines = drawn.length;
    drawnAt = host.now();
    if (back !== "" || lines.length > 0) host.write(back + lines.map((line) => `${line}\n`).join(""));
  };
  return {
    show(event) {
      tally.add(event, host.now());
      const lasting = lastingLines(event, tally, host);
      if (lasting.length === 0 && event.kind !== "phase" && host.now() - drawnAt < drawEveryMs) return;
      draw(lasting, event.kind === "done" ? [] : blockOf(tally, host));
    },
    end: () => draw([], []),
  };
}

/** The lines that this event leaves behind for good. */
function lastingLines(event: ProgressEvent, tally: ProgressTally, host: RendererHost): readonly string[] {
  const style = (name: "bold" | "green" | "yellow", text: string): string =>
    host.color ? styleText(name, text, { validateStream: false }) : text;
  switch (event.kind) {
    case "start":
      return [style("bold", `${taskWords[event.task]} ${printable(event.subject)}`)];
    case "layers":
      return tally.layers().flatMap((layer) => (layer.known ? [lastingLayer(layer)] : []));
    case "layer-finished":
      return tally.layers().flatMap((layer) => (layer.digest === event.digest ? [lastingLayer(layer)] : []));
    case "warning":
      return [style("yellow", warningText(event.message))];
    default:
      return [];
  }
}

function lastingLayer(layer: LayerTally): string {
  const state = layer.known ? "already there" : "done";
  return `  ${shortDigest(layer.digest)}  ${formatBytes(layer.sizeBytes).padStart(8)}  ${state}`;
}

/** What is drawn again: the layers that move, then the whole or the phase that runs. */
function blockOf(tally: ProgressTally, host: RendererHost): readonly string[] {
  const moving = tally.layers().filter((layer) => layer.state === "moving");
  const overall = tally.overall();
  const wide = host.columns() >= 72;
  const lines = moving.map((layer) => movingLayer(layer, wide));
  if (overall.layers > 0 && overall.layersDone < overall.layers)
    return [...lines, fitting(overallText(overall), host.columns())];
  return tally.phase === undefined ? lines : [...lines, phaseLine(tally)];
}

function movingLayer(layer: LayerTally, wide: boolean): string {
  const share = layer.sizeBytes === 0 ? 1 : layer.bytes / layer.sizeBytes;
  const filled = Math.round(share * barWidth);
  const bar = wide ? `  [${"#".repeat(filled).padEnd(barWidth)}]` : "";
  const size = formatBytes(layer.sizeBytes).padStart(8);
  return `  ${shortDigest(layer.digest)}  ${size}${bar}  ${formatPercent(layer.bytes, layer.sizeBytes).padStart(5)}`;
}

function phaseLine(tally: ProgressTally): string {
  const phase = tally.phase === undefined ? "" : phaseWord(tally.phase, tally.task);
  const done = tally.phaseDone;
  return done === undefined
    ? phase
    : `${phase}  ${done.done} of ${done.total}  ${formatPercent(done.done, done.total)}`;
}

/** As many of the parts of a line as fit: of a number that is cut nobody sees that it is another one. */
function fitting(line: string, columns: number): string {
  const parts = line.split("  ");
  while (parts.length > 1 && parts.join("  ").length >= columns) parts.pop();
  return parts.join("  ");
}

/** A line that wraps could not be taken back by going up one line. The last column stays free: some terminals wrap there. */
function cut(line: string, columns: number): string {
  return line.slice(0, Math.max(columns - 1, 0));
}
