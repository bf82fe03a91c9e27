import type { CliIo } from "../cli-io.ts";
import { jsonProgress } from "./progress-json.ts";
import { plainProgress } from "./progress-plain.ts";
import type { ProgressRenderer, RendererHost } from "./progress-renderer.ts";
import { terminalProgress } from "./progress-terminal.ts";

/** How progress is shown; `auto` is `terminal` or `plain`, as standard error is one or not. */
export type ProgressMode = "auto" | "terminal" | "plain" | "json" | "none";

/** All modes, as `--progress` takes them. */
export const progressModes: readonly ProgressMode[] = ["auto", "terminal", "plain", "json", "none"];

/** The renderer for `mode`. Warnings are shown in every mode. */
export function openProgress(mode: ProgressMode, io: CliIo, now: () => number): ProgressRenderer {
  const { NO_COLOR = "", TERM } = io.environment;
  const host: RendererHost = {
    // A reader of standard error that went away must not stop an upgrade.
    write: (text) => void io.stderr.write(text).catch(() => undefined),
    columns: () => io.stderr.columns(),
    now,
    color: io.stderr.isTerminal && NO_COLOR === "",
  };
  switch (mode === "auto" ? automatic(io, TERM) : mode) {
    case "terminal":
      return terminalProgress(host);
    case "json":
      return jsonProgress(host);
    case "none":
      return warningsOnly(host);
    default:
      return plainProgress(host);
  }
}

function automatic(io: CliIo, term: string | undefined): ProgressMode {
  return io.stderr.isTerminal && term !== "dumb" ? "terminal" : "plain";
}

function warningsOnly(host: RendererHost): ProgressRenderer {
  const plain = plainProgress(host);
  return { show: (event) => (event.kind === "warning" ? plain.show(event) : undefined), end: () => undefined };
}
