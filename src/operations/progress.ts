/** The operations that take long enough to tell how far they are. */
export type ProgressTask =
  | "pull"
  | "push"
  | "copy"
  | "switch"
  | "upgrade"
  | "check"
  | "collect-garbage"
  | "create"
  | "install";

/** The steps of an operation besides the layers themselves, in the order in which they usually come. */
export type ProgressPhase =
  | "resolve"
  | "layers"
  | "read-directory"
  | "sync"
  | "publish"
  | "merge"
  | "root-image"
  | "boot-files"
  | "deployment"
  | "seal"
  | "write-disk"
  | "mark"
  | "sweep"
  | "check-objects"
  | "check-metadata";

/** One layer of the image that is being pulled. */
export interface LayerProgress {
  /** Its digest as the manifest has it; names the layer in later events. */
  readonly digest: string;
  /** Bytes as the source has them, that is, usually compressed. */
  readonly sizeBytes: number;
  /** Whether the repo holds it already, so that nothing of it has to move. */
  readonly known: boolean;
}

/**
 * What an operation tells while it runs; all renderers read these and nothing else.
 *
 * Order: `start`, then anything, then `done`; no `done` when the operation fails. A `layers` event comes before the events
 * that name its layers. `bytes` never falls.
 */
export type ProgressEvent =
  /** `subject` is what the user named: an image, a directory, a repo. */
  | { readonly kind: "start"; readonly task: ProgressTask; readonly subject: string }
  /** All layers of the image, lowest first. */
  | { readonly kind: "layers"; readonly layers: readonly LayerProgress[] }
  | { readonly kind: "layer-started"; readonly digest: string }
  /** `bytes` of the layer's `sizeBytes` have been read so far. */
  | { readonly kind: "layer-advanced"; readonly digest: string; readonly bytes: number }
  | { readonly kind: "layer-finished"; readonly digest: string }
  /** A phase begins; the one before is over. */
  | { readonly kind: "phase"; readonly phase: ProgressPhase }
  /** `done` of `total` pieces of the phase that runs: objects, files, bytes. */
  | { readonly kind: "phase-advanced"; readonly done: number; readonly total: number }
  /** Something is not as it should be. Says what it is and what osdeploy did about it; a whole sentence without period. */
  | { readonly kind: "warning"; readonly message: string }
  | { readonly kind: "done" };

/** Where an operation sends its events. Must not throw. */
export type ReportProgress = (event: ProgressEvent) => void;
