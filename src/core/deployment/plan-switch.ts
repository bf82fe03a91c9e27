import { bootDigestOfEntry } from "../boot/kernel-files.ts";
import type { ObjectId } from "../digest/object-id.ts";
import type { ManifestDigest } from "../digest/oci-digest.ts";
import {
  bootedDeployment,
  type Deployment,
  defaultDeployment,
  hasLostKernel,
  nextEntry,
  type Origin,
  type StagedDeployment,
  type SysrootState,
} from "./deployment.ts";

/** An image by the name that a deployment of it would follow. */
export type FollowedImage = Pick<Origin, "imageReference" | "manifestDigest">;

/** What `switch` is going to do. */
export type SwitchPlan =
  /** The default deployment already is this image from this reference. */
  | { readonly kind: "keep"; readonly deployment: Deployment }
  /** So it is, but something else is staged to come before it: that is dropped. */
  | { readonly kind: "unstage"; readonly deployment: Deployment }
  /** It is staged already. */
  | { readonly kind: "keep-staged"; readonly staged: StagedDeployment }
  /** A new deployment; /etc comes from `base`, or fresh from the image without one. */
  | { readonly kind: "deploy"; readonly base: Deployment | undefined };

/**
 * Decides whether a switch to the image with this manifest has anything to do. Where its kernel is gone from the boot partition, or
 * its root image from the repo, it is deployed again, which stores that again.
 */
export function planSwitch(state: SysrootState, image: FollowedImage): SwitchPlan {
  const { staged } = state;
  const next = defaultDeployment(state);
  if (staged !== undefined && isImage(staged.origin, image)) {
    if (!state.lostKernels.has(staged.origin.bootDigest)) return { kind: "keep-staged", staged };
  } else if (next?.origin !== undefined && isImage(next.origin, image) && !isNextLost(state)) {
    return { kind: staged === undefined ? "keep" : "unstage", deployment: next };
  }
  return { kind: "deploy", base: bootedDeployment(state) ?? next };
}

/** The boot digest of the kernel that a plan relies on; undefined where it deploys one, or another program's is relied on. */
export function keptKernel(state: SysrootState, plan: SwitchPlan): string | undefined {
  if (plan.kind === "keep-staged") return plan.staged.origin.bootDigest;
  const entry = plan.kind === "deploy" ? undefined : nextEntry(state);
  return entry && bootDigestOfEntry(entry);
}

function isNextLost(state: SysrootState): boolean {
  const entry = nextEntry(state);
  return entry !== undefined && (hasLostKernel(state, entry) || state.lostRootImages.has(entry.rootImage));
}

function isImage(origin: Origin, image: FollowedImage): boolean {
  return origin.manifestDigest === image.manifestDigest && origin.imageReference === image.imageReference;
}

/**
 * How a root image becomes what boots next: at once, staged for the shutdown of the running system, or not at all, for it
 * is what boots next and only follows something else now.
 */
export function placementOf(state: SysrootState, rootImage: ObjectId): "commit" | "stage" | "follow" {
  if (nextEntry(state)?.rootImage === rootImage) return "follow";
  return state.booted === undefined ? "commit" : "stage";
}

/** The record that keeps a manifest out, where there is one. */
export function findQuarantine(
  { quarantine }: SysrootState,
  digest: ManifestDigest | undefined,
): SysrootState["quarantine"][number] | undefined {
  return quarantine.find(({ manifestDigest }) => manifestDigest === digest);
}
