import type { ObjectId } from "../core/digest/object-id.ts";
import type { DiffId } from "../core/digest/oci-digest.ts";
import type { ResolvedImage, ResolvedLayer } from "../image-source/image-source.ts";
import { isVouchedFor } from "../repo/object-check.ts";
import { ObjectGraph } from "../repo/object-graph.ts";
import { isSoundObject } from "../repo/read-object.ts";
import type { Repo } from "../repo/repo.ts";
import { findStream, layerStreamName } from "../repo/streams.ts";
import { checkInterrupted, type System } from "./system.ts";

/** The layers that the repo does not have, or whose splitstream is damaged, each once. */
export function missingLayers(repo: Repo, image: ResolvedImage): readonly ResolvedLayer[] {
  return layersWithout(image, ({ diffId }) => soundStream(repo, diffId) !== undefined);
}

/** What a repo lacks of an image. */
export interface LackingLayers {
  readonly layers: readonly ResolvedLayer[];
  /** Objects of theirs that are damaged, unsealed where they have to be sealed, or gone: nothing is to be taken from them. */
  readonly damaged: ReadonlySet<ObjectId>;
}

/** As {@link missingLayers}, and those that any object is damaged of: reads all of them. */
export function brokenLayers(system: System, repo: Repo, image: ResolvedImage): LackingLayers {
  system.progress({ kind: "phase", phase: "check-objects" });
  const store = { repoPath: repo.path, algorithm: repo.algorithm, secure: repo.secure };
  const graph = new ObjectGraph(repo);
  const judged = new Map<ObjectId, boolean>();
  const isSound = (id: ObjectId) => {
    checkInterrupted(system.signal);
    const known = judged.get(id);
    if (known !== undefined) return known;
    const sound = isSoundObject(repo, id) && isVouchedFor(repo.files, store, id);
    judged.set(id, sound);
    return sound;
  };
  const layers = layersWithout(image, ({ diffId }) => {
    const stream = soundStream(repo, diffId);
    if (stream === undefined) return false;
    const references = graph.references({ role: "stream", id: stream });
    if (references.kind !== "read") return false;
    // All of them, not as far as the first that is damaged.
    return references.objects.filter((id) => !isSound(id)).length === 0;
  });
  const damaged = [...judged].flatMap(([id, sound]) => (sound ? [] : [id]));
  return { layers, damaged: new Set(damaged) };
}

function layersWithout(image: ResolvedImage, isWhole: (layer: ResolvedLayer) => boolean): readonly ResolvedLayer[] {
  const different = new Map(image.layers.map((layer) => [layer.diffId, layer]));
  return [...different.values()].filter((layer) => !isWhole(layer));
}

function soundStream(repo: Repo, diffId: DiffId): ObjectId | undefined {
  const stream = findStream(repo, layerStreamName(diffId));
  return stream !== undefined && isSoundObject(repo, stream) ? stream : undefined;
}

/** In the order in which they are brought: so that no large one is left alone at the end. */
export function largestFirst(layers: readonly ResolvedLayer[]): readonly ResolvedLayer[] {
  return [...layers].sort((a, b) => b.sizeBytes - a.sizeBytes);
}
