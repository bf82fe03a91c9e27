import type { CliIo } from "../cli-io.ts";
import { jsonProgress } from "./progress-json.ts";
import { plainProgress } from "./progress-plain.ts";
import type { ProgressRenderer, RendererHost } from "./progress-renderer.ts";
import { terminalProgress } from "./progress-terminal.ts";

/** How progress is shown; `auto` is `terminal` or `plain`, as standard error is one or not. */
export type ProgressMode = "auto" | "terminal" | "plain" | "json" | "none";

/** All modes, as `--progress` takes them. */
export const progressModes: readonly ProgressMode[] = ["auto", "terminal", "plain", "json", "none"];

/** The renderer for `mode`; a quiet one shows warnings only, as every one does. */
export function openProgress(
  { mode, quiet = false }: { readonly mode: ProgressMode; readonly quiet?: boolean | undefined },
  io: CliIo,
  now: () => number,
): ProgressRenderer {
  const { NO_COLOR = "", TERM } = io.environment;
  const host: RendererHost = {
    // A reader of standard error that went away must not stop an upgrade.
    write: (text) => void io.stderr.write(text).catch(() => undefined),
    columns: () => io.stderr.columns(),
    rows: () => io.stderr.rows(),
    now,
    color: io.stderr.isTerminal && NO_COLOR === "",
  };
  if (mode === "json") return quiet ? warningsOnly(jsonProgress(host)) : jsonProgress(host);
  if (quiet || mode === "none") return warningsOnly(plainProgress(host));
  const shown = mode === "auto" ? automatic(io, TERM) : mode;
  return shown === "terminal" ? terminalProgress(host) : plainProgress(host);
}

function automatic(io: CliIo, term: string | undefined): ProgressMode {
  return io.stderr.isTerminal && term !== "dumb" ? "terminal" : "plain";
}

function warningsOnly(renderer: ProgressRenderer): ProgressRenderer {
  return { show: (event) => (event.kind === "warning" ? renderer.show(event) : undefined), end: () => undefined };
}
