import { beforeEach, describe, expect, test } from "vitest";
import { listKernels } from "../../../src/bootloader/kernel-store.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { bootComplete } from "../../../src/operations/boot-complete.ts";
import { checkUpgrade } from "../../../src/operations/check-upgrade.ts";
import { collectDeployments } from "../../../src/operations/collect-deployments.ts";
import { finalizeStaged } from "../../../src/operations/finalize-staged.ts";
import type { DeploymentPlan } from "../../../src/operations/plan-deployment.ts";
import { planSwitchImage } from "../../../src/operations/plan-switch-image.ts";
import { type PullResult, pull } from "../../../src/operations/pull.ts";
import { untagImages } from "../../../src/operations/untag-image.ts";
import { buildChunkedImage, buildChunkedLayer } from "../../builders/chunked-layer.ts";
import { chunkedOsImage } from "../../builders/chunked-os.ts";
import { layoutReference, linuxAmd64, noLogin, systemOn } from "../../builders/operation-machine.ts";
import { osLayers } from "../../builders/os-images.ts";
import {
  boot,
  physicalRoot,
  replaceLayout,
  runningMachine,
  stateOf,
  switchRunning,
  writeText,
} from "../../builders/running-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const layersOf = (version: string) => Promise.all(osLayers(version).map((files) => buildChunkedLayer(files)));
const [v1, v2, v3] = [await chunkedOsImage("v1"), await chunkedOsImage("v2"), await chunkedOsImage("v3")];
const [built, rebuilt] = [
  buildChunkedImage(await layersOf("v4"), { build: "1" }),
  buildChunkedImage(await layersOf("v4"), { build: "2" }),
];

let linux: FakeLinux;
beforeEach(async () => {
  linux = await runningMachine({ latest: v1 }, "latest");
});

const repo = fromText(`${physicalRoot}/composefs`);
const request = { platform: linuxAmd64, source: noLogin };

async function plan(tag = "latest"): Promise<DeploymentPlan> {
  const image = parseImageReference(layoutReference(tag));
  return (
    (await planSwitchImage(systemOn(linux), { image, ...request, sysroot: physicalRoot })).plan ?? expect.unreachable()
  );
}

/** Brings an image and boots it. Gives what the pull brought. */
async function boots(tag = "latest"): Promise<Pick<PullResult, "addedObjects" | "addedBytes">> {
  const switched = await switchRunning(linux, tag);
  await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
  boot(linux);
  await bootComplete(systemOn(linux), { sysroot: physicalRoot });
  return "pulled" in switched ? switched.pulled : expect.unreachable();
}

const check = () => checkUpgrade(systemOn(linux), { ...request, sysroot: physicalRoot, ignoreQuarantine: false });
const collect = () =>
  collectDeployments(systemOn(linux), { sysroot: physicalRoot, keep: 0, dryRun: true, whenNeeded: false });

/** Asserts that gc finds what was planned to go. */
async function expectPruned({ prune }: DeploymentPlan): Promise<void> {
  const { bootEntries, deployments, kernels, repo } = await collect();
  expect(prune).toEqual({
    ...{ kind: "known", isBound: false, deployments, kernels },
    bootEntries: bootEntries.map((name) => name.replace(/(\+.*)?\.conf$/, "")),
    ...{ objects: repo.objects.length, bytes: repo.objectBytes },
  });
}

describe("the plan of an image that the repo knows", () => {
  test("back to the image before: its deployment stays, and only its old entry goes", async () => {
    replaceLayout(linux, { latest: v2, old: v1 });
    await boots();
    const planned = await plan("old");
    expect(planned).toMatchObject({ otherObjects: 0, newInodes: 0, prune: { deployments: [] } });
    await boots("old");
    await expectPruned(planned);
  });

  test("rebuilt with other labels: it follows the deployment that is there, which nothing replaces", async () => {
    replaceLayout(linux, { latest: built });
    await boots();
    replaceLayout(linux, { latest: rebuilt });
    const planned = await plan();
    expect(planned.prune).toMatchObject({ deployments: [], bootEntries: [], kernels: [], objects: 4 });
    const { addedBytes, addedObjects } = await boots();
    expect({ addedBytes, addedObjects }).toEqual({
      addedBytes: planned.otherBytes,
      addedObjects: planned.otherObjects,
    });
    await expectPruned(planned);
  });

  test("pulled to be looked at: the root image that boots is still to be made", async () => {
    replaceLayout(linux, { latest: await chunkedOsImage("v2", [{ path: "boot/readme", content: "x" }]) });
    const image = parseImageReference(layoutReference("latest"));
    await pull(systemOn(linux), { image, ...request, repo, bootable: false });
    const planned = await plan();
    const { addedBytes, addedObjects } = await boots();
    expect({ addedBytes, addedObjects }).toEqual({
      addedBytes: planned.otherBytes,
      addedObjects: planned.otherObjects,
    });
    expect(addedObjects).toBe(3);
  });

  test("pulled and untagged: its documents are not what gc takes later", async () => {
    replaceLayout(linux, { latest: v2 });
    const image = parseImageReference(layoutReference("latest"));
    await pull(systemOn(linux), { image, ...request, repo, bootable: true });
    await untagImages(systemOn(linux), { repo, images: [layoutReference("latest")] });
    const planned = await plan();
    expect(planned).toMatchObject({ otherObjects: 0, newInodes: 1, prune: { objects: 0, bytes: 0 } });
    await boots();
    await expectPruned(planned);
  });
});

test("a boot partition that has to be emptied first: what goes then is not what gc takes later", async () => {
  linux = await runningMachine({ latest: v1 }, "latest", { bootBytes: 385_000 });
  for (const latest of [v2, v3]) {
    replaceLayout(linux, { latest });
    await boots();
  }
  const path = "usr/lib/modules/6.1-v5/vmlinuz";
  replaceLayout(linux, { latest: await chunkedOsImage("v5", [{ path, content: "k".repeat(3001) }]) });
  const planned = await plan();
  expect(planned.boot).toMatchObject({ kind: "fits", removedEntries: ["osdeploy-000001"] });
  expect(planned.prune).toMatchObject({ bootEntries: ["osdeploy-000002"], kernels: [expect.any(String)] });
  await boots();
  await expectPruned(planned);
});

test("a damaged kernel on the boot partition: what boots next is deployed again, and all else stays", async () => {
  const [{ bootDigest } = expect.unreachable()] = listKernels(linux.files, fromText("/boot"));
  writeText(linux, `/boot/osdeploy/${bootDigest}/vmlinuz`, "k".repeat(3000));
  const prune = { deployments: [], bootEntries: [], kernels: [], objects: 0 };
  expect(await plan()).toMatchObject({ otherObjects: 0, newInodes: 0, prune });
  expect(await check()).toMatchObject({ kind: "available", plan: { prune } });
  expect(await switchRunning(linux, "latest")).toMatchObject({ kind: "deployed" });
  expect(await check()).toMatchObject({ kind: "up-to-date", plan: null });
});

describe("checkUpgrade", () => {
  test("a layer that the image has twice comes once", async () => {
    const [base, top] = await layersOf("v2");
    const twin = await buildChunkedLayer([{ path: "usr/twin", content: "twin" }]);
    replaceLayout(linux, { latest: buildChunkedImage([base, twin, top, twin].flatMap((each) => each ?? [])) });
    const found = await check();
    expect(found).toMatchObject({ kind: "available", missingLayers: 2, missingBytes: found.plan?.downloadBytes });
  });

  test("without its boot partition it fails as the upgrade would", async () => {
    linux.files.rename(
      fromText(`/boot/loader/entries/${stateOf(linux).menu.entries[0]?.fileName}`),
      fromText("/boot/loader/entries/gone"),
    );
    await expect(check()).rejects.toMatchObject({
      code: "not-found",
      message: expect.stringContaining("boot partition"),
    });
  });
});
