import type { ProgressEvent } from "../../operations/progress.ts";

/** Shows progress events as they come. */
export interface ProgressRenderer {
  show(event: ProgressEvent): void;
  /** The operation is over, well or not: whatever was to be overwritten is taken away. */
  end(): void;
}

/** What a renderer needs: somewhere to write, and the time in milliseconds. */
export interface RendererHost {
  readonly write: (text: string) => void;
  readonly columns: () => number;
  readonly rows: () => number;
  readonly now: () => number;
  readonly color: boolean;
}
