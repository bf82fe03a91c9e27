import { sequenceOfCmdline } from "../boot/boot-menu.ts";
import { type Deployment, hasEntry, type SysrootState } from "./deployment.ts";

/** Kernel arguments that outlived the boot entries. */
export interface KeptArguments {
  /** Those of its newest entry. */
  readonly options: string;
  readonly deployment: Deployment;
}

/**
 * The kernel arguments to go on with in a sysroot at rest whose deployments have all lost their entries, or whose first one was stopped
 * before it had one: those of the newest entry of which they were kept. Undefined where an entry tells, or none were kept.
 */
export function keptArguments(state: SysrootState): KeptArguments | undefined {
  const { booted, deployments } = state;
  if (booted !== undefined || deployments.some((each) => hasEntry(state, each))) return undefined;
  const kept = deployments.flatMap((deployment): readonly KeptArguments[] =>
    deployment.kernelArguments === undefined ? [] : [{ options: deployment.kernelArguments, deployment }],
  );
  return kept.reduce<KeptArguments | undefined>(
    (newest, each) => (newest === undefined || sequenceOf(each) > sequenceOf(newest) ? each : newest),
    undefined,
  );
}

/** 0 where they do not say which entry they are of. */
function sequenceOf({ options }: KeptArguments): number {
  return sequenceOfCmdline(options) ?? 0;
}

/** Arguments as they were kept in a file; undefined for what no boot entry could say. */
export function parseKeptArguments(text: string): string | undefined {
  const line = text.trim();
  return line === "" || /\p{Cc}/u.test(line) ? undefined : line;
}
