import type { LabMachineStatus, LabRemoveResult, LabStopResult } from "../../operations/lab-machines.ts";
import type { LabRunResult } from "../../operations/lab-run.ts";
import type { LabUpgradeResult } from "../../operations/lab-upgrade.ts";
import { printable } from "./plain-text.ts";
import { formatFields, formatTable } from "./table.ts";
import { shortDigest } from "./units.ts";

/** A machine that was switched on, and how to get into it. */
export function labRunText(result: LabRunResult): string {
  const slowly = result.acceleration === "tcg" ? " (without KVM: it takes a minute or so to boot)" : "";
  const fields = formatFields([
    ["Image", printable(result.image)],
    ["Disk", result.diskReused ? "there already" : "installed"],
    ["Shell", `osdeploy lab ssh ${result.name}`],
    ["Console", `osdeploy lab console ${result.name}`],
    ["Log", printable(result.consoleLog)],
  ]);
  return `Machine ${result.name} is starting${slowly}\n${fields.replace(/^/gm, "  ").trimEnd()}\n`;
}

/** All machines of the lab. */
export function labListText(machines: readonly LabMachineStatus[]): string {
  if (machines.length === 0) return "There is no machine in the lab\n";
  return formatTable(
    [
      { title: "NAME" },
      { title: "STATE" },
      { title: "SSH", align: "right" },
      { title: "CPUS", align: "right" },
      { title: "MEMORY", align: "right" },
      { title: "DIGEST" },
      { title: "IMAGE" },
    ],
    machines.map((machine) => [
      machine.name,
      machine.running ? "running" : "off",
      machine.running ? `${machine.sshPort}` : "-",
      `${machine.processors}`,
      `${machine.memoryMegabytes} MiB`,
      shortDigest(machine.manifestDigest),
      printable(machine.image),
    ]),
  );
}

/** A line for each machine that `lab stop` was asked for. */
export function labStopText({ stopped, wereOff }: LabStopResult): string {
  const lines = [...stopped.map((name) => `${name} is off`), ...wereOff.map((name) => `${name} was off already`)];
  return lines.map((line) => `${line}\n`).join("");
}

/** A line for each machine that is gone. */
export function labRemoveText({ removed, removedDisks }: LabRemoveResult): string {
  const disks =
    removedDisks.length === 0 ? [] : [`Installed disks that nothing uses any more: ${removedDisks.length} removed`];
  return [...removed.map((name) => `${name} is removed`), ...disks].map((line) => `${line}\n`).join("");
}

/** What the guest has now. */
export function labUpgradeText(result: LabUpgradeResult): string {
  const fields = formatFields([
    ["Image", printable(result.image)],
    ["Digest", result.manifestDigest],
    ["Guest follows", result.guestImage],
  ]);
  const state = result.rebooting ? "reboots into the image" : "boots the image next";
  return `${result.name} ${state}\n${fields.replace(/^/gm, "  ").trimEnd()}\n`;
}
