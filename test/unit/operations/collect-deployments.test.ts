import { beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { checkInvariants } from "../../../src/core/deployment/invariants.ts";
import type { Path } from "../../../src/linux/linux.ts";
import { removeTree } from "../../../src/linux/remove-tree.ts";
import { collectDeployments, isCollectionNeeded } from "../../../src/operations/collect-deployments.ts";
import { finalizeStaged } from "../../../src/operations/finalize-staged.ts";
import { readSysrootState } from "../../../src/operations/sysroot-state.ts";
import { openSysroot, openWritableSysroot } from "../../../src/sysroot/sysroot.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { failureOf, layoutReference, systemOn } from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import {
  boot,
  physicalRoot,
  readText,
  runningMachine,
  stateOf,
  switchRunning,
  writeProc,
  writeText,
} from "../../builders/running-machine.ts";
import { takeSnapshot } from "../../builders/system-snapshot.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const images = {
  v1: await buildOsImage("v1"),
  v2: await buildOsImage("v2"),
  v3: await buildOsImage("v3"),
  v4: await buildOsImage("v4"),
};

let linux: FakeLinux;
let first: string | undefined;
beforeEach(async () => {
  linux = await runningMachine(images, "v1");
  first = stateOf(linux).booted?.rootImage;
  for (const tag of ["v2", "v3"]) {
    await switchRunning(linux, tag);
    await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
    boot(linux);
  }
});

const run = (options: { readonly keep?: number; readonly dryRun?: boolean; readonly whenNeeded?: boolean } = {}) =>
  collectDeployments(systemOn(linux), { sysroot: physicalRoot, keep: 0, dryRun: false, whenNeeded: false, ...options });

const isNeeded = () => isCollectionNeeded(systemOn(linux), { sysroot: physicalRoot });

describe("collectDeployments", () => {
  test("takes away what is older than the way back, with all that only it needed", async () => {
    const result = await run();
    expect(result).toMatchObject({
      bootEntries: ["osdeploy-000001+2-1.conf"],
      deployments: [{ rootImage: first, image: layoutReference("v1") }],
      tags: [`localhost/bootc-${images.v1.manifestDigest}`],
      keptDeployments: stateOf(linux).deployments.map(({ rootImage }) => rootImage),
    });
    expect(result.kernels).toHaveLength(1);
    expect(result.repo.objects.length).toBeGreaterThan(5);
    expect(stateOf(linux).menu.entries.map(({ sequence }) => sequence)).toEqual([3, 2]);
    expect(linux.files.readDirectory(fromText("/sysroot/state/deploy"))).not.toContain(first);
    expect(linux.files.readDirectory(fromText("/boot/osdeploy"))).not.toContain(result.kernels[0]);
    expect(checkInvariants(takeSnapshot(linux, physicalRoot))).toEqual([]);
    expect(linux.openPaths).toEqual([]);
  });

  test("waits for an operation that is not done yet", async () => {
    const other = openWritableSysroot(linux, physicalRoot);
    const waiting = run();
    await new Promise((resolve) => setTimeout(resolve, 50));
    other.close();
    expect(await waiting).toMatchObject({ deployments: [{ rootImage: first }] });
  });

  test("what refers goes before what it refers to, between two notes of it", async () => {
    const before = linux.trace.length;
    await run();
    const steps: readonly (readonly [string, RegExp])[] = [
      ["begin", /^rename .* \S*\/state\/osdeploy\/collecting$/],
      ["entry", /^unlink \/boot\/loader\/entries\//],
      ["deployment", /^rename \S*\/state\/deploy\/[0-9a-f]{128} /],
      ["kernel", /^\S+ \/boot\/osdeploy\//],
      ["tag", /^unlink \S*\/streams\/refs\/oci\//],
      ["object", /^unlink \S*\/objects\//],
      ["end", /^unlink \S*\/state\/osdeploy\/collecting$/],
    ];
    const seen = linux.trace.slice(before).flatMap(({ call, path, to }) => {
      const line = `${call} ${path} ${to ?? ""}`.trim();
      return steps.flatMap(([name, pattern]) => (pattern.test(line) ? [name] : []));
    });
    // Each once, however many there are of it one after the other.
    expect(seen.filter((name, index) => name !== seen[index - 1])).toEqual(steps.map(([name]) => name));
  });

  test("what a stopped run staged is work, also where nothing else goes", async () => {
    await run();
    expect(isNeeded()).toBe(false);
    linux.files.makeDirectory(fromText("/sysroot/composefs/staging/dead"), 0o700);
    expect(isNeeded()).toBe(true);
    await run({ whenNeeded: true });
    expect(linux.files.readDirectory(fromText("/sysroot/composefs/staging"))).toEqual([]);
    expect(isNeeded()).toBe(false);
  });

  test("a dry run tells the same, and changes nothing", async () => {
    const before = describeFiles(linux.files, fromText("/"));
    const planned = await run({ dryRun: true });
    expect(describeFiles(linux.files, fromText("/"))).toEqual(before);
    expect({ ...planned, dryRun: false }).toEqual(await run());
  });

  test("both name what goes as users do, also what is removed through a sight of its own", async () => {
    const openWritable = (path: Path) => ({ path: fromText(`/.${path}`), close: () => {} });
    const system = systemOn({ ...linux, clock: linux.clock, mounts: { ...linux.mounts, openWritable } });
    const request = { sysroot: physicalRoot, keep: 0, dryRun: false, whenNeeded: false };
    const planned = await collectDeployments(system, { ...request, dryRun: true });
    const done = await collectDeployments(system, request);
    expect(done.repo.links.length).toBeGreaterThan(0);
    for (const path of planned.repo.links) expect(path).toMatch(/^\/sysroot\/composefs\//);
    for (const path of done.repo.links) expect(path).toMatch(/^\/sysroot\/composefs\//);
  });

  test("when needed: goes through the repo only when something goes, or a run was stopped", async () => {
    expect(isNeeded()).toBe(true);
    expect((await run({ whenNeeded: true })).repo.objects.length).toBeGreaterThan(5);
    expect(isNeeded()).toBe(false);
    const garbage = fromText(`/sysroot/composefs/objects/00/${"0".repeat(126)}`);
    if (linux.files.lstatIfExists(fromText("/sysroot/composefs/objects/00")) === undefined) {
      linux.files.makeDirectory(fromText("/sysroot/composefs/objects/00"), 0o755);
    }
    linux.files.writeNewFile(garbage, Uint8Array.of(1), 0o644);
    const idle = await run({ whenNeeded: true });
    expect(idle.repo).toMatchObject({ objects: [], leftovers: [] });
    expect(idle.repo.keptObjects).toBeGreaterThan(5);
    expect(linux.files.lstatIfExists(garbage)).toBeDefined();
    expect(isNeeded()).toBe(false);
    writeText(linux, "/sysroot/state/osdeploy/collecting", "");
    expect(isNeeded()).toBe(true);
    expect((await run({ whenNeeded: true })).repo.objects).toHaveLength(1);
    expect(linux.files.lstatIfExists(fromText("/sysroot/state/osdeploy/collecting"))).toBeUndefined();
  });

  test.each([true, false])(
    "when needed: what was fetched of layers goes after seven days, also where nothing else does (%s)",
    async (isIdle) => {
      if (isIdle) await run();
      const staging = fromText("/sysroot/composefs/staging");
      const left = ["layer-sha256-a", "layer-sha256-b-parts", "layer-sha256-c"].map((name) => `${staging}/${name}`);
      const [old, parts, fresh] = left.map(fromText);
      linux.files.writeNewFile(old as Path, Uint8Array.of(1), 0o600);
      linux.files.makeDirectory(parts as Path, 0o700);
      linux.files.writeNewFile(fresh as Path, Uint8Array.of(1), 0o600);
      const day = 24 * 60 * 60;
      const now = Math.floor(linux.clock.now() / 1000);
      linux.files.setTime(old as Path, BigInt(now - 8 * day), 0);
      linux.files.setTime(parts as Path, BigInt(now - 8 * day), 0);
      linux.files.setTime(fresh as Path, BigInt(now - 6 * day), 0);
      expect((await run({ whenNeeded: true, dryRun: true })).repo.leftovers).toEqual([old, parts]);
      expect(isNeeded()).toBe(true);
      const { repo } = await run({ whenNeeded: true });
      expect(isNeeded()).toBe(false);
      expect(repo.leftovers).toEqual([old, parts]);
      expect(repo.objects.length > 0).toBe(!isIdle);
      expect(left.map((path) => linux.files.lstatIfExists(fromText(path)) !== undefined)).toEqual([false, false, true]);
      expect((await run()).repo.leftovers).toEqual([fresh]);
    },
  );

  test("keeps more when asked to", async () => {
    expect(await run({ keep: 1 })).toMatchObject({ bootEntries: [], deployments: [], kernels: [], tags: [] });
    expect(stateOf(linux).deployments).toHaveLength(3);
  });

  test("has nothing left to do the second time", async () => {
    await run();
    expect(await run()).toMatchObject({
      bootEntries: [],
      deployments: [],
      kernels: [],
      tags: [],
      repo: { objects: [] },
    });
  });

  test("keeps what is staged, and its kernel", async () => {
    const { rootImage } = await switchRunning(linux, "v4");
    expect(await run()).toMatchObject({ deployments: [{ rootImage: first }] });
    expect(checkInvariants(takeSnapshot(linux, physicalRoot))).toEqual([]);
    expect(await finalizeStaged(systemOn(linux), { sysroot: physicalRoot })).toMatchObject({
      kind: "finalized",
      rootImage,
    });
  });

  test("keeps what bootc's entries start, and forgets the failures of entries that went", async () => {
    writeText(linux, "/boot/loader/entries/bootc_debian-13-1.conf", `title bootc\noptions rw composefs=${first}\n`);
    linux.files.makeDirectory(fromText("/sysroot/state/osdeploy/boot-failures"), 0o755);
    for (const name of ["osdeploy-000002", "osdeploy-000099"])
      writeText(linux, `/sysroot/state/osdeploy/boot-failures/${name}`, "x");
    expect(await run()).toMatchObject({ deployments: [] });
    expect(linux.files.readDirectory(fromText("/sysroot/state/deploy"))).toContain(first);
    expect(linux.files.readDirectory(fromText("/sysroot/state/osdeploy/boot-failures"))).toEqual(["osdeploy-000002"]);
  });

  test.each([
    ["a unified kernel image", "loader/entries/bootc-1.conf", "title bootc\nefi /EFI/Linux/bootc/HEX.efi\n"],
    ["composefs.digest=", "loader/entries/bootc-1.conf", "options rw composefs.digest=v1-sha512-12:HEX\n"],
    ["two root images", "loader/entries/bootc-1.conf", `options composefs=HEX composefs=${"a".repeat(128)}\n`],
    ["an entry that bootc has staged", "loader/entries.staged/bootc-1.conf", "options rw composefs=HEX\n"],
  ])("keeps what others start: %s", async (_, path, text) => {
    linux.files.makeDirectory(fromText("/boot/loader/entries.staged"), 0o755);
    writeText(linux, `/boot/${path}`, text.replace("HEX", String(first)));
    expect(await run()).toMatchObject({ deployments: [] });
    expect(linux.files.readDirectory(fromText("/sysroot/state/deploy"))).toContain(first);
    expect(linux.files.readDirectory(fromText("/sysroot/composefs/images"))).toContain(first);
  });

  test("an entry of ours that somebody gave another name keeps its deployment and its kernel", async () => {
    const [oldest] = linux.files.readDirectory(fromText("/boot/loader/entries"));
    expect(oldest).toBe("osdeploy-000001+2-1.conf");
    linux.files.rename(fromText(`/boot/loader/entries/${oldest}`), fromText("/boot/loader/entries/rescue.conf"), {
      replace: false,
    });
    const kernel = /\/osdeploy\/[0-9a-f]{64}/.exec(readText(linux, "/boot/loader/entries/rescue.conf"))?.[0];
    expect(await run()).toMatchObject({ bootEntries: [], deployments: [], kernels: [] });
    expect(linux.files.readDirectory(fromText(`/boot${kernel}`))).toHaveLength(2);
  });

  test("what of others cannot be read keeps nothing, and a bug is no damage", async () => {
    linux.files.makeDirectory(fromText("/boot/loader/entries/bootc-1.conf"), 0o755);
    writeText(linux, "/boot/loader/entries.staged", "no directory");
    expect(stateOf(linux).heldByOthers).toEqual(new Set());
    const sysroot = openSysroot(linux.files, physicalRoot);
    const readFile = (path: string) => {
      if (path.endsWith("bootc-1.conf")) throw new TypeError("a bug");
      return new Uint8Array(0);
    };
    const files = Object.assign(Object.create(linux.files), { readFile });
    const menu = { entries: [], stale: [], foreign: ["bootc-1.conf"] };
    expect(() => readSysrootState({ ...sysroot, files, running: undefined }, menu)).toThrow(TypeError);
  });

  test("keeps the root image of another's entry and of what is staged where the state directory is gone", async () => {
    const { rootImage } = await switchRunning(linux, "v4");
    writeText(linux, "/boot/loader/entries/bootc-1.conf", `options composefs=${first}\n`);
    for (const each of [first, rootImage]) removeTree(linux.files, fromText(`/sysroot/state/deploy/${each}`));
    await run();
    const images = linux.files.readDirectory(fromText("/sysroot/composefs/images"));
    expect(images).toContain(first);
    expect(images).toContain(rootImage);
  });

  test("removes nothing where the entry that started the system is in no menu, as of bootc without /boot", async () => {
    const { booted } = stateOf(linux);
    writeProc(linux, `composefs:${booted?.rootImage}`, "rw");
    removeTree(linux.files, fromText("/boot/loader"));
    const before = describeFiles(linux.files, fromText("/sysroot"));
    for (const dryRun of [false, true]) {
      expect(await failureOf(run({ dryRun }))).toMatchObject({
        code: "not-found",
        message: `Cannot find the boot partition: this system was started by an entry of root image ${booted?.rootImage}, which is not in /boot/loader/entries`,
      });
    }
    expect(describeFiles(linux.files, fromText("/sysroot"))).toEqual(before);
    linux.files.makeDirectory(fromText("/boot/loader"), 0o755);
    linux.files.makeDirectory(fromText("/boot/loader/entries"), 0o755);
    writeText(linux, "/boot/loader/entries/bootc-1.conf", `options composefs=${booted?.rootImage}\n`);
    expect((await run()).keptDeployments).toEqual([booted?.rootImage]);
  });
});
