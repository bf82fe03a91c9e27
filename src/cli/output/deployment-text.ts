import type { DeploymentStatus, StatusResult } from "../../operations/status.ts";
import type { SwitchResult } from "../../operations/switch.ts";
import { printable, printableBytes } from "./plain-text.ts";
import { formatFields } from "./table.ts";
import { formatBytes, formatCount } from "./units.ts";

/** The deployments, what boots next first; then what is not as it should be. */
export function statusText(result: StatusResult): string {
  const none = `There is no deployment in ${printable(result.sysroot)}\n`;
  const deployments = result.deployments.length === 0 ? none : result.deployments.map(deploymentText).join("\n");
  const foreign = result.foreignBootEntries
    .map((name) => `Boot entry of another program: ${printable(name)}\n`)
    .join("");
  const problems = result.problems.map((problem) => `Problem: ${printable(problem)}\n`).join("");
  const notes = foreign + problems;
  return notes === "" ? deployments : `${deployments}\n${notes}`;
}

function deploymentText(deployment: DeploymentStatus): string {
  const role = deployment.role === "none" ? "" : ` (${deployment.role})`;
  const fields = formatFields([
    ["Version", shown(deployment.version)],
    ["Image", shown(deployment.imageReference)],
    ["Digest", shown(deployment.manifestDigest)],
    ["Root image", deployment.rootImage],
    ["Boot digest", shown(deployment.bootDigest)],
    ["Boot entry", deployment.bootEntries.length === 0 ? "none" : deployment.bootEntries.map(printable).join(", ")],
  ]);
  const title = printable(deployment.title ?? "Deployment without a boot entry");
  return `${title}${role}\n${fields.replace(/^/gm, "  ").trimEnd()}\n`;
}

function shown(text: string | null): string | undefined {
  return text === null ? undefined : printable(text);
}

/** What `switch` did, and what the user may have to look after. */
export function switchText(result: SwitchResult): string {
  const image = printable(result.image);
  if (result.kind === "kept") return `Nothing to do: ${image} boots next already\n`;
  const { pulled } = result;
  const added = `${formatCount(pulled.addedObjects, "object")} (${formatBytes(pulled.addedBytes)})`;
  const conflicts = result.etcConflicts.map(({ path }) => printableBytes(path)).join(", ");
  const fields = formatFields([
    ["Digest", pulled.manifestDigest],
    ["Root image", result.rootImage],
    ["Kernel", printable(result.kernel)],
    ["Boot entry", printable(result.bootEntry)],
    ["Layers", `${pulled.layers.length}, ${pulled.layers.filter((layer) => layer.known).length} already there`],
    ["Added", added],
    ["Kept in /etc", conflicts === "" ? undefined : `${conflicts} (the image changed them too)`],
  ]);
  return `${image} boots next\n${fields.replace(/^/gm, "  ").trimEnd()}\n`;
}

/** The same for `--json`: paths as text. */
export function switchValue(result: SwitchResult): unknown {
  if (result.kind === "kept") return result;
  return {
    ...result,
    etcConflicts: result.etcConflicts.map((conflict) => ({ ...conflict, path: printableBytes(conflict.path) })),
  };
}
