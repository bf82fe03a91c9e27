import type { BootEntry, BootMenu } from "../boot/boot-menu.ts";
import type { ObjectId } from "../digest/object-id.ts";
import type { ManifestDigest } from "../digest/oci-digest.ts";

/** What a deployment follows, and what it was made from. */
export interface Origin {
  /** The image's reference with its transport, as skopeo writes it: `docker://quay.io/os:latest`. */
  readonly imageReference: string;
  readonly manifestDigest: ManifestDigest;
  /** sha256 over kernel and initramfs, lower-case hex: names what is shared on the boot partition. */
  readonly bootDigest: string;
}

/** One bootable system on disk: its state directory, and the boot entries that start it, newest first. */
export interface Deployment {
  readonly rootImage: ObjectId;
  /** Undefined when the origin file is missing or cannot be read; `status` says so. */
  readonly origin: Origin | undefined;
  readonly entries: readonly BootEntry[];
}

/** All deployments of a sysroot, read once at the start of an operation. */
export interface SysrootState {
  readonly deployments: readonly Deployment[];
  readonly menu: BootMenu;
  /** Boot entries of ours whose state directory is gone. */
  readonly orphans: readonly BootEntry[];
}

/** What a deployment is at the next boot. `none`: no boot entry starts it. */
export type DeploymentRole = "default" | "rollback" | "other" | "none";

/** Puts together what the state directories and the boot menu say. Deployments come newest entry first. */
export function makeSysrootState(
  directories: readonly { readonly rootImage: ObjectId; readonly origin: Origin | undefined }[],
  menu: BootMenu,
): SysrootState {
  const deployments = directories.map(({ rootImage, origin }) => ({
    rootImage,
    origin,
    entries: menu.entries.filter((entry) => entry.rootImage === rootImage),
  }));
  const known = new Set(directories.map(({ rootImage }) => rootImage));
  return {
    deployments: deployments.sort(newestFirst),
    menu,
    orphans: menu.entries.filter(({ rootImage }) => !known.has(rootImage)),
  };
}

function newestFirst(a: Deployment, b: Deployment): number {
  const bySequence = (b.entries[0]?.sequence ?? 0) - (a.entries[0]?.sequence ?? 0);
  return bySequence !== 0 ? bySequence : a.rootImage < b.rootImage ? -1 : 1;
}

/** The deployment that boots next: the one with the highest sequence number. */
export function defaultDeployment(state: SysrootState): Deployment | undefined {
  return state.deployments.find(({ entries }) => entries.length > 0);
}

/** The roles of all deployments, in the order of `state.deployments`. */
export function deploymentRoles(state: SysrootState): readonly DeploymentRole[] {
  const ranked: readonly DeploymentRole[] = ["default", "rollback"];
  return state.deployments.map(({ entries }, rank) => (entries.length === 0 ? "none" : (ranked[rank] ?? "other")));
}
