import { bootEntryId, nextSequence } from "../core/boot/boot-menu.ts";
import { makeSysrootState, type SysrootState } from "../core/deployment/deployment.ts";
import { planDeploymentGc } from "../core/deployment/plan-deployment-gc.ts";
import { type ObjectId, parseObjectId } from "../core/digest/object-id.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import type { ResolvedImage } from "../image-source/image-source.ts";
import { planGc } from "../repo/plan-gc.ts";
import type { Repo } from "../repo/repo.ts";
import { findStream, layerStreamName } from "../repo/streams.ts";
import type { Sysroot } from "../sysroot/sysroot.ts";
import { neededImages, unneededKernels, unneededTags } from "./collect-deployments.ts";
import type { PlannedLayer } from "./planned-layers.ts";
import { orUntold, type Untold } from "./planned-tree.ts";

/** What `osdeploy gc` takes away once the new deployment has booted well. */
export type PrunePlan =
  | {
      readonly kind: "known";
      readonly deployments: readonly { readonly rootImage: ObjectId; readonly image: string | null }[];
      /** Names of boot entries, without their counters. */
      readonly bootEntries: readonly string[];
      /** Boot digests of kernels on the boot partition. */
      readonly kernels: readonly string[];
      /** What becomes free in the repo. */
      readonly objects: number;
      readonly bytes: number;
      /** Whether that is the most: the new image may hold some of it, and what is in it is not known before it is here. */
      readonly isBound: boolean;
    }
  | Untold;

/** The image that is to come. */
export interface ComingImage {
  readonly image: ResolvedImage;
  /** The boot digest of its kernel, where that is known. */
  readonly bootDigest: string | null;
  readonly layers: readonly PlannedLayer[];
}

/** Decides as the collection of garbage does, for the sysroot as it will be after the first good boot of a new image. */
export function planPrune(
  repo: Repo,
  { sysroot, state }: { readonly sysroot: Sysroot; readonly state: SysrootState },
  coming: ComingImage,
): PrunePlan {
  return orUntold(() => {
    const later = afterBoot(repo, state, coming.image.manifest.digest);
    const plan = planDeploymentGc(later, { keep: 0 });
    const tags = unneededTags(repo, plan);
    const garbage = planGc(repo, { keepImages: neededImages(repo, later, plan), withoutTags: new Set(tags) });
    const kept = objectsOf(repo, coming);
    const objects = garbage.objects.filter(({ id }) => !kept.has(id));
    return {
      kind: "known",
      deployments: plan.deployments.map(({ rootImage, origin }) => ({
        rootImage,
        image: origin?.imageReference ?? null,
      })),
      bootEntries: plan.entries.map(({ sequence }) => bootEntryId(sequence)),
      kernels: unneededKernels(sysroot, later, plan).filter((each) => each !== coming.bootDigest),
      objects: objects.length,
      bytes: objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      isBound: objects.length > 0 && coming.layers.some(({ entries }) => entries === undefined),
    };
  });
}

/** The sysroot with one deployment more, which was booted, and nothing staged. */
function afterBoot(repo: Repo, state: SysrootState, manifestDigest: ManifestDigest): SysrootState {
  // The root image's name is known when it is made. This one no image has.
  const rootImage = parseObjectId("0".repeat(repo.algorithm === "sha256" ? 64 : 128), repo.algorithm);
  const sequence = nextSequence(state.menu);
  const entry = {
    fileName: `${bootEntryId(sequence)}.conf`,
    sequence,
    rootImage,
    tries: undefined,
    entry: { fields: [] },
  };
  const origin = { imageReference: "", manifestDigest, bootDigest: "", verifiedBy: [], sealedBy: [] };
  return makeSysrootState({
    directories: [...state.deployments, { rootImage, origin }],
    menu: { ...state.menu, entries: [entry, ...state.menu.entries] },
    booted: state.booted && { ...state.booted, rootImage, entryId: bootEntryId(sequence) },
    quarantine: state.quarantine,
    heldByOthers: state.heldByOthers,
    damagedEntries: state.damagedEntries,
  });
}

/** What of the repo the new image keeps: splitstreams of layers, and the contents in them. */
function objectsOf(repo: Repo, { image, layers }: ComingImage): ReadonlySet<string> {
  const streams = image.layers.flatMap(({ diffId }) => findStream(repo, layerStreamName(diffId)) ?? []);
  const kept = new Set<string>(streams);
  for (const { entries } of layers) {
    for (const entry of entries ?? []) {
      if (entry.kind !== "regular" || entry.content.kind !== "external") continue;
      kept.add(`${entry.content.digest}`);
    }
  }
  return kept;
}
