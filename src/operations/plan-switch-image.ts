import { openBootloader } from "../bootloader/open-bootloader.ts";
import { findQuarantine, planSwitch } from "../core/deployment/plan-switch.ts";
import { openImageSource } from "../image-source/open-image-source.ts";
import { openRepo } from "../repo/repo.ts";
import { openSysroot } from "../sysroot/sysroot.ts";
import { checkBootPartition } from "./boot-partition.ts";
import { withClockHint } from "./clock-hint.ts";
import { checkKernelArguments } from "./deploy.ts";
import { followedText } from "./followed-image.ts";
import { resolveTrusted } from "./offered-image.ts";
import { type DeploymentPlan, planDeployment } from "./plan-deployment.ts";
import { describeImage, type PlanImageResult } from "./plan-image.ts";
import { type SwitchRequest, withWholeKernel } from "./switch.ts";
import { readSysrootState } from "./sysroot-state.ts";
import type { System } from "./system.ts";

export type PlanSwitchRequest = Pick<
  SwitchRequest,
  "sysroot" | "bootloader" | "image" | "platform" | "source" | "targetReference"
> &
  Partial<Pick<SwitchRequest, "kernelArguments">>;

/** What a switch would do. */
export interface PlanSwitchResult extends Pick<PlanImageResult, "image" | "manifestDigest" | "version"> {
  /** `kept`: it boots next already; `unstaged`: so it does once what is staged is dropped; `kept-staged`: it is staged already. */
  readonly kind: "kept" | "unstaged" | "kept-staged" | "deploy";
  /** Why it is in quarantine, where it is; a switch takes it all the same. */
  readonly reason: string | null;
  /** What it would cost, and what would change; null when nothing is to be done. */
  readonly plan: DeploymentPlan | null;
}

const kinds = { keep: "kept", unstage: "unstaged", "keep-staged": "kept-staged", deploy: "deploy" } as const;

/** Tells what a switch to an image would do, and what it would cost. Writes nothing. */
export async function planSwitchImage(system: System, request: PlanSwitchRequest): Promise<PlanSwitchResult> {
  const { linux, signal } = system;
  const sysroot = openSysroot(linux.files, request.sysroot);
  const bootloader = openBootloader(sysroot.files, { boot: sysroot.paths.boot, kind: request.bootloader });
  const state = readSysrootState(sysroot, bootloader.readMenu());
  checkBootPartition(sysroot, state);
  checkKernelArguments(state, request.kernelArguments ?? []);
  const repo = openRepo(linux, sysroot.paths.repo, { access: "read", wait: true });
  const source = openImageSource(request.image, linux, { ...request.source, signal });
  try {
    return await withClockHint(system, { repo, state }, async (): Promise<PlanSwitchResult> => {
      const { image } = await resolveTrusted(system, source, request);
      const described = describeImage(source, image);
      const { manifestDigest } = described;
      const followed = followedText(system, request.targetReference ?? source.reference());
      const wanted = { imageReference: followed, manifestDigest };
      const { kind } = withWholeKernel({ sysroot, state }, wanted, planSwitch(state, wanted));
      const isNew = kind === "deploy";
      const plan = isNew ? await planDeployment(system, { repo, sysroot, state }, { source, image }) : null;
      return { kind: kinds[kind], ...described, reason: findQuarantine(state, manifestDigest)?.reason ?? null, plan };
    });
  } finally {
    await source.close();
    repo.close();
  }
}
