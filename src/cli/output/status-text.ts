import type { BootEntryStatus, DeploymentStatus, LostStaged, StatusResult } from "../../operations/status.ts";
import { notYet } from "./deployment-text.ts";
import { printable } from "./plain-text.ts";
import { formatFields } from "./table.ts";
import { formatCount, shortDigest } from "./units.ts";

/** What is shown beyond the usual. */
interface StatusDetail {
  readonly verbose?: true;
}

/** The deployments, what boots next first; then what is in quarantine, and what is not as it should be. */
export function statusText(result: StatusResult, detail: StatusDetail): string {
  const none = `There is no deployment in ${printable(result.sysroot)}\n`;
  const deployments = result.deployments.map((deployment) => deploymentText(result, deployment, detail)).join("\n");
  const notes = notesText(result);
  return [deployments === "" ? none : deployments, ...(notes === "" ? [] : [notes])].join("\n");
}

function deploymentText(result: StatusResult, deployment: DeploymentStatus, detail: StatusDetail): string {
  const staged = deployment.roles.includes("staged") ? result.staged : null;
  const hasNoEntry = deployment.bootEntries.length === 0 && staged === null;
  const id = (text: string | null) => (text === null || detail.verbose ? text : shortDigest(text));
  const fields = formatFields([
    ["Version", shown(deployment.version)],
    ["Image", shown(deployment.imageReference)],
    ["Digest", shown(deployment.manifestDigest)],
    ["Signed by", deployment.verifiedBy.map(printable).join(", ") || undefined],
    ["Sealed by", deployment.sealedBy.map(printable).join(", ") || undefined],
    ["Root image", `${id(deployment.rootImage)}${verityWords(deployment)}`],
    ["Boot digest", detail.verbose ? shown(deployment.bootDigest) : undefined],
    [deployment.bootEntries.length > 1 ? "Boot entries" : "Boot entry", entriesText(deployment.bootEntries, staged)],
    ["Arguments", hasNoEntry || detail.verbose ? shown(deployment.kernelArguments) : undefined],
    ["Quarantine", shown(deployment.quarantineReason)],
  ]);
  const roles = deployment.roles.map((role) => roleWords(result, role)).join(", ");
  const title = printable(deployment.title ?? "Deployment without a boot entry");
  return `${title}${roles === "" ? "" : ` (${roles})`}\n${fields.replace(/^/gm, "  ").trimEnd()}\n`;
}

function roleWords(result: StatusResult, role: DeploymentStatus["roles"][number]): string {
  if (role === "staged") return result.staged?.finalizationLocked === true ? "downloaded" : "staged, boots next";
  if (role === "booted") return "running";
  if (role !== "default") return role;
  return result.staged?.finalizationLocked === false ? "default until then" : "boots next";
}

function verityWords({ verity }: DeploymentStatus): string {
  if (verity === null) return "";
  return verity === "required" ? ", checked by fs-verity" : ", not checked: fs-verity is optional";
}

function entriesText(entries: readonly BootEntryStatus[], staged: StatusResult["staged"]): string {
  if (entries.length > 0) return entries.map(entryText).join(", ");
  if (staged === null) return "none";
  return staged.finalizationLocked ? notYet : "at shutdown";
}

function entryText({ name, triesLeft, triesDone }: BootEntryStatus): string {
  if (triesLeft === null) return printable(name);
  const state =
    triesLeft === 0
      ? `given up after ${formatCount(triesDone ?? 0, "try", "tries")}`
      : formatCount(triesLeft, "try left", "tries left");
  return `${printable(name)} (${state})`;
}

function notesText(result: StatusResult): string {
  const { rollbackQueued, quarantine, foreignBootEntries, problems, bootloader, countsTries } = result;
  const shownAbove = new Set(result.deployments.map(({ manifestDigest }) => manifestDigest));
  return [
    ...(rollbackQueued ? [rollbackWords(result)] : []),
    ...(result.lostStaged === null ? [] : [lostWords(result.lostStaged)]),
    ...quarantine
      .filter(({ manifestDigest }) => !shownAbove.has(manifestDigest))
      .map(({ manifestDigest, reason }) => `In quarantine: ${manifestDigest} (${printable(reason)})`),
    ...(countsTries ? [] : [`Boot loader: ${bootloader}; it does not give up a deployment that fails to boot`]),
    ...foreignBootEntries.map((name) => `Boot entry of another program: ${printable(name)}`),
    ...problems.map((problem) => `Problem: ${printable(problem)}`),
  ]
    .map((line) => `${line}\n`)
    .join("");
}

function rollbackWords({ staged }: StatusResult): string {
  return staged?.finalizationLocked === false
    ? "A rollback waits behind what is staged; to drop both: osdeploy rollback"
    : "A rollback waits for the next boot; to take it back: osdeploy rollback";
}

function lostWords({ imageReference, manifestDigest, finalizationLocked, command }: LostStaged): string {
  const image = `${printable(imageReference)} (${shortDigest(manifestDigest)})`;
  const what = finalizationLocked
    ? "was downloaded only, and is no longer ready since the reboot; to download it again"
    : "was staged, and the machine stopped before it was committed; to stage it again";
  return `Lost: ${image} ${what}: ${printable(command)}`;
}

function shown(text: string | null): string | undefined {
  return text === null ? undefined : printable(text);
}
