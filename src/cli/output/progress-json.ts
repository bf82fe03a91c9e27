import type { ProgressEvent } from "../../operations/progress.ts";
import { version } from "../version.ts";
import { toJsonLine } from "./json.ts";
import type { ProgressRenderer, RendererHost } from "./progress-renderer.ts";
import { type LayerTally, ProgressTally } from "./progress-tally.ts";
import { phaseWord, taskWords } from "./progress-words.ts";
import { shortDigest } from "./units.ts";

/** Between two lines that only say that bytes have moved. */
const advanceEveryMs = 100;

/**
 * JSON lines, one object each, but that of a failure, which `errorLine` writes. Types and fields have the names that bootc's
 * `--progress-fd` gives them, where it has them.
 *
 * @see docs/reference/schema/progress.json
 */
export function jsonProgress(host: RendererHost): ProgressRenderer {
  const tally = new ProgressTally();
  let advancedAt = Number.NEGATIVE_INFINITY;
  const line = (value: unknown): void => host.write(toJsonLine(value));
  return {
    show(event) {
      tally.add(event, host.now());
      if (event.kind === "layer-advanced" || event.kind === "phase-advanced") {
        if (host.now() - advancedAt < advanceEveryMs) return;
        advancedAt = host.now();
      }
      for (const value of jsonValues(event, tally)) line(value);
    },
    end: () => undefined,
  };
}

function jsonValues(event: ProgressEvent, tally: ProgressTally): readonly unknown[] {
  switch (event.kind) {
    case "start":
      return [{ type: "Start", version, task: event.task, id: event.subject }];
    case "phase":
    case "phase-advanced":
      return [stepsValue(tally)];
    case "warning":
      return [{ type: "Warning", message: event.message }];
    case "done":
      return [{ type: "Done" }];
    default:
      return [bytesValue(tally)];
  }
}

function bytesValue(tally: ProgressTally): unknown {
  const overall = tally.overall();
  return {
    type: "ProgressBytes",
    ...taskFields(tally),
    bytesCached: overall.knownBytes,
    bytes: overall.bytes,
    bytesTotal: overall.totalBytes,
    stepsCached: tally.layers().filter((layer) => layer.known).length,
    steps: overall.layersDone,
    stepsTotal: overall.layers,
    bytesPerSecond: overall.bytesPerSecond === undefined ? undefined : Math.round(overall.bytesPerSecond),
    secondsLeft: overall.secondsLeft === undefined ? undefined : Math.round(overall.secondsLeft * 10) / 10,
    subtasks: tally
      .layers()
      .filter((layer) => layer.state !== "waiting")
      .map(layerValue),
  };
}

function layerValue(layer: LayerTally): unknown {
  return {
    subtask: "layer",
    description: `layer ${shortDigest(layer.digest)}`,
    id: layer.digest,
    bytesCached: layer.known ? layer.sizeBytes : 0,
    bytes: layer.bytes,
    bytesTotal: layer.known ? 0 : layer.sizeBytes,
  };
}

function stepsValue(tally: ProgressTally): unknown {
  return {
    type: "ProgressSteps",
    ...taskFields(tally),
    phase: tally.phase,
    phaseDescription: tally.phase === undefined ? undefined : phaseWord(tally.phase, tally.task),
    steps: tally.phaseDone?.done,
    stepsTotal: tally.phaseDone?.total,
  };
}

function taskFields(tally: ProgressTally): Readonly<Record<string, unknown>> {
  return {
    task: tally.task,
    description: tally.task === undefined ? undefined : `${taskWords[tally.task]} ${tally.subject}`,
    id: tally.subject,
  };
}
