import { formatBytes } from "../../core/bytes/byte-count.ts";
import type { DeploymentPlan } from "../../operations/plan-deployment.ts";
import type { ImagePlan, PlanImageResult } from "../../operations/plan-image.ts";
import type { PlanSwitchResult } from "../../operations/plan-switch-image.ts";
import { printable } from "./plain-text.ts";
import { formatFields, formatTable } from "./table.ts";
import { formatCount, shortDigest } from "./units.ts";

/** Whether all is to be told, and not only what fits on a screen. */
export interface DetailOptions {
  readonly verbose?: true;
}

type Field = readonly [label: string, value: string | undefined];

/** What a pull would cost. */
export function planText(plan: PlanImageResult, options: DetailOptions = {}): string {
  return `${formatFields([...imageFields(plan), ...planFields(plan)])}${planDetails(plan, options)}`;
}

/** What a switch would do, and cost. */
export function planSwitchText(result: PlanSwitchResult, options: DetailOptions = {}): string {
  const { kind, plan, reason } = result;
  const words: Readonly<Record<PlanSwitchResult["kind"], string>> = {
    kept: "Nothing to do: it boots next already",
    unstaged: "It boots next already; what is staged would be dropped",
    "kept-staged": "Nothing to get: it is staged already",
    deploy: "It would boot next",
  };
  const fields = formatFields([
    ...imageFields(result),
    ["Quarantine", reason === null ? undefined : `${printable(reason)}; it would be deployed as asked`],
    ...(plan === null ? [] : planFields(plan)),
  ]);
  return `${words[kind]}\n${fields.replace(/^/gm, "  ").trimEnd()}\n${plan === null ? "" : planDetails(plan, options)}`;
}

function imageFields(plan: Pick<PlanImageResult, "image" | "version" | "manifestDigest">): readonly Field[] {
  return [
    ["Image", printable(plan.image)],
    ["Version", plan.version === null ? undefined : printable(plan.version)],
    ["Digest", plan.manifestDigest],
  ];
}

/** What moves, what it costs, what changes: a line for each. */
export function planFields(plan: ImagePlan | DeploymentPlan): readonly Field[] {
  return [
    ["boot" in plan ? "In place of" : "Compared with", baseWords(plan)],
    ["Download", downloadWords(plan)],
    ["New files", newFilesWords(plan)],
    ["Repo", `${formatBytes(plan.availableBytes)} free, ${formatCount(plan.availableInodes, "inode")} free`],
    ...("boot" in plan ? deploymentFields(plan) : []),
    ["Files", filesWords(plan.files)],
    ["Packages", packagesWords(plan.packages)],
  ];
}

function deploymentFields({ boot, prune }: DeploymentPlan): readonly Field[] {
  return [
    ["Boot", bootWords(boot)],
    ["Makes room", roomWords(boot)],
    ["Pruned later", pruneWords(prune)],
  ];
}

function baseWords({ base }: ImagePlan): string | undefined {
  if (base === null) return undefined;
  return printable(base.image ?? base.manifestDigest ?? base.rootImage ?? "an image without a name");
}

/** How much would be fetched, and whether that is all that is known. */
export function downloadWords(
  plan: Pick<ImagePlan, "downloadBytes" | "leastDownloadBytes" | "isDownloadBound">,
): string {
  const most = formatBytes(plan.downloadBytes);
  const least = formatBytes(plan.leastDownloadBytes);
  return plan.isDownloadBound && least !== most ? `${least} to ${most}` : most;
}

/** What would be written, as far as it is known. */
export function newFilesWords(
  plan: Pick<ImagePlan, "newObjects" | "newBytes" | "uncountedLayers" | "otherObjects" | "otherBytes">,
): string {
  const uncounted = `${formatCount(plan.uncountedLayers, "layer")} without a table of contents`;
  if (plan.uncountedLayers > 0 && plan.newObjects === 0) return `unknown before they are here: ${uncounted}`;
  const size = plan.otherBytes === null ? "" : ` (${formatBytes(plan.otherBytes)})`;
  const own = plan.otherObjects === 0 ? "" : `, and ${plan.otherObjects} of the repo's own${size}`;
  const written = `${formatCount(plan.newObjects, "object")} (${formatBytes(plan.newBytes)})${own}`;
  return plan.uncountedLayers === 0 ? written : `${written}, and what is in ${uncounted}`;
}

function filesWords(files: ImagePlan["files"]): string {
  if (files.kind === "unknown") return unknownWords(files.reason);
  const { added, removed, changed, touched } = files;
  const times = touched === 0 ? "" : `; of ${touched} more only the time`;
  return `${added} added, ${removed} removed, ${changed} changed${times}`;
}

function packagesWords(packages: ImagePlan["packages"]): string {
  if (packages.kind === "unknown") return unknownWords(packages.reason);
  const { replaced, added, removed, managers } = packages;
  return `${replaced.length} replaced, ${added.length} added, ${removed.length} removed (${managers.join(", ")})`;
}

function bootWords(boot: DeploymentPlan["boot"]): string {
  switch (boot.kind) {
    case "unknown":
      return unknownWords(boot.reason);
    case "not-bootable":
      return `refused: ${printable(boot.reason)}`;
    case "no-space": {
      const most = `${formatBytes(boot.availableBytes)} are free, ${formatBytes(boot.freeableBytes)} can be removed`;
      return `no space: kernel ${printable(boot.kernel)} needs ${formatBytes(boot.neededBytes)}, ${most}`;
    }
    case "fits": {
      const state = { true: "new", false: "there already", null: "perhaps there already" }[`${boot.isNewKernel}`];
      const peak = `at most ${formatBytes(boot.neededBytes)} of ${formatBytes(boot.availableBytes)} free`;
      return `kernel ${printable(boot.kernel)}, ${state}: ${peak}`;
    }
  }
}

function roomWords(boot: DeploymentPlan["boot"]): string | undefined {
  if (boot.kind !== "fits" || boot.removedKernels.length === 0) return undefined;
  const entries = boot.removedEntries.length === 0 ? "" : ` with ${boot.removedEntries.join(", ")}`;
  const kernels = formatCount(boot.removedKernels.length, "kernel");
  return `${kernels}${entries} would go first, ${formatBytes(boot.freedBytes)}`;
}

function pruneWords(prune: DeploymentPlan["prune"]): string {
  if (prune.kind === "unknown") return unknownWords(prune.reason);
  const { bootEntries, deployments, kernels, objects, bytes, isBound } = prune;
  const gone = [
    deployments.length === 0 ? [] : [formatCount(deployments.length, "deployment")],
    bootEntries.length === 0 ? [] : [formatCount(bootEntries.length, "boot entry", "boot entries")],
    kernels.length === 0 ? [] : [formatCount(kernels.length, "kernel")],
    objects === 0 ? [] : [`${formatCount(objects, "object")} (${formatBytes(bytes)})`],
  ].flat();
  return gone.length === 0 ? "nothing" : `${isBound ? "at most " : ""}${gone.join(", ")}`;
}

function unknownWords(reason: string): string {
  return `not known before it is here: ${printable(reason)}`;
}

/** How many packages are named when not all is asked for. */
const packageLimit = 20;

/** The packages, as many as fit on a screen; with `verbose` all of them, the layers and the files. */
export function planDetails(plan: ImagePlan, { verbose = undefined }: DetailOptions): string {
  const packages = packageTable(plan.packages, verbose === true ? Number.POSITIVE_INFINITY : packageLimit);
  if (verbose !== true) return packages;
  return `${packages}\n${layerTable(plan)}${fileLines(plan.files)}`;
}

function packageTable(packages: ImagePlan["packages"], limit: number): string {
  if (packages.kind === "unknown") return "";
  const rows = [
    ...packages.replaced.map(({ name, before, after }) => [name, before, after]),
    ...packages.added.map(({ name, version }) => [name, "", version]),
    ...packages.removed.map(({ name, version }) => [name, version, "removed"]),
  ].map((row) => row.map(printable));
  if (rows.length === 0) return "";
  const table = formatTable([{ title: "PACKAGE" }, { title: "NOW" }, { title: "THEN" }], rows.slice(0, limit));
  const more = rows.length > limit ? `and ${rows.length - limit} more; all with --verbose\n` : "";
  return `\n${table}${more}`;
}

function layerTable({ layers }: ImagePlan): string {
  const columns = [
    { title: "LAYER" },
    { title: "SIZE", align: "right" },
    { title: "DOWNLOAD", align: "right" },
    { title: "HOW" },
  ] as const;
  const rows = layers.map(({ digest, kind, inParts, sizeBytes, downloadBytes }) => [
    shortDigest(digest),
    formatBytes(sizeBytes),
    formatBytes(downloadBytes),
    kind === "known" ? "here already" : inParts ? "comes in parts" : "comes whole",
  ]);
  return formatTable(columns, rows);
}

function fileLines(files: ImagePlan["files"]): string {
  if (files.kind === "unknown" || files.paths.length === 0) return "";
  const signs = { added: "+", removed: "-", changed: "~" } as const;
  const lines = files.paths.map(({ path, change }) => `${signs[change]} ${printable(path)}\n`);
  return `\n${lines.join("")}${files.isCut ? "and more\n" : ""}`;
}
