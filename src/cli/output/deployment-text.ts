import { formatBytes } from "../../core/bytes/byte-count.ts";
import type { EtcConflict } from "../../core/tree/merge-etc.ts";
import type { BootCompleteResult } from "../../operations/boot-complete.ts";
import type { FinalizeStagedResult } from "../../operations/finalize-staged.ts";
import type { PulledImage } from "../../operations/pull-image.ts";
import type { RollbackResult } from "../../operations/rollback.ts";
import type { SwitchResult } from "../../operations/switch.ts";
import { printable, printableBytes } from "./plain-text.ts";
import { formatFields } from "./table.ts";
import { formatCount, shortDigest } from "./units.ts";

/** What `switch` did, and what the user may have to look after. */
export function switchText(result: SwitchResult): string {
  const image = printable(result.image);
  switch (result.kind) {
    case "kept":
      return `Nothing to do: ${image} boots next already\n`;
    case "unstaged":
      return `${image} boots next, as before; what was staged is dropped\n`;
    case "kept-staged":
      return `Nothing to get: ${image} ${stagedWords(result)}\n`;
    case "staged":
      return `${image} ${stagedWords(result)}\n${deployedFields(result, result.finalizationLocked ? notYet : "at shutdown")}`;
    case "deployed":
      return `${image} boots next\n${deployedFields(result, printable(result.bootEntry))}`;
  }
}

/** Of a deployment that is only downloaded. */
export const notYet = "none before osdeploy upgrade";

function stagedWords({ finalizationLocked }: { readonly finalizationLocked: boolean }): string {
  return finalizationLocked
    ? "is downloaded; to boot it next, run: osdeploy upgrade"
    : "is staged, and boots after the next shutdown";
}

function deployedFields(
  result: Extract<SwitchResult, { readonly kind: "staged" | "deployed" }>,
  bootEntry: string,
): string {
  const { pulled, etcConflicts } = result;
  const fields = formatFields([
    ["Digest", pulled.manifestDigest],
    ["Root image", shortDigest(result.rootImage)],
    ["Kernel", printable(result.kernel)],
    ["Boot entry", bootEntry],
    ["Layers", layersText(pulled)],
    ["Added", `${formatCount(pulled.addedObjects, "object")} (${formatBytes(pulled.addedBytes)})`],
    ...conflictFields(etcConflicts),
  ]);
  return indented(fields);
}

function layersText({ layers }: PulledImage): string {
  return `${layers.length}, ${layers.filter(({ known }) => known).length} already there`;
}

function conflictFields(conflicts: readonly EtcConflict[]): readonly (readonly [string, string | undefined])[] {
  const named = (reasons: readonly EtcConflict["reason"][], meaning: string) => {
    const paths = conflicts.filter(({ reason }) => reasons.includes(reason)).map(({ path }) => printableBytes(path));
    return paths.length === 0 ? undefined : `${paths.join(", ")} (${meaning})`;
  };
  return [
    ["Kept in /etc", named(["both-changed", "host-removed-image-changed"], "the image changed them too")],
    [
      "Clash in /etc",
      named(["type-changed"], "file here, directory in the image, or the other way round; kept as here"),
    ],
  ];
}

function indented(fields: string): string {
  return `${fields.replace(/^/gm, "  ").trimEnd()}\n`;
}

/** A value with conflicts for `--json`: paths as text. */
function withTextPaths(result: { readonly etcConflicts: readonly EtcConflict[] }): unknown {
  const etcConflicts = result.etcConflicts.map((conflict) => ({ ...conflict, path: printableBytes(conflict.path) }));
  return { ...result, etcConflicts };
}

/** What `switch` did, for `--json`. */
export function switchValue(result: SwitchResult): unknown {
  return "etcConflicts" in result ? withTextPaths(result) : result;
}

/** What `finalize-staged` did; nothing where nothing was staged. */
export function finalizeStagedText(result: FinalizeStagedResult): string {
  if (result.kind === "nothing-staged") return "";
  const image = printable(result.image);
  if (result.kind === "locked") return `${image} is only downloaded, and left as it is\n`;
  const fields = formatFields([["Boot entry", printable(result.bootEntry)], ...conflictFields(result.etcConflicts)]);
  return `${image} boots next\n${indented(fields)}`;
}

/** The same for `--json`. */
export function finalizeStagedValue(result: FinalizeStagedResult): unknown {
  return result.kind === "finalized" ? withTextPaths(result) : result;
}

/** What `rollback` did. */
export function rollbackText(result: RollbackResult): string {
  const what = printable(result.image ?? result.rootImage ?? "nothing");
  const first = {
    queued: `${what} boots next`,
    unqueued: `The rollback is taken back: ${what} boots next`,
    unstaged: `There is nothing before it to go back to: ${what} boots next, as before`,
  }[result.kind];
  const dropped = result.droppedStaged ? "What was staged is dropped\n" : "";
  const left =
    result.quarantined === null
      ? ""
      : `Upgrades leave ${shortDigest(result.quarantined)} alone until its tag moves to another image\n`;
  const fields = formatFields([
    ["Version", result.version === null ? undefined : printable(result.version)],
    ["Digest", result.manifestDigest ?? undefined],
  ]);
  return `${first}\n${fields === "" ? "" : indented(fields)}${dropped}${left}`;
}

/** What `boot-complete` did. */
export function bootCompleteText(result: BootCompleteResult): string {
  const entry = result.bootEntry === null ? "This boot" : `Boot entry ${printable(result.bootEntry)}`;
  // Where systemd has its own unit for that, it has taken the counter away before.
  const state = result.blessed ? "is good from now on" : "is good, and is not counted";
  const failed = result.quarantined
    .map(({ manifestDigest, reason }) => `In quarantine: ${manifestDigest} (${printable(reason)})\n`)
    .join("");
  const { loader } = result;
  const updated =
    loader === null
      ? ""
      : `Boot loader: ${printable(loader.from)} replaced by ${printable(loader.to)}; the one before is kept as ${loader.older}\n`;
  return `${entry} ${state}\n${failed}${updated}`;
}
