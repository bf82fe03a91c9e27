import { OsdeployError } from "../errors.ts";
import { parseFollowedReference } from "../oci/followed-reference.ts";
import type { ImageReference } from "../oci/reference.ts";
import { bootedDeployment, defaultDeployment, type Origin, type SysrootState } from "./deployment.ts";
import { type FollowedImage, findQuarantine, planSwitch, type SwitchPlan } from "./plan-switch.ts";
import type { QuarantineRecord } from "./quarantine.ts";

/** What `upgrade` is going to do. */
export type UpgradePlan =
  | SwitchPlan
  /** The image that the tag names now has failed here before: it is left alone until the tag moves on. */
  | { readonly kind: "quarantined"; readonly record: QuarantineRecord };

/** Decides what an upgrade to the image that the followed reference names now does. */
export function planUpgrade(
  state: SysrootState,
  image: FollowedImage,
  options: { readonly ignoreQuarantine: boolean },
): UpgradePlan {
  const plan = planSwitch(state, image);
  const record = plan.kind === "deploy" ? findQuarantine(state, image.manifestDigest) : undefined;
  return record === undefined || options.ignoreQuarantine ? plan : { kind: "quarantined", record };
}

/**
 * What an upgrade follows: what is staged, as the administrator's last word; else what boots next; else what runs.
 *
 * @throws OsdeployError `not-found` when there is no deployment, or its origin cannot be read; `usage` when its path is relative.
 */
export function followedReference(state: SysrootState): Origin & { readonly reference: ImageReference } {
  const origin = followedOrigin(state);
  return { ...origin, reference: parseFollowedReference(origin.imageReference) };
}

function followedOrigin(state: SysrootState): Origin {
  const deployment = defaultDeployment(state) ?? bootedDeployment(state);
  const origin = state.staged?.origin ?? deployment?.origin;
  if (origin !== undefined) return origin;
  const none = state.deployments.length === 0 ? "there is no deployment" : "no boot entry starts a deployment";
  const why = deployment === undefined ? none : `the origin of deployment ${deployment.rootImage} cannot be read`;
  throw new OsdeployError("not-found", `Cannot upgrade: ${why}`, {
    facts: { hint: "Name an image with: osdeploy switch IMAGE" },
  });
}
