import fc from "fast-check";
import { expect, test } from "vitest";
import { listKernels } from "../../src/bootloader/kernel-store.ts";
import { bootEntryId } from "../../src/core/boot/boot-menu.ts";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { LinuxFiles } from "../../src/linux/linux.ts";
import { bootComplete } from "../../src/operations/boot-complete.ts";
import { collectDeployments } from "../../src/operations/collect-deployments.ts";
import { finalizeStaged } from "../../src/operations/finalize-staged.ts";
import type { DeploymentPlan } from "../../src/operations/plan-deployment.ts";
import { type ImagePlan, planImage } from "../../src/operations/plan-image.ts";
import { planSwitchImage } from "../../src/operations/plan-switch-image.ts";
import { pull } from "../../src/operations/pull.ts";
import type { PulledImage } from "../../src/operations/pull-image.ts";
import { rollback } from "../../src/operations/rollback.ts";
import { untagImages } from "../../src/operations/untag-image.ts";
import { buildChunkedImage, buildChunkedLayer, noise } from "../builders/chunked-layer.ts";
import type { BuiltImage } from "../builders/oci-image.ts";
import { type BuiltLayer, buildLayer, type LayerFile } from "../builders/oci-layer.ts";
import { layoutReference, linuxAmd64, noLogin, systemOn } from "../builders/operation-machine.ts";
import { osLayers } from "../builders/os-images.ts";
import {
  boot,
  physicalRoot,
  replaceLayout,
  runningMachine,
  stateOf,
  switchRunning,
} from "../builders/running-machine.ts";
import type { FakeLinux } from "../fakes/fake-linux.ts";

const repo = fromText("/sysroot/composefs");

/** What layers are made of: contents that several have, links, marks that take away, and what is kept in the splitstream. */
const pieces: readonly (readonly LayerFile[])[] = [
  [{ path: "usr/large", content: noise(30_000, 1) }],
  [
    { path: "usr/large", content: noise(30_000, 2) },
    { path: "usr/again", content: noise(30_000, 1) },
  ],
  [
    { path: "usr/twin", content: noise(9000, 3) },
    { path: "usr/lib/twin", content: noise(9000, 3) },
  ],
  [
    { path: "usr/bin/linked", hardLink: "usr/bin/sh" },
    { path: "usr/empty", content: "" },
  ],
  [
    { path: "usr/few", content: "so few bytes" },
    { path: "usr/more", content: "x".repeat(65) },
  ],
  [
    { path: "usr/few", content: "others" },
    { path: "usr/capable", content: noise(900, 4), xattrs: { "user.x": "y" } },
  ],
  [{ path: "usr/capable", content: noise(900, 4), xattrs: { "security.capability": "cap" } }],
  [
    { path: "usr/.wh.large", content: "" },
    { path: "var/lib/.wh..wh..opq", content: "" },
  ],
  [
    { path: "boot/readme", content: noise(300, 5) },
    { path: "run/lock", content: "1" },
  ],
  [{ path: "srv" }],
];
const [base = [], ...versions] = [osLayers("1")[0], ...["1", "2", "3"].map((version) => osLayers(version)[1] ?? [])];
const made = {
  chunked: new Map<readonly LayerFile[], Promise<BuiltLayer>>(),
  gzip: new Map<readonly LayerFile[], Promise<BuiltLayer>>(),
};

/** A layer of these files, made once. */
function layerOf(files: readonly LayerFile[], isChunked: boolean): Promise<BuiltLayer> {
  const all = isChunked ? made.chunked : made.gzip;
  const layer = all.get(files) ?? (isChunked ? buildChunkedLayer(files, { chunkBytes: 8000 }) : buildLayer(files));
  all.set(files, layer);
  return layer;
}

interface Sketch {
  readonly version: number;
  readonly pieces: readonly number[];
  readonly label: string;
  readonly isChunked: boolean;
}

async function imageOf({ version, pieces: chosen, label, isChunked }: Sketch): Promise<BuiltImage> {
  const files = [base, versions[version] ?? [], ...chosen.map((each) => pieces[each] ?? [])];
  return buildChunkedImage(
    await Promise.all(files.map((each) => layerOf(each, isChunked))),
    label === "" ? {} : { label },
  );
}

const sketch: fc.Arbitrary<Sketch> = fc.record({
  version: fc.nat(versions.length - 1),
  pieces: fc.array(fc.nat(pieces.length - 1), { maxLength: 4 }),
  label: fc.constantFrom("", "", "a"),
  isChunked: fc.constantFrom(true, true, true, false),
});
type Act = "switch" | "boot" | "pull" | "untag" | "gc" | "rollback" | "fail";
const act = fc.constantFrom<Act>("switch", "switch", "boot", "boot", "pull", "untag", "gc", "rollback", "fail");

/** All inodes below a directory, but for directories. */
function inodes(files: LinuxFiles, path: string): number {
  return files.readDirectory(fromText(path)).reduce((sum, name) => {
    const below = `${path}/${name}`;
    return sum + (files.lstat(fromText(below)).kind === "directory" ? inodes(files, below) : 1);
  }, 0);
}

class Host {
  readonly linux: FakeLinux;
  readonly #request = {
    ...{ image: parseImageReference(layoutReference("latest")), platform: linuxAmd64, source: noLogin },
  };
  /** Of what was switched to, and nothing else happened since. */
  #plan: DeploymentPlan | null = null;
  /** Whether the repo may hold contents of which no index tells: they count as new. */
  #isUnmeasured: boolean;

  constructor(linux: FakeLinux, first: Sketch) {
    this.linux = linux;
    this.#isUnmeasured = !first.isChunked;
  }

  async switch(): Promise<void> {
    const planned = await planSwitchImage(systemOn(this.linux), { ...this.#request, sysroot: physicalRoot });
    const had = inodes(this.linux.files, repo);
    const kernels = this.#kernels();
    const switched = await switchRunning(this.linux, "latest").catch((error: unknown) => {
      if (error instanceof OsdeployError) return error;
      throw error;
    });
    if (switched instanceof OsdeployError) {
      this.#plan = null;
      expect(switched.code).toBe("no-space");
      expect(planned.plan?.boot.kind).toMatch(/^(no-space|unknown)$/);
      return;
    }
    expect(planned.plan?.boot.kind).not.toBe("no-space");
    const kind = switched.kind === "staged" || switched.kind === "deployed" ? "deploy" : switched.kind;
    expect(planned.kind).toBe(kind);
    if (planned.plan === null || !("pulled" in switched)) {
      if (kind !== "kept-staged") this.#plan = null;
      return;
    }
    this.#expectWritten(planned.plan, { pulled: switched.pulled, had });
    this.#expectBooted(planned.plan, kernels);
    this.#plan = planned.plan;
  }

  #kernels(): readonly string[] {
    return listKernels(this.linux.files, fromText("/boot")).map(({ bootDigest }) => bootDigest);
  }

  /** Asserts that kernels came and went as planned. */
  #expectBooted({ boot }: DeploymentPlan, had: readonly string[]): void {
    if (boot.kind !== "fits") return;
    const kernels = this.#kernels();
    expect(had.filter((each) => !kernels.includes(each))).toEqual([...boot.removedKernels].sort());
    const [added = null, other] = kernels.filter((each) => !had.includes(each));
    expect(other).toBeUndefined();
    if (boot.isNewKernel !== null) expect(added !== null).toBe(boot.isNewKernel);
    if (boot.bootDigest !== null) expect(kernels).toContain(boot.bootDigest);
    const ids = stateOf(this.linux).menu.entries.map(({ sequence }) => bootEntryId(sequence));
    for (const each of boot.removedEntries) expect(ids).not.toContain(each);
  }

  async pull(): Promise<void> {
    const plan = await planImage(systemOn(this.linux), { ...this.#request, repo });
    const had = inodes(this.linux.files, repo);
    const pulled = await pull(systemOn(this.linux), { ...this.#request, repo, bootable: false });
    this.#expectWritten(plan, { pulled, had });
    this.#plan = null;
  }

  /** Asserts that an image brought into the repo what was planned; `had` are its inodes before. */
  #expectWritten(plan: ImagePlan, { pulled, had }: { readonly pulled: PulledImage; readonly had: number }): void {
    if (plan.newInodes === null || plan.otherBytes === null) {
      this.#isUnmeasured = true;
      return;
    }
    const objects = plan.newObjects + plan.otherObjects - pulled.addedObjects;
    // How small files are packed is not known before they are here.
    const bytes = plan.newBytes + plan.otherBytes - pulled.addedBytes;
    expect(plan.newInodes - (inodes(this.linux.files, repo) - had)).toBe(objects);
    if (this.#isUnmeasured) {
      expect(objects).toBeGreaterThanOrEqual(0);
      expect(bytes).toBeGreaterThan(-200);
      return;
    }
    expect(objects).toBe(0);
    expect(Math.abs(bytes)).toBeLessThan(200);
  }

  async untag(): Promise<void> {
    await untagImages(systemOn(this.linux), { repo, images: [layoutReference("latest")] }).catch(() => undefined);
    this.#plan = null;
  }

  async gc(): Promise<void> {
    await this.#collect({ dryRun: false });
    this.#plan = null;
  }

  async rollback(): Promise<void> {
    await rollback(systemOn(this.linux), { sysroot: physicalRoot, apply: false }).catch(() => undefined);
    this.#plan = null;
  }

  /** What is staged is given up by the loader. */
  async fail(): Promise<void> {
    this.#plan = null;
    await finalizeStaged(systemOn(this.linux), { sysroot: physicalRoot });
    for (let times = 0; times < 4; times++) boot(this.linux);
    await bootComplete(systemOn(this.linux), { sysroot: physicalRoot });
  }

  async boot(): Promise<void> {
    await finalizeStaged(systemOn(this.linux), { sysroot: physicalRoot });
    boot(this.linux);
    await bootComplete(systemOn(this.linux), { sysroot: physicalRoot });
    const gc = await this.#collect({ dryRun: true });
    const prune = this.#plan?.prune;
    this.#plan = null;
    if (prune?.kind !== "known") return;
    const { bootEntries, bytes, deployments, kernels, objects } = prune;
    const found = {
      bootEntries: gc.bootEntries.map((name) => name.replace(/(\+.*)?\.conf$/, "")),
      deployments: gc.deployments,
      kernels: gc.kernels,
      objects: gc.repo.objects.length,
      bytes: gc.repo.objectBytes,
    };
    if (!prune.isBound) expect(found).toEqual({ bootEntries, deployments, kernels, objects, bytes });
    expect(bootEntries).toEqual(expect.arrayContaining(found.bootEntries));
    expect(deployments).toEqual(expect.arrayContaining([...found.deployments]));
    expect(kernels).toEqual(expect.arrayContaining([...found.kernels]));
    expect(objects).toBeGreaterThanOrEqual(found.objects);
    expect(bytes).toBeGreaterThanOrEqual(found.bytes);
  }

  #collect({ dryRun }: { readonly dryRun: boolean }): ReturnType<typeof collectDeployments> {
    return collectDeployments(systemOn(this.linux), { sysroot: physicalRoot, keep: 0, dryRun, whenNeeded: false });
  }
}

test("law: a pull writes what was planned, and gc takes what was planned", async () => {
  const steps = fc.array(fc.record({ image: sketch, act }), { minLength: 2, maxLength: 7 });
  // Room for two kernels, or for less.
  const bootBytes = fc.constantFrom(10_000_000, 357_000, 374_000, 385_000);
  await fc.assert(
    fc.asyncProperty(sketch, bootBytes, steps, async (first, bootBytes, actions) => {
      const host = new Host(await runningMachine({ latest: await imageOf(first) }, "latest", { bootBytes }), first);
      for (const { image, act } of actions) {
        replaceLayout(host.linux, { latest: await imageOf(image) });
        await host[act]();
      }
    }),
    { numRuns: 12 },
  );
});
