import { beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { assert } from "../../../src/core/errors.ts";
import { removeTree } from "../../../src/linux/remove-tree.ts";
import { finalizeStaged } from "../../../src/operations/finalize-staged.ts";
import { status } from "../../../src/operations/status.ts";
import { writeQuarantine } from "../../../src/sysroot/quarantine-store.ts";
import { sysrootPaths } from "../../../src/sysroot/sysroot-paths.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { failureOf, layoutReference, SeenProgress, systemOn } from "../../builders/operation-machine.ts";
import { buildOsImage, content } from "../../builders/os-images.ts";
import {
  boot,
  physicalRoot,
  readText,
  replaceLayout,
  runningMachine,
  stateOf,
  switchRunning,
  writeText,
} from "../../builders/running-machine.ts";
import { recordOf } from "../../builders/sysroot-states.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const v1 = await buildOsImage("v1");
const images = {
  v1,
  again: v1,
  v2: await buildOsImage("v2", [
    { path: "etc/hostname", content: "from the image\n" },
    { path: "etc/local", content: "a file\n" },
  ]),
  v3: await buildOsImage("v3"),
  sameKernel: await buildOsImage("v1", [{ path: "usr/lib/extra", content: content("extra") }]),
};

/** What the layout holds later. */
const v4 = { v4: await buildOsImage("v4") };

let linux: FakeLinux;
beforeEach(async () => {
  linux = await runningMachine(images, "v1");
});

const entries = () => linux.files.readDirectory(fromText("/boot/loader/entries"));
const finalize = () => finalizeStaged(systemOn(linux), { sysroot: physicalRoot });

describe("switchImage on a running system", () => {
  test("stages: all is there but the boot entry", async () => {
    const before = entries();
    const result = await switchRunning(linux, "v2");
    expect(result).toMatchObject({
      kind: "staged",
      image: layoutReference("v2"),
      finalizationLocked: false,
      kernel: "6.1-v2",
    });
    expect(entries()).toEqual(before);
    const { staged, deployments } = stateOf(linux);
    expect(staged).toMatchObject({
      rootImage: result.rootImage,
      origin: { imageReference: layoutReference("v2"), manifestDigest: images.v2.manifestDigest },
      boot: { osRelease: { version: "v2" }, options: `rw root=UUID=1 panic=30 composefs=${result.rootImage}` },
      sequence: 2,
      finalizationLocked: false,
    });
    expect(deployments.map(({ rootImage }) => rootImage)).toContain(result.rootImage);
    expect(linux.files.readDirectory(fromText("/boot/osdeploy"))).toContain(staged?.origin.bootDigest ?? "");
    expect(linux.openPaths).toEqual([]);
  });

  test("the /etc that is running is only read, and clashes are told when it is staged", async () => {
    const etc = `/sysroot/state/deploy/${stateOf(linux).booted?.rootImage}/etc`;
    linux.files.makeDirectory(fromText(`${etc}/local`), 0o755);
    writeText(linux, `${etc}/local/x`, "mine");
    writeText(linux, `${etc}/hostname`, "mine\n");
    const before = describeFiles(linux.files, fromText(etc));
    const result = await switchRunning(linux, "v2");
    assert(result.kind === "staged", "it is staged");
    expect(result.etcConflicts).toEqual([
      { path: "hostname", reason: "both-changed" },
      { path: "local", reason: "type-changed" },
    ]);
    expect(describeFiles(linux.files, fromText(etc))).toEqual(before);
  });

  test("a second one replaces what is staged", async () => {
    const first = await switchRunning(linux, "v2");
    const second = await switchRunning(linux, "v3");
    expect(stateOf(linux).staged?.rootImage).toBe(second.rootImage);
    expect(await finalize()).toMatchObject({ kind: "finalized", rootImage: second.rootImage });
    expect(stateOf(linux).menu.entries.map(({ rootImage }) => rootImage)).not.toContain(first.rootImage);
  });

  test("what is staged already is kept, and locked or unlocked", async () => {
    const { rootImage } = await switchRunning(linux, "v2", { finalizationLocked: true });
    expect(stateOf(linux).staged?.finalizationLocked).toBe(true);
    expect(await switchRunning(linux, "v2", { finalizationLocked: true })).toMatchObject({
      kind: "kept-staged",
      finalizationLocked: true,
    });
    expect(await switchRunning(linux, "v2")).toEqual({
      kind: "kept-staged",
      image: layoutReference("v2"),
      rootImage,
      finalizationLocked: false,
    });
    expect(stateOf(linux).staged?.finalizationLocked).toBe(false);
    await switchRunning(linux, "v2", { finalizationLocked: true });
    expect(stateOf(linux).staged?.finalizationLocked).toBe(true);
    expect(await finalize()).toMatchObject({ kind: "locked", rootImage });
  });

  test("the root image of what boots next is made again when it is gone, without another entry", async () => {
    const { menu } = stateOf(linux);
    const [entry] = menu.entries;
    linux.files.unlink(fromText(`/sysroot/composefs/images/${entry?.rootImage}`));
    const problems = async () => (await status(systemOn(linux), { sysroot: physicalRoot })).problems;
    expect(await problems()).toEqual([
      `The root image of boot entry ${entry?.fileName} is not in the repo, so it does not boot; upgrade or switch brings it again`,
    ]);
    expect(await switchRunning(linux, "v1")).toMatchObject({ kind: "deployed", bootEntry: entry?.fileName });
    expect(await problems()).toEqual([]);
    expect(stateOf(linux).menu).toEqual(menu);
  });

  test("the kernel of what boots next is stored again when it is gone, without another entry", async () => {
    const { menu, booted } = stateOf(linux);
    const [kernel = ""] = linux.files.readDirectory(fromText("/boot/osdeploy"));
    removeTree(linux.files, fromText(`/boot/osdeploy/${kernel}`));
    const problems = async () => (await status(systemOn(linux), { sysroot: physicalRoot })).problems;
    expect(await problems()).toEqual([
      `The kernel of boot entry ${menu.entries[0]?.fileName} is not on the boot partition, so it does not boot; upgrade or switch stores it again`,
    ]);
    expect(await switchRunning(linux, "v1")).toMatchObject({ kind: "deployed", rootImage: booted?.rootImage });
    expect(await problems()).toEqual([]);
    expect(stateOf(linux).menu).toEqual(menu);
    expect(await switchRunning(linux, "v1")).toMatchObject({ kind: "kept" });
  });

  test("a kernel of what is staged that is not what its name says is written anew", async () => {
    await switchRunning(linux, "v2");
    const file = `/boot/osdeploy/${stateOf(linux).staged?.origin.bootDigest}/initramfs.img`;
    const initramfs = readText(linux, file);
    writeText(linux, file, initramfs.replace("2", "3"));
    expect(await switchRunning(linux, "v2")).toMatchObject({ kind: "staged" });
    expect(readText(linux, file)).toBe(initramfs);
    expect(await switchRunning(linux, "v2")).toMatchObject({ kind: "kept-staged" });
  });

  test("back to what runs: what was staged is dropped", async () => {
    await switchRunning(linux, "v2");
    expect(await switchRunning(linux, "v1")).toMatchObject({ kind: "unstaged", image: layoutReference("v1") });
    expect(stateOf(linux).staged).toBeUndefined();
    expect(await switchRunning(linux, "v1")).toMatchObject({ kind: "kept" });
  });

  test("what runs by another name follows that at once; what was staged is dropped", async () => {
    await switchRunning(linux, "v2");
    expect(await switchRunning(linux, "again")).toMatchObject({
      kind: "deployed",
      bootEntry: "osdeploy-000001+2-1.conf",
    });
    expect(stateOf(linux).staged).toBeUndefined();
    expect(stateOf(linux).deployments.find(({ entries: own }) => own.length > 0)?.origin?.imageReference).toBe(
      layoutReference("again"),
    );
  });

  test("a deployment that is there keeps its /etc, and changes only when it is committed", async () => {
    const first = stateOf(linux).booted?.rootImage;
    await switchRunning(linux, "v2");
    await finalize();
    boot(linux);
    const before = describeFiles(linux.files, fromText(`/sysroot/state/deploy/${first}`));
    expect(await switchRunning(linux, "again")).toMatchObject({ kind: "staged", rootImage: first, etcConflicts: [] });
    expect(describeFiles(linux.files, fromText(`/sysroot/state/deploy/${first}`))).toEqual(before);
    expect(await finalize()).toMatchObject({
      kind: "finalized",
      bootEntry: "osdeploy-000003+3.conf",
      etcConflicts: [],
    });
    const deployment = stateOf(linux).deployments[0];
    expect(deployment).toMatchObject({ rootImage: first, origin: { imageReference: layoutReference("again") } });
  });

  test("what another program's entry starts keeps its /etc", async () => {
    const first = stateOf(linux).booted?.rootImage;
    await switchRunning(linux, "v2");
    await finalize();
    boot(linux);
    linux.files.unlink(fromText("/boot/loader/entries/osdeploy-000001+2-1.conf"));
    writeText(linux, "/boot/loader/entries/bootc-1.conf", `options rw composefs=${first}\n`);
    writeText(linux, `/sysroot/state/deploy/${first}/etc/mine`, "kept\n");
    expect(await switchRunning(linux, "again")).toMatchObject({ kind: "staged", rootImage: first });
    await finalize();
    expect(readText(linux, `/sysroot/state/deploy/${first}/etc/mine`)).toBe("kept\n");
  });

  test("another program's entry without a state directory gets one", async () => {
    const { rootImage } = await switchRunning(linux, "v2");
    removeTree(linux.files, fromText(`/sysroot/state/deploy/${rootImage}`));
    writeText(linux, "/boot/loader/entries/bootc-1.conf", `options rw composefs=${rootImage}\n`);
    expect(await finalize()).toMatchObject({ kind: "finalized", rootImage });
    expect(linux.files.readDirectory(fromText("/sysroot/state/deploy"))).toContain(rootImage);
  });

  test("takes the kernel arguments of the entry that runs", async () => {
    const path = fromText("/boot/loader/entries/osdeploy-000001+2-1.conf");
    const rootImage = stateOf(linux).booted?.rootImage;
    linux.files.unlink(path);
    writeText(
      linux,
      path,
      `options rw root=UUID=1 mine=1 panic=5 composefs=${rootImage} osdeploy.entry=osdeploy-000001\n`,
    );
    const result = await switchRunning(linux, "v2");
    expect(stateOf(linux).staged?.boot.options).toBe(`rw root=UUID=1 mine=1 panic=5 composefs=${result.rootImage}`);
  });

  test("refuses at once what no boot entry can be made of, and not at shutdown", async () => {
    const path = "/boot/loader/entries/osdeploy-000001+2-1.conf";
    const options = `options rw long=${"x".repeat(2000)} composefs=${stateOf(linux).booted?.rootImage}\n`;
    writeText(linux, path, options);
    expect(await failureOf(switchRunning(linux, "v2"))).toMatchObject({
      code: "bad-format",
      message: expect.stringMatching(/^Cannot write the boot entry: the kernel arguments are \d{4} bytes/),
    });
    expect(stateOf(linux).staged).toBeUndefined();
  });

  test("a bug in asking systemd is no answer", async () => {
    const run = () => {
      throw new TypeError("a bug");
    };
    const failing = { ...linux, programs: { ...linux.programs, run } };
    expect(await failureOf(switchRunning(linux, "v2", { system: { linux: failing } }))).toBeInstanceOf(TypeError);
  });

  test("warns of an image in quarantine, and deploys it as asked", async () => {
    const record = recordOf("a");
    writeQuarantine(linux.files, sysrootPaths(physicalRoot), {
      ...record,
      manifestDigest: parseManifestDigest(images.v2.manifestDigest),
    });
    const seen = new SeenProgress();
    expect(await switchRunning(linux, "v2", { system: { progress: seen.report } })).toMatchObject({ kind: "staged" });
    expect(seen.warnings).toEqual(["This image is in quarantine (it did not boot), and deployed as asked"]);
  });

  test("errors name the sysroot as the user did, not the sight of it that osdeploy writes through", async () => {
    const view = fromText("/./sysroot");
    const failing = {
      ...linux,
      mounts: { ...linux.mounts, openWritable: () => ({ path: view, close: () => {} }) },
    };
    writeText(linux, "/sysroot/composefs/meta.json", "garbage");
    expect(await failureOf(switchRunning(linux, "v2", { system: { linux: failing } }))).toMatchObject({
      message: expect.not.stringContaining("/./"),
    });
  });

  test("refuses when the boot partition that it was started from is not mounted", async () => {
    writeText(
      linux,
      "/proc/self/mountinfo",
      `22 1 0:20 / / ro - overlay composefs:${stateOf(linux).booted?.rootImage} ro\n`,
    );
    expect(await failureOf(switchRunning(linux, "v2"))).toMatchObject({
      code: "not-found",
      message:
        "Cannot find the boot partition: this system was started by osdeploy-000001, which is not in /sysroot/boot/loader/entries",
    });
    expect(stateOf(linux).staged).toBeUndefined();
  });
});

describe("a boot partition that is full", () => {
  /** v1, v2 and v3 are on it, v3 runs; as much is free as `freeBytes`. */
  async function crowded(freeBytes: number): Promise<void> {
    linux = await runningMachine(images, "v1", { bootBytes: 1_000_000 });
    for (const tag of ["v2", "v3"]) {
      await switchRunning(linux, tag);
      await finalize();
      boot(linux);
    }
    const { availableBytes } = linux.files.space(fromText("/boot"));
    writeText(linux, "/boot/filler", "x".repeat(availableBytes - freeBytes));
  }

  const needed = 327_680;

  test("the oldest deployment's entry and kernel go first, and its state later", async () => {
    await crowded(needed - 4096);
    replaceLayout(linux, v4);
    expect(await switchRunning(linux, "v4")).toMatchObject({ kind: "staged" });
    expect(stateOf(linux).menu.entries.map(({ sequence }) => sequence)).toEqual([3, 2]);
    expect(linux.files.readDirectory(fromText("/boot/osdeploy"))).toHaveLength(4);
    expect(stateOf(linux).deployments).toHaveLength(4);
  });

  test("refuses with the numbers when what may go is not enough, and touches nothing", async () => {
    await crowded(200_000);
    replaceLayout(linux, v4);
    const before = describeFiles(linux.files, fromText("/boot"));
    expect(await failureOf(switchRunning(linux, "v4"))).toMatchObject({
      code: "no-space",
      facts: { neededBytes: needed, freeableBytes: 8000 },
    });
    expect(describeFiles(linux.files, fromText("/boot"))).toEqual(before);
    expect(stateOf(linux).staged).toBeUndefined();
  });

  test("what was staged before is dropped before its kernel goes", async () => {
    linux = await runningMachine(images, "v1", { bootBytes: 1_000_000 });
    await switchRunning(linux, "v2");
    const { availableBytes } = linux.files.space(fromText("/boot"));
    writeText(linux, "/boot/filler", "x".repeat(availableBytes - needed + 4096));
    const failing = linux.crash({ keepUnsynced: true }, {});
    const calls = failing.trace.length;
    expect(await switchRunning(failing, "v3")).toMatchObject({ kind: "staged" });
    const paths = failing.trace.slice(calls).map(({ call, path }) => `${call} ${path}`);
    const dropped = paths.indexOf("unlink /run/osdeploy/staged.json");
    expect(dropped).toBeGreaterThan(0);
    expect(paths.findIndex((path) => path.startsWith("unlink /boot/osdeploy/"))).toBeGreaterThan(dropped);
  });
});
