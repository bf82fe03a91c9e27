import { isKernelWhole } from "../bootloader/kernel-store.ts";
import { lostStaged, type StagedDeployment, type SysrootState } from "../core/deployment/deployment.ts";
import { followedReference, planUpgrade } from "../core/deployment/plan-upgrade.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";
import { readNote } from "../sysroot/boot-records.ts";
import { dropStaged, recordStaged } from "../sysroot/staged-marker.ts";
import { sysrootPaths } from "../sysroot/sysroot-paths.ts";
import { withClockHint } from "./clock-hint.ts";
import { type ImageRequest, withOfferedImage } from "./offered-image.ts";
import { reboot, requireRunning } from "./reboot.ts";
import { isCommittedAtShutdown, notCommittedSentence, warnWhereNotCommitted } from "./shutdown-commit.ts";
import { followedImage, isStaged, perform, type SwitchRequest, type SwitchResult, withRepo } from "./switch.ts";
import type { System } from "./system.ts";
import { withWritableSystem } from "./writable-system.ts";

export interface UpgradeRequest
  extends Omit<ImageRequest, "image">,
    Pick<SwitchRequest, "sysroot" | "bootloader" | "finalizationLocked"> {
  /** Whether to reboot when something is staged. */
  readonly apply: boolean;
  /** Whether to take what is downloaded as it is, and to ask no registry. */
  readonly fromDownloaded?: boolean;
  /** Whether to take an image that failed here before. */
  readonly ignoreQuarantine: boolean;
}

export type UpgradeResult =
  | SwitchResult
  /** The image that the tag names now has failed here before. */
  | {
      readonly kind: "quarantined";
      readonly image: string;
      readonly manifestDigest: ManifestDigest;
      readonly reason: string;
      readonly since: string;
    };

/** Makes what boots next the image that the followed reference names now, or what is downloaded. */
export async function upgrade(system: System, request: UpgradeRequest): Promise<UpgradeResult> {
  const { sysroot, bootloader } = request;
  if (request.apply) requireRunning(system, sysroot, "reboot");
  if (request.fromDownloaded === true) return await takeDownloaded(system, request);
  if (request.finalizationLocked === true) requireRunning(system, sysroot, "stage an upgrade");
  const result = await withWritableSystem(system, { sysroot, bootloader }, async (writable) => {
    const { imageReference, reference } = followedReference(writable.state);
    system.progress({ kind: "start", task: "upgrade", subject: imageReference });
    const wanted: SwitchRequest = { ...request, image: reference, kernelArguments: [] };
    return await withRepo(system, writable.sysroot, (repo) =>
      withClockHint(system, { repo, state: writable.state }, () =>
        withOfferedImage(system, repo, wanted, async (offered): Promise<UpgradeResult> => {
          const image = followedImage(system, wanted, offered);
          const plan = planUpgrade(writable.state, image, request);
          if (plan.kind === "quarantined") {
            const { manifestDigest, reason, since } = plan.record;
            return { kind: "quarantined", image: imageReference, manifestDigest, reason, since };
          }
          const result = await perform(system, { request: wanted, writable, repo, offered }, plan);
          // The tag is back at what boots next. A lost switch to something else stays to be told.
          const isTaken = result.kind === "kept" && lostStaged(writable.state)?.imageReference === result.image;
          if (isTaken) dropStaged(writable.sysroot);
          return result;
        }),
      ),
    );
  });
  system.progress({ kind: "done" });
  if (request.apply && result.kind !== "quarantined" && isStaged(result)) rebootForStaged(system, sysroot);
  return result;
}

/**
 * Lets the next shutdown commit what is downloaded, and asks no registry: a maintenance window gets what was downloaded for it, also
 * when the tag has moved since.
 *
 * @throws OsdeployError `not-found` when nothing is downloaded, or its kernel is no longer whole.
 */
async function takeDownloaded(system: System, request: UpgradeRequest): Promise<SwitchResult> {
  requireRunning(system, request.sysroot, "upgrade from what is downloaded");
  const result = await withWritableSystem(system, request, ({ sysroot, state }): SwitchResult => {
    const { files, paths } = sysroot;
    const staged = requireDownloaded(state, (bootDigest) => isKernelWhole(files, paths.boot, bootDigest));
    if (staged.finalizationLocked) recordStaged(sysroot, { ...staged, finalizationLocked: false });
    const { rootImage, origin } = staged;
    return { kind: "kept-staged", image: origin.imageReference, rootImage, finalizationLocked: false };
  });
  warnWhereNotCommitted(system);
  if (request.apply) rebootForStaged(system, request.sysroot);
  return result;
}

function requireDownloaded(
  { staged, lostKernels }: SysrootState,
  isWhole: (bootDigest: string) => boolean,
): StagedDeployment {
  const bootDigest = staged?.origin.bootDigest;
  const hasKernel = bootDigest !== undefined && !lostKernels.has(bootDigest) && isWhole(bootDigest);
  if (staged !== undefined && hasKernel) return staged;
  const state =
    staged === undefined ? "there is nothing" : `its kernel ${bootDigest} is not on the boot partition as it should be`;
  const again = staged === undefined ? "Download it with" : "Get it again with";
  throw new OsdeployError("not-found", `Cannot upgrade from what is downloaded: ${state}`, {
    facts: { hint: `${again}: osdeploy upgrade --download-only` },
  });
}

function rebootForStaged(system: System, sysroot: Path): void {
  refuseVainReboot(system, sysroot);
  reboot(system);
}

/**
 * A timer that reboots for what is then not committed would do so for ever.
 *
 * @throws OsdeployError `system` where the shutdown before committed nothing, nothing commits at the next one, or what came last
 * was damaged.
 */
function refuseVainReboot(system: System, sysroot: Path): void {
  const { files } = system.linux;
  const paths = sysrootPaths(sysroot);
  const note = readNote(files, paths, "finalize-failure") ?? readNote(files, paths, "damaged");
  const state = note ?? (isCommittedAtShutdown(system) ? undefined : notCommittedSentence);
  if (state === undefined) return;
  throw new OsdeployError("system", `Cannot reboot for what is staged: ${state}`, {
    facts: { hint: "See to that, then reboot with: systemctl reboot" },
  });
}
