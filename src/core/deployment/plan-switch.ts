import { nextSequence } from "../boot/boot-menu.ts";
import type { ManifestDigest } from "../digest/oci-digest.ts";
import { type Deployment, defaultDeployment, type SysrootState } from "./deployment.ts";

/** What `switch` is going to do. */
export type SwitchPlan =
  /** The default deployment already is this image from this reference. */
  | { readonly kind: "keep"; readonly deployment: Deployment }
  /** A new boot entry with this sequence number; /etc comes from `base`, or fresh from the image without one. */
  | { readonly kind: "deploy"; readonly sequence: number; readonly base: Deployment | undefined };

/** Decides whether a switch to the image with this manifest has anything to do. */
export function planSwitch(
  state: SysrootState,
  image: { readonly imageReference: string; readonly manifestDigest: ManifestDigest },
): SwitchPlan {
  const base = defaultDeployment(state);
  const origin = base?.origin;
  if (
    base !== undefined &&
    origin?.manifestDigest === image.manifestDigest &&
    origin.imageReference === image.imageReference
  ) {
    return { kind: "keep", deployment: base };
  }
  return { kind: "deploy", sequence: nextSequence(state.menu), base };
}
