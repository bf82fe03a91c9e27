import { type BootEntry, bootEntryId, nextSequence } from "../core/boot/boot-menu.ts";
import { makeSysrootState, nextEntry, type SysrootState } from "../core/deployment/deployment.ts";
import { planDeploymentGc } from "../core/deployment/plan-deployment-gc.ts";
import { placementOf } from "../core/deployment/plan-switch.ts";
import { digestLength, type ObjectId, parseObjectId } from "../core/digest/object-id.ts";
import type { ResolvedImage } from "../image-source/image-source.ts";
import { planGc } from "../repo/plan-gc.ts";
import type { Repo } from "../repo/repo.ts";
import { findStream, layerStreamName } from "../repo/streams.ts";
import type { Sysroot } from "../sysroot/sysroot.ts";
import { neededImages, unneededKernels, unneededTags } from "./collect-deployments.ts";
import type { BootPlan } from "./planned-boot.ts";
import type { PlannedLayer } from "./planned-layers.ts";
import { orUntold, type Untold } from "./planned-tree.ts";
import type { OtherWrites } from "./planned-writes.ts";

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
      /** Whether all that is the most: the new image may need some of it, and what is in it is not known before it is here. */
      readonly isBound: boolean;
    }
  | Untold;

/** The image that is to come. */
export interface ComingImage {
  readonly image: ResolvedImage;
  readonly layers: readonly PlannedLayer[];
  /** Documents and root images of it, and the one that boots, as far as their digests are known. */
  readonly writes: Pick<OtherWrites, "bootImage" | "ids">;
  readonly boot: BootPlan;
}

/** Decides as the collection of garbage does, for the sysroot as it will be after the first good boot of a new image. */
export function planPrune(
  repo: Repo,
  { sysroot, state }: { readonly sysroot: Sysroot; readonly state: SysrootState },
  coming: ComingImage,
): PrunePlan {
  return orUntold(() => {
    const later = afterBoot(repo, state, coming);
    const plan = planDeploymentGc(later, { keep: 0 });
    const tags = unneededTags(repo, plan);
    const garbage = planGc(repo, { keepImages: neededImages(repo, later, plan), withoutTags: new Set(tags) });
    const kept = objectsOf(repo, coming);
    const { boot } = coming;
    const others = new Set(boot.kind === "fits" ? [...boot.removedKernels, boot.bootDigest] : []);
    const kernels = unneededKernels(sysroot, later, plan).filter((each) => !others.has(each));
    const objects = garbage.objects.filter(({ id }) => !kept.has(id));
    return {
      kind: "known",
      deployments: plan.deployments.map(({ rootImage, origin }) => ({
        rootImage,
        image: origin?.imageReference ?? null,
      })),
      bootEntries: plan.entries.map(({ sequence }) => bootEntryId(sequence)),
      kernels,
      objects: objects.length,
      bytes: objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      isBound: isBound(coming, [plan.deployments, plan.entries, kernels, objects], kernels),
    };
  });
}

/** Whether the new image may need some of what would go: nobody knows what is in all of its layers, or which kernel it has. */
function isBound(
  { boot, layers }: ComingImage,
  all: readonly (readonly unknown[])[],
  kernels: readonly unknown[],
): boolean {
  if (layers.some(({ entries }) => entries === undefined)) return all.some((each) => each.length > 0);
  return kernels.length > 0 && boot.kind === "fits" && boot.isNewKernel === null;
}

/** The sysroot when the new image was booted, nothing is staged, and what had to make room for it is gone. */
function afterBoot(repo: Repo, state: SysrootState, { boot, image, writes }: ComingImage): SysrootState {
  // Where the root image's name is not known, this one stands for it, which no image has.
  const unknown = parseObjectId("0".repeat(digestLength(repo.algorithm) * 2), repo.algorithm);
  const rootImage = writes.bootImage ?? unknown;
  const started = entryAfter(state, rootImage);
  const all = state.menu.entries.includes(started) ? state.menu.entries : [started, ...state.menu.entries];
  const removed = new Set(boot.kind === "fits" ? boot.removedEntries : []);
  const entries = all.filter(({ sequence }) => !removed.has(bootEntryId(sequence)));
  const origin = {
    ...{ imageReference: "", bootDigest: "", verifiedBy: [], sealedBy: [] },
    manifestDigest: image.manifest.digest,
  };
  const others = state.deployments.filter((each) => each.rootImage !== rootImage);
  return makeSysrootState({
    directories: [...others, { rootImage, origin }],
    menu: { ...state.menu, entries },
    booted: state.booted && { ...state.booted, rootImage, entryId: bootEntryId(started.sequence) },
    quarantine: state.quarantine,
    heldByOthers: state.heldByOthers,
    damagedEntries: state.damagedEntries,
  });
}

/** The entry that starts a root image: a new one, but where it is what boots next anyway. */
function entryAfter(state: SysrootState, rootImage: ObjectId): BootEntry {
  const next = nextEntry(state);
  if (next !== undefined && placementOf(state, rootImage) === "follow") return next;
  const sequence = nextSequence(state.menu);
  const fileName = `${bootEntryId(sequence)}.conf`;
  return { fileName, sequence, rootImage, tries: undefined, entry: { fields: [] } };
}

/** What of the repo the new image keeps: documents, root images, splitstreams of layers, and the contents in them. */
function objectsOf(repo: Repo, { image, layers, writes }: ComingImage): ReadonlySet<string> {
  const streams = image.layers.flatMap(({ diffId }) => findStream(repo, layerStreamName(diffId)) ?? []);
  const kept = new Set<string>([...streams, ...writes.ids]);
  for (const { entries } of layers) {
    for (const entry of entries ?? []) {
      if (entry.kind !== "regular" || entry.content.kind !== "external") continue;
      kept.add(`${entry.content.digest}`);
    }
  }
  return kept;
}
