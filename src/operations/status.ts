import { readBootEntries } from "../bootloader/bls-directory.ts";
import { blsField } from "../core/boot/bls-entry.ts";
import { toText } from "../core/bytes/byte-string.ts";
import {
  type Deployment,
  type DeploymentRole,
  deploymentRoles,
  makeSysrootState,
  type SysrootState,
} from "../core/deployment/deployment.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { readDeploymentDirectories } from "../sysroot/state-directory.ts";
import { openSysroot } from "../sysroot/sysroot.ts";
import type { SysrootPaths } from "../sysroot/sysroot-paths.ts";
import type { System } from "./system.ts";

export interface StatusRequest {
  readonly sysroot: Path;
}

/** One deployment, as `status` shows it. */
export interface DeploymentStatus {
  readonly role: DeploymentRole;
  readonly rootImage: ObjectId;
  /** What the boot menu calls it; null when no boot entry starts it. */
  readonly title: string | null;
  readonly version: string | null;
  /** What it follows; null when its origin cannot be read. */
  readonly imageReference: string | null;
  readonly manifestDigest: string | null;
  readonly bootDigest: string | null;
  /** Names of its boot entries, newest first. */
  readonly bootEntries: readonly string[];
}

export interface StatusResult {
  readonly sysroot: string;
  /** What boots next first. */
  readonly deployments: readonly DeploymentStatus[];
  /** Boot entries of other programs, left alone. */
  readonly foreignBootEntries: readonly string[];
  /** What is not as it should be; whole sentences. */
  readonly problems: readonly string[];
}

/** Reads the deployments of a sysroot and the boot menu, once, at the start of an operation. */
export function readSysrootState(files: LinuxFiles, paths: SysrootPaths): SysrootState {
  return makeSysrootState(readDeploymentDirectories(files, paths), readBootEntries(files, paths.boot));
}

/** Tells which deployments a sysroot has and what each is. Damaged and foreign parts are named, and never break it. */
export async function status(system: System, request: StatusRequest): Promise<StatusResult> {
  const { files } = system.linux;
  const state = readSysrootState(files, openSysroot(files, request.sysroot));
  const roles = deploymentRoles(state);
  return {
    sysroot: toText(request.sysroot),
    deployments: state.deployments.map((deployment, index) => describe(deployment, roles[index] ?? "none")),
    foreignBootEntries: state.menu.foreign,
    problems: findProblems(state),
  };
}

function describe({ rootImage, origin, entries }: Deployment, role: DeploymentRole): DeploymentStatus {
  const entry = entries[0]?.entry;
  return {
    role,
    rootImage,
    title: (entry && blsField(entry, "title")) ?? null,
    version: (entry && blsField(entry, "version")) ?? null,
    imageReference: origin?.imageReference ?? null,
    manifestDigest: origin?.manifestDigest ?? null,
    bootDigest: origin?.bootDigest ?? null,
    bootEntries: entries.map(({ fileName }) => fileName),
  };
}

function findProblems({ deployments, orphans }: SysrootState): readonly string[] {
  return [
    ...orphans.map(
      ({ fileName, rootImage }) => `Boot entry ${fileName} names root image ${rootImage}, which has no deployment`,
    ),
    ...deployments
      .filter(({ origin }) => origin === undefined)
      .map(({ rootImage }) => `Deployment ${rootImage} has no origin that can be read, so it cannot be upgraded`),
  ];
}
