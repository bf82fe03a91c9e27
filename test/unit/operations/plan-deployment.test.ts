import { beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { bootComplete } from "../../../src/operations/boot-complete.ts";
import { checkUpgrade } from "../../../src/operations/check-upgrade.ts";
import { collectDeployments } from "../../../src/operations/collect-deployments.ts";
import { finalizeStaged } from "../../../src/operations/finalize-staged.ts";
import { type PlanSwitchResult, planSwitchImage } from "../../../src/operations/plan-switch-image.ts";
import { buildChunkedImage, buildChunkedLayer, noise } from "../../builders/chunked-layer.ts";
import { chunkedOsImage, dpkgStatus } from "../../builders/chunked-os.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { buildImage } from "../../builders/oci-image.ts";
import {
  failureOf,
  layoutReference,
  linuxAmd64,
  machineWith,
  noLogin,
  switchTo,
  sysrootPath,
  systemOn,
} from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
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

const status = "var/lib/dpkg/status";
const [v1, v2, v3] = [
  await chunkedOsImage("v1", [{ path: status, content: dpkgStatus("apt 3.0", "bash 5", "gone 1") }]),
  await chunkedOsImage("v2", [{ path: status, content: dpkgStatus("apt 3.1", "bash 5", "new 1") }]),
  await chunkedOsImage("v3", [
    { path: status, content: dpkgStatus("apt 3.1", "bash 5", "new 1") },
    { path: "usr/lib/modules/6.1-v3/vmlinuz", content: "k".repeat(3001) },
  ]),
];

let linux: FakeLinux;
beforeEach(async () => {
  linux = await runningMachine({ latest: v1 }, "latest");
});

const plan = (tag = "latest"): Promise<PlanSwitchResult> =>
  planSwitchImage(systemOn(linux), {
    image: parseImageReference(layoutReference(tag)),
    ...{ sysroot: physicalRoot, platform: linuxAmd64, source: noLogin },
  });

async function bootNew(): Promise<void> {
  await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
  boot(linux);
  await bootComplete(systemOn(linux), { sysroot: physicalRoot });
}

/** All inodes below a directory. */
function inodes(files: LinuxFiles, path: string): number {
  return files.readDirectory(fromText(path)).reduce((sum, name) => {
    const below = `${path}/${name}`;
    return sum + 1 + (files.lstat(fromText(below)).kind === "directory" ? inodes(files, below) : 0);
  }, 0);
}

const prefixes = (files: LinuxFiles) => files.readDirectory(fromText("/sysroot/composefs/objects")).length;

describe("planSwitchImage", () => {
  test("tells before what the switch then does, and writes nothing", async () => {
    replaceLayout(linux, { latest: v2 });
    const before = describeFiles(linux.files, fromText("/"));
    const calls = linux.trace.length;
    const found = await plan();
    expect(describeFiles(linux.files, fromText("/"))).toEqual(before);
    expect(linux.trace.slice(calls)).toEqual([]);
    expect(linux.openPaths).toEqual([]);
    expect(found).toMatchObject({ kind: "deploy", reason: null, version: null });
    const { otherBytes, otherObjects, newBytes, newInodes, newObjects } = found.plan ?? expect.unreachable();
    const [had, hadPrefixes] = [inodes(linux.files, "/sysroot/composefs"), prefixes(linux.files)];
    const switched = await switchRunning(linux, "latest");
    if (switched.kind !== "staged") throw new Error(`It was ${switched.kind}`);
    expect(switched.pulled.addedObjects).toBe(newObjects + otherObjects);
    expect(Math.abs(switched.pulled.addedBytes - newBytes - Number(otherBytes))).toBeLessThan(64);
    const directories = prefixes(linux.files) - hadPrefixes;
    expect(inodes(linux.files, "/sysroot/composefs") - had - directories).toBe(newInodes);
  });

  test("names the files and packages that change", async () => {
    replaceLayout(linux, { latest: v2 });
    const found = await plan();
    expect(found.plan?.files).toMatchObject({ kind: "known", isCut: false });
    expect(found.plan?.files).toHaveProperty(
      "paths",
      [
        { path: "/etc/motd", change: "changed" },
        ...["", "/initramfs.img", "/vmlinuz"].map((name) => ({
          path: `/usr/lib/modules/6.1-v1${name}`,
          change: "removed",
        })),
        ...["", "/initramfs.img", "/vmlinuz"].map((name) => ({
          path: `/usr/lib/modules/6.1-v2${name}`,
          change: "added",
        })),
        { path: "/usr/lib/libc.so", change: "changed" },
        { path: "/usr/lib/os-release", change: "changed" },
        { path: "/var/lib/dpkg/status", change: "changed" },
      ].sort((a, b) => (a.path < b.path ? -1 : 1)),
    );
    expect(found.plan?.packages).toEqual({
      ...{ kind: "known", managers: ["dpkg"], unchanged: 1 },
      replaced: [{ name: "apt", before: "3.0", after: "3.1", architecture: "all" }],
      added: [{ name: "new", version: "1", architecture: "all" }],
      removed: [{ name: "gone", version: "1", architecture: "all" }],
    });
    expect(found.plan?.base).toMatchObject({ image: layoutReference("latest"), manifestDigest: v1.manifestDigest });
  });

  test("tells what the boot partition has to hold", async () => {
    replaceLayout(linux, { latest: v2 });
    expect((await plan()).plan?.boot).toMatchObject({
      ...{ kind: "fits", kernel: "6.1-v2", isNewKernel: null, kernelBytes: 8000 },
      ...{ neededBytes: 10 * 32 * 1024, removedEntries: [], removedKernels: [] },
    });
    const changed = await chunkedOsImage("v4", [{ path: "usr/lib/modules/6.1-v4/vmlinuz", content: "k".repeat(7000) }]);
    replaceLayout(linux, { latest: changed });
    expect((await plan()).plan?.boot).toMatchObject({ kind: "fits", isNewKernel: true, bootDigest: null });
  });

  test("a kernel that is there already is known by its digest", async () => {
    const same = await chunkedOsImage("v1", [{ path: "usr/lib/more", content: "more" }]);
    replaceLayout(linux, { latest: same });
    const found = await plan();
    expect(found.plan?.boot).toMatchObject({ kind: "fits", isNewKernel: false, neededBytes: 8 * 32 * 1024 });
    expect(found.plan?.packages).toMatchObject({
      kind: "known",
      removed: [{ name: "apt" }, { name: "bash" }, { name: "gone" }],
    });
  });

  test("a boot partition that is too small is told with the numbers", async () => {
    linux = await runningMachine({ latest: v1 }, "latest", { bootBytes: 500_000 });
    replaceLayout(linux, {
      latest: await chunkedOsImage("v2", [{ path: "usr/lib/modules/6.1-v2/vmlinuz", content: "k".repeat(700_000) }]),
    });
    const { boot: found } = (await plan()).plan ?? expect.unreachable();
    expect(found).toMatchObject({ kind: "no-space", kernel: "6.1-v2", freeableBytes: 0 });
    const { neededBytes, availableBytes } = found.kind === "no-space" ? found : expect.unreachable();
    expect(neededBytes).toBeGreaterThan(availableBytes);
    const facts = { neededBytes, availableBytes, freeableBytes: 0 };
    expect(await failureOf(switchRunning(linux, "latest"))).toMatchObject({ code: "no-space", facts });
  });

  test("an image that cannot boot is told, and compared all the same", async () => {
    const kernels = ["a", "b"].map((name) => ({ path: `usr/lib/modules/${name}/vmlinuz`, content: "k" }));
    replaceLayout(linux, { latest: await chunkedOsImage("v2", kernels) });
    expect((await plan()).plan).toMatchObject({ boot: { kind: "not-bootable" }, files: { kind: "known" } });
  });

  test("tells what the collection of garbage takes after a good boot", async () => {
    replaceLayout(linux, { latest: v2 });
    await switchRunning(linux, "latest");
    await bootNew();
    replaceLayout(linux, { latest: v3 });
    const { prune } = (await plan()).plan ?? expect.unreachable();
    expect(prune).toMatchObject({ kind: "known", isBound: false, bootEntries: ["osdeploy-000001"] });
    await switchRunning(linux, "latest");
    await bootNew();
    const gc = await collectDeployments(systemOn(linux), {
      ...{ sysroot: physicalRoot, keep: 0, dryRun: true, whenNeeded: false },
    });
    expect(prune).toEqual({
      ...{ kind: "known", isBound: false, bootEntries: ["osdeploy-000001"] },
      ...{ deployments: gc.deployments, kernels: gc.kernels },
      ...{ objects: gc.repo.objects.length, bytes: gc.repo.objectBytes },
    });
    expect(gc.deployments).toHaveLength(1);
  });

  test("of layers without a table of contents it says what is not known", async () => {
    replaceLayout(linux, { latest: await buildOsImage("v2") });
    const found = await plan();
    const untold = { kind: "unknown", reason: "a layer is not here and without a table of contents" };
    expect(found.plan).toMatchObject({
      ...{ files: untold, packages: untold, boot: untold, uncountedLayers: 1, isDownloadBound: false },
      ...{ newInodes: null, otherBytes: null, otherObjects: 7 },
    });
  });

  test("nothing to do: what boots next, and what is staged", async () => {
    expect(await plan()).toMatchObject({ kind: "kept", plan: null });
    replaceLayout(linux, { latest: v2, old: v1 });
    await switchRunning(linux, "latest");
    expect(await plan()).toMatchObject({ kind: "kept-staged", plan: null });
  });

  test("an image in quarantine is planned, and the reason told", async () => {
    replaceLayout(linux, { latest: v2 });
    await switchRunning(linux, "latest");
    await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
    for (let times = 0; times < 4; times++) boot(linux);
    await bootComplete(systemOn(linux), { sysroot: physicalRoot });
    const { kind, reason, plan: found } = await plan();
    expect([kind, reason]).toEqual(["deploy", "3 boots of it did not complete"]);
    expect(found).toMatchObject({ downloadBytes: 0, newObjects: 0, otherObjects: 0, otherBytes: 0 });
  });

  test("an image that the signature policy refuses is not looked at", async () => {
    writeText(linux, "/policy.json", JSON.stringify({ default: [{ type: "reject" }] }));
    replaceLayout(linux, { latest: v2 });
    const source = { ...noLogin, signaturePolicy: fromText("/policy.json") };
    const image = parseImageReference(layoutReference("latest"));
    const refused = planSwitchImage(systemOn(linux), { image, sysroot: physicalRoot, platform: linuxAmd64, source });
    expect(await failureOf(refused)).toMatchObject({ code: "untrusted" });
    expect(linux.openPaths).toEqual([]);
  });
});

test("planSwitchImage: a sysroot that this machine does not run is compared with what it boots next", async () => {
  const machine = machineWith({ v1, v2 });
  await switchTo(machine, "v1");
  const found = await planSwitchImage(systemOn(machine), {
    image: parseImageReference(layoutReference("v2")),
    ...{ sysroot: sysrootPath, platform: linuxAmd64, source: noLogin },
  });
  expect(found.plan).toMatchObject({ prune: { kind: "known", deployments: [] }, packages: { kind: "known" } });
  const refused = planSwitchImage(systemOn(machine), {
    image: parseImageReference(layoutReference("v2")),
    ...{ sysroot: sysrootPath, platform: linuxAmd64, source: noLogin, kernelArguments: ["foo=bar"] },
  });
  expect(await failureOf(refused)).toMatchObject({ code: "usage" });
});

test("checkUpgrade: has the same plan", async () => {
  replaceLayout(linux, { latest: v2 });
  const checked = await checkUpgrade(systemOn(linux), {
    ...{ sysroot: physicalRoot, platform: linuxAmd64, source: noLogin, ignoreQuarantine: false },
  });
  expect(checked.plan).toEqual((await plan()).plan);
});

test("checkUpgrade: what is no operating system is compared as it is", async () => {
  replaceLayout(linux, { latest: await buildImage({ layers: [[{ path: "etc" }]] }) });
  expect((await plan()).plan?.boot.kind).toBe("unknown");
});

test("planSwitchImage: a deployment whose root image is damaged, or came from elsewhere, is told", async () => {
  const { rootImage, origin } = stateOf(linux).deployments[0] ?? expect.unreachable();
  expect(origin?.imageReference).toBe(layoutReference("latest"));
  replaceLayout(linux, { latest: v2 });
  linux.files.unlink(fromText(`/sysroot/state/deploy/${rootImage}/${rootImage}.origin`));
  expect((await plan()).plan?.base).toEqual({ image: null, manifestDigest: null, rootImage });
  const object = fromText(`/sysroot/composefs/objects/${rootImage.slice(0, 2)}/${rootImage.slice(2)}`);
  linux.files.unlink(object);
  linux.files.writeNewFile(object, new Uint8Array(4096), 0o644);
  expect((await plan()).plan).toMatchObject({
    ...{
      files: { kind: "unknown" },
      packages: { kind: "unknown" },
      prune: { kind: "unknown" },
      boot: { kind: "fits" },
    },
  });
});

test("planSwitchImage: an image whose layers do not fit together is told", async () => {
  const odd = await chunkedOsImage("v2", [{ path: "usr/lib/os-release/inside", content: "x" }]);
  replaceLayout(linux, { latest: odd });
  expect((await plan()).plan?.files).toMatchObject({
    kind: "unknown",
    reason: expect.stringContaining("no directory"),
  });
});

test("planSwitchImage: an image that has a kernel and nothing to mount over counts two root images", async () => {
  const layer = await buildChunkedLayer([
    { path: "usr/" },
    { path: "usr/lib/modules/1/vmlinuz", content: noise(9000, 1) },
    { path: "usr/lib/modules/1/initramfs.img", content: noise(9000, 2) },
  ]);
  replaceLayout(linux, { latest: buildChunkedImage([layer]) });
  expect((await plan()).plan).toMatchObject({ otherObjects: 7, boot: { kind: "fits", isNewKernel: true } });
});

test("planSwitchImage: a policy of labels that is not here leaves the sizes as they are without", async () => {
  const policy = [
    { path: "etc/selinux/config", content: "SELINUX=enforcing\nSELINUXTYPE=targeted\n" },
    {
      path: "etc/selinux/targeted/contexts/files/file_contexts",
      content: `/.* system_u:object_r:usr_t:s0\n`.repeat(9),
    },
  ];
  replaceLayout(linux, { latest: await chunkedOsImage("v2", policy) });
  const { otherBytes, otherObjects } = (await plan()).plan ?? expect.unreachable();
  expect(otherObjects).toBe(7);
  expect(Number(otherBytes)).toBeGreaterThan(8192);
});
