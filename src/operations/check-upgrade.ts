import { openBootloader } from "../bootloader/open-bootloader.ts";
import type { SysrootState } from "../core/deployment/deployment.ts";
import { findQuarantine } from "../core/deployment/plan-switch.ts";
import { followedReference, planUpgrade } from "../core/deployment/plan-upgrade.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import type { ImageReference } from "../core/oci/reference.ts";
import type { ImageSource, ResolvedImage } from "../image-source/image-source.ts";
import { openImageSource } from "../image-source/open-image-source.ts";
import { openRepo, type Repo } from "../repo/repo.ts";
import { openSysroot, type Sysroot } from "../sysroot/sysroot.ts";
import { checkBootPartition } from "./boot-partition.ts";
import { withClockHint } from "./clock-hint.ts";
import { missingLayers } from "./missing-layers.ts";
import { resolveTrusted } from "./offered-image.ts";
import { type DeploymentPlan, planDeployment } from "./plan-deployment.ts";
import { withWholeKernel } from "./switch.ts";
import { readSysrootState } from "./sysroot-state.ts";
import type { System } from "./system.ts";
import type { UpgradeRequest } from "./upgrade.ts";

export type CheckUpgradeRequest = Pick<
  UpgradeRequest,
  "sysroot" | "bootloader" | "platform" | "source" | "ignoreQuarantine"
>;

/** What an upgrade would do. */
export interface CheckUpgradeResult {
  /**
   * `staged`: it waits for the shutdown already; `downloaded`: it does so once it is asked for again; `quarantined`: an upgrade would
   * leave it alone.
   */
  readonly kind: "up-to-date" | "available" | "staged" | "downloaded" | "quarantined";
  readonly image: string;
  /** Of the image that the reference names now. */
  readonly manifestDigest: ManifestDigest;
  /** What its label `org.opencontainers.image.version` says; null where it has none. */
  readonly version: string | null;
  /** Why it is in quarantine, where it is. */
  readonly reason: string | null;
  /** Layers that the repo does not have, and their size as the registry has them. */
  readonly missingLayers: number;
  readonly missingBytes: number;
  /** What it would cost, and what would change; null when it is not what comes next. */
  readonly plan: DeploymentPlan | null;
}

/**
 * Asks the registry for the manifest of the image that is followed, and tells what is new and what it would cost. Writes
 * nothing, and fetches of layers no more than tables and package databases.
 */
export async function checkUpgrade(system: System, request: CheckUpgradeRequest): Promise<CheckUpgradeResult> {
  const sysroot = openSysroot(system.linux.files, request.sysroot);
  const bootloader = openBootloader(sysroot.files, { boot: sysroot.paths.boot, kind: request.bootloader });
  const state = readSysrootState(sysroot, bootloader.readMenu());
  checkBootPartition(sysroot, state);
  const repo = openRepo(system.linux, sysroot.paths.repo, { access: "read", wait: true });
  try {
    const { imageReference, reference } = followedReference(state);
    const check = async (source: ImageSource, image: ResolvedImage): Promise<CheckUpgradeResult> => {
      const described = describe({ sysroot, state }, imageReference, image, request);
      const isNews = described.kind === "available";
      const plan = isNews ? await planDeployment(system, { repo, sysroot, state }, { source, image }) : null;
      return { ...described, ...missingOf(repo, image), plan };
    };
    return await withClockHint(system, { repo, state }, () => resolve(system, { reference, request }, check));
  } finally {
    repo.close();
  }
}

async function resolve<T>(
  system: System,
  { reference, request }: { readonly reference: ImageReference; readonly request: CheckUpgradeRequest },
  use: (source: ImageSource, image: ResolvedImage) => Promise<T>,
): Promise<T> {
  const { source: options } = request;
  const source = openImageSource(reference, system.linux, { ...options, signal: system.signal });
  try {
    // What the policy refuses is no upgrade; better to hear of it now.
    const { image } = await resolveTrusted(system, source, request);
    return await use(source, image);
  } finally {
    await source.close();
  }
}

function describe(
  place: { readonly sysroot: Sysroot; readonly state: SysrootState },
  imageReference: string,
  { manifest, imageConfig }: ResolvedImage,
  request: CheckUpgradeRequest,
): Omit<CheckUpgradeResult, "missingLayers" | "missingBytes" | "plan"> {
  const manifestDigest = manifest.digest;
  const { state } = place;
  const wanted = { imageReference, manifestDigest };
  const plan = planUpgrade(state, wanted, request);
  const { kind } = plan.kind === "quarantined" ? plan : withWholeKernel(place, wanted, plan);
  const kinds = {
    keep: "up-to-date",
    unstage: "up-to-date",
    "keep-staged": state.staged?.finalizationLocked === true ? "downloaded" : "staged",
    deploy: "available",
    quarantined: "quarantined",
  } as const;
  return {
    kind: kinds[kind],
    image: imageReference,
    manifestDigest,
    version: imageConfig.labels.get("org.opencontainers.image.version") ?? null,
    reason: findQuarantine(state, manifestDigest)?.reason ?? null,
  };
}

function missingOf(repo: Repo, image: ResolvedImage): Pick<CheckUpgradeResult, "missingLayers" | "missingBytes"> {
  const missing = missingLayers(repo, image);
  return { missingLayers: missing.length, missingBytes: missing.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}
