import { beforeEach, describe, expect, test } from "vitest";
import { listKernels } from "../../../src/bootloader/kernel-store.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseDiffId } from "../../../src/core/digest/oci-digest.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { bootComplete } from "../../../src/operations/boot-complete.ts";
import { checkUpgrade } from "../../../src/operations/check-upgrade.ts";
import { collectDeployments } from "../../../src/operations/collect-deployments.ts";
import { finalizeStaged } from "../../../src/operations/finalize-staged.ts";
import type { DeploymentPlan } from "../../../src/operations/plan-deployment.ts";
import { type ImagePlan, planImage } from "../../../src/operations/plan-image.ts";
import { planSwitchImage } from "../../../src/operations/plan-switch-image.ts";
import { pull } from "../../../src/operations/pull.ts";
import type { PulledImage } from "../../../src/operations/pull-image.ts";
import { untagImages } from "../../../src/operations/untag-image.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { findStream, layerStreamName } from "../../../src/repo/streams.ts";
import { buildChunkedImage, buildChunkedLayer } from "../../builders/chunked-layer.ts";
import { chunkedOsImage } from "../../builders/chunked-os.ts";
import { buildLayer } from "../../builders/oci-layer.ts";
import { layoutReference, linuxAmd64, noLogin, systemOn } from "../../builders/operation-machine.ts";
import { buildOsImage, osLayers } from "../../builders/os-images.ts";
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

/** A kernel of another size than all others. */
const larger = (version: string) => ({ path: `usr/lib/modules/6.1-${version}/vmlinuz`, content: "k".repeat(3001) });

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

/** All inodes below a directory, but for directories. */
function inodes(path: string): number {
  return linux.files.readDirectory(fromText(path)).reduce((sum, name) => {
    const below = `${path}/${name}`;
    return sum + (linux.files.lstat(fromText(below)).kind === "directory" ? inodes(below) : 1);
  }, 0);
}

/** Brings an image, which writes what was planned, and boots it. */
async function boots(tag = "latest"): Promise<void> {
  const planned = await plan(tag);
  const had = inodes(repo);
  const switched = await switchRunning(linux, tag);
  if (!("pulled" in switched)) throw new Error(`It was ${switched.kind}`);
  expectWritten(planned, switched.pulled, had);
  await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
  boot(linux);
  await bootComplete(systemOn(linux), { sysroot: physicalRoot });
}

function expectWritten(planned: ImagePlan, pulled: PulledImage, had: number): void {
  expect(pulled.addedObjects).toBe(planned.newObjects + planned.otherObjects);
  // How small files are packed is not known before they are here.
  expect(Math.abs(pulled.addedBytes - planned.newBytes - Number(planned.otherBytes))).toBeLessThan(64);
  expect(inodes(repo) - had).toBe(planned.newInodes);
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
    expect(planned.otherObjects).toBe(4);
    await boots();
    await expectPruned(planned);
  });

  test("pulled to be looked at: the root image that boots is still to be made", async () => {
    replaceLayout(linux, { latest: await chunkedOsImage("v2", [{ path: "boot/readme", content: "x" }]) });
    const image = parseImageReference(layoutReference("latest"));
    await pull(systemOn(linux), { image, ...request, repo, bootable: false });
    const planned = await plan();
    expect(planned).toMatchObject({ otherObjects: 3, boot: { isNewKernel: true, bootDigest: expect.any(String) } });
    await boots();
    expect(await planImage(systemOn(linux), { image, ...request, repo })).toMatchObject({
      ...{ otherObjects: 0, otherBytes: 0, newInodes: 0 },
    });
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

describe("the plan of an image of which something is here", () => {
  test("a damaged splitstream of a layer comes again, and all else stays", async () => {
    replaceLayout(linux, { latest: v2 });
    await boots();
    const store = openRepo(linux, repo, { access: "read", wait: false });
    const id = String(findStream(store, layerStreamName(parseDiffId(String(v2.layers[1]?.diffId)))));
    store.close();
    writeText(linux, `${repo}/objects/${id.slice(0, 2)}/${id.slice(2)}`, "damaged");
    const image = parseImageReference(layoutReference("latest"));
    const planned = await planImage(systemOn(linux), { image, ...request, repo });
    expect(planned.layers.map(({ kind }) => kind)).toEqual(["known", "chunked"]);
    const had = inodes(repo);
    const pulled = await pull(systemOn(linux), { image, ...request, repo, bootable: false });
    expectWritten(planned, pulled, had);
    expect(pulled.repaired).toEqual([id]);
  });

  test("compressed in another way: its documents alone are new", async () => {
    const gzip = buildChunkedImage(await Promise.all(osLayers("v4").map((files) => buildLayer(files))));
    replaceLayout(linux, { latest: gzip });
    await switchRunning(linux, "latest");
    replaceLayout(linux, { latest: buildChunkedImage(await layersOf("v4")) });
    expect(await plan()).toMatchObject({ downloadBytes: 0, otherObjects: 2 });
    await boots();
  });

  test("after one in gzip: what is measured is written down, and of a layer of directories nothing is", async () => {
    linux = await runningMachine({ latest: await buildOsImage("v1") }, "latest");
    const directories = await buildChunkedLayer([{ path: "srv" }]);
    replaceLayout(linux, { latest: buildChunkedImage([...(await layersOf("v2")), directories]) });
    await boots();
  });

  test("labels of a policy that is here count", async () => {
    const contexts = "/.* system_u:object_r:usr_t:s0\n/usr/lib(/.*)? system_u:object_r:lib_t:s0\n";
    const policy = [
      { path: "etc/selinux/config", content: "SELINUX=enforcing\nSELINUXTYPE=targeted\n" },
      { path: "etc/selinux/targeted/contexts/files/file_contexts", content: contexts.repeat(9) },
    ];
    for (const version of ["v2", "v3"]) {
      const many = Array.from({ length: 60 }, (_, at) => ({
        path: `usr/lib/${version}-${at}`,
        content: `${at}`.repeat(99),
      }));
      replaceLayout(linux, { latest: await chunkedOsImage(version, [...policy, ...many]) });
      if (version === "v2") await switchRunning(linux, "latest");
      else await boots();
    }
  });

  test("contents of an image that no tag keeps any more stay, as far as they are in the new one", async () => {
    const image = parseImageReference(layoutReference("latest"));
    const shared = { path: "usr/shared", content: "shared ".repeat(99) };
    replaceLayout(linux, { latest: await chunkedOsImage("v2", [shared]) });
    await pull(systemOn(linux), { image, ...request, repo, bootable: true });
    await untagImages(systemOn(linux), { repo, images: [layoutReference("latest")] });
    replaceLayout(linux, { latest: await chunkedOsImage("v3", [shared]) });
    const planned = await plan();
    await boots();
    await expectPruned(planned);
  });

  test("in gzip, or with a kernel that may be there: what is pruned is the most", async () => {
    replaceLayout(linux, { latest: v2 });
    await boots();
    replaceLayout(linux, { latest: await buildOsImage("v3") });
    expect((await plan()).prune).toMatchObject({ isBound: true, bootEntries: ["osdeploy-000001"] });
    replaceLayout(linux, { latest: v3 });
    expect(await plan()).toMatchObject({ boot: { isNewKernel: null }, prune: { isBound: true } });
    replaceLayout(linux, { latest: await chunkedOsImage("v5", [larger("v5")]) });
    expect(await plan()).toMatchObject({ boot: { isNewKernel: true }, prune: { isBound: false } });
  });
});

test("a boot partition that has to be emptied first: what goes then is not what gc takes later", async () => {
  linux = await runningMachine({ latest: v1 }, "latest", { bootBytes: 385_000 });
  for (const latest of [v2, v3]) {
    replaceLayout(linux, { latest });
    await boots();
  }
  replaceLayout(linux, { latest: await chunkedOsImage("v5", [larger("v5")]) });
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
