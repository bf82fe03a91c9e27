import type { LayerProgress, ProgressEvent, ProgressPhase, ProgressTask } from "../../operations/progress.ts";

/** What one layer has come to. */
export interface LayerTally extends LayerProgress {
  readonly state: "waiting" | "known" | "moving" | "finished";
  readonly bytes: number;
}

/** The whole at one moment. Bytes are those that have to move: layers which the repo holds do not count. */
export interface OverallTally {
  readonly bytes: number;
  readonly totalBytes: number;
  readonly knownBytes: number;
  readonly layersDone: number;
  readonly layers: number;
  /** Over the last seconds; undefined while there is nothing to reckon with. */
  readonly bytesPerSecond: number | undefined;
  readonly secondsLeft: number | undefined;
}

interface Sample {
  readonly at: number;
  readonly bytes: number;
}

/** The rate is that of this many milliseconds: long enough to be calm, short enough to follow a slow network. */
const rateWindowMs = 5000;

/** Adds up progress events; renderers ask it what to show. Times are in milliseconds from anywhere. */
export class ProgressTally {
  task: ProgressTask | undefined;
  subject = "";
  phase: ProgressPhase | undefined;
  phaseDone: { readonly done: number; readonly total: number } | undefined;
  readonly #layers = new Map<string, LayerTally>();
  #samples: readonly Sample[] = [];

  /** Takes `event`, which came at time `now`. */
  add(event: ProgressEvent, now: number): void {
    switch (event.kind) {
      case "start":
        this.task = event.task;
        this.subject = event.subject;
        return;
      case "layers":
        for (const layer of event.layers) {
          this.#layers.set(layer.digest, { ...layer, state: layer.known ? "known" : "waiting", bytes: 0 });
        }
        return;
      case "layer-started":
        this.#change(event.digest, { state: "moving" }, now);
        return;
      case "layer-advanced":
        this.#change(event.digest, { bytes: event.bytes, state: "moving" }, now);
        return;
      case "layer-finished":
        this.#change(event.digest, { state: "finished", bytes: this.layer(event.digest)?.sizeBytes ?? 0 }, now);
        return;
      case "phase":
        this.phase = event.phase;
        this.phaseDone = undefined;
        return;
      case "phase-advanced":
        this.phaseDone = event;
        return;
      default:
        return;
    }
  }

  layer(digest: string): LayerTally | undefined {
    return this.#layers.get(digest);
  }

  /** All layers, lowest first. */
  layers(): readonly LayerTally[] {
    return [...this.#layers.values()];
  }

  overall(): OverallTally {
    const layers = this.layers();
    const moving = layers.filter((layer) => !layer.known);
    const bytes = sum(moving.map((layer) => layer.bytes));
    const totalBytes = sum(moving.map((layer) => layer.sizeBytes));
    const bytesPerSecond = this.#rate();
    return {
      bytes,
      totalBytes,
      knownBytes: sum(layers.filter((layer) => layer.known).map((layer) => layer.sizeBytes)),
      layersDone: layers.filter((layer) => layer.state === "known" || layer.state === "finished").length,
      layers: layers.length,
      bytesPerSecond,
      secondsLeft: bytesPerSecond === undefined ? undefined : (totalBytes - bytes) / bytesPerSecond,
    };
  }

  #change(digest: string, change: Partial<LayerTally>, now: number): void {
    const layer = this.#layers.get(digest);
    // What a worker reports late must not bring a layer back that is done.
    if (layer === undefined || layer.state === "finished") return;
    this.#layers.set(digest, { ...layer, ...change, bytes: Math.min(change.bytes ?? layer.bytes, layer.sizeBytes) });
    this.#sample(now);
  }

  #sample(now: number): void {
    const bytes = sum(this.layers().map((layer) => layer.bytes));
    const last = this.#samples.at(-1);
    if (last !== undefined && now - last.at < 100) return;
    this.#samples = [...this.#samples.filter((sample) => now - sample.at <= rateWindowMs), { at: now, bytes }];
  }

  #rate(): number | undefined {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.at <= first.at || last.bytes <= first.bytes) return undefined;
    return ((last.bytes - first.bytes) * 1000) / (last.at - first.at);
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
