import { beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { bootComplete } from "../../../src/operations/boot-complete.ts";
import { collectDeployments } from "../../../src/operations/collect-deployments.ts";
import { finalizeStaged } from "../../../src/operations/finalize-staged.ts";
import { status } from "../../../src/operations/status.ts";
import { upgrade } from "../../../src/operations/upgrade.ts";
import { beginCollection, writeNote } from "../../../src/sysroot/boot-records.ts";
import { openSysroot, openWritableSysroot } from "../../../src/sysroot/sysroot.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import {
  failureOf,
  linuxAmd64,
  machineWith,
  noLogin,
  SeenProgress,
  switchTo,
  sysrootPath,
  systemOn,
} from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import {
  boot,
  physicalRoot,
  RecordedPrograms,
  readText,
  replaceLayout,
  runningMachine,
  stateOf,
  switchRunning,
  writeProc,
  writeText,
} from "../../builders/running-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const images = { v1: await buildOsImage("v1"), v2: await buildOsImage("v2") };

let linux: FakeLinux;
beforeEach(async () => {
  linux = await runningMachine(images, "v1");
});

const run = (progress = new SeenProgress()) =>
  bootComplete(systemOn(linux, { progress: progress.report }), { sysroot: physicalRoot });
const entries = () => linux.files.readDirectory(fromText("/boot/loader/entries"));

/** v2 is committed, and booted as often. */
async function bootSecond(times: number): Promise<void> {
  await switchRunning(linux, "v2");
  await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
  for (let time = 0; time < times; time++) boot(linux);
}

function writeFailure(name: string, text: string): void {
  for (const path of ["osdeploy", "osdeploy/boot-failures"]) {
    const directory = fromText(`/sysroot/state/${path}`);
    if (linux.files.lstatIfExists(directory) === undefined) linux.files.makeDirectory(directory, 0o755);
  }
  writeText(linux, `/sysroot/state/osdeploy/boot-failures/${name}`, text);
}

describe("bootComplete", () => {
  test("waits for an operation that is not done yet", async () => {
    const other = openWritableSysroot(linux, physicalRoot);
    const waiting = run();
    await new Promise((resolve) => setTimeout(resolve, 50));
    other.close();
    expect(await waiting).toMatchObject({ blessed: true });
  });

  test("the first good boot of an entry shows that its commit did not fail after all", async () => {
    await bootSecond(1);
    const sentence = "What was staged was not committed at shutdown: Cannot sync";
    writeNote(linux.files, openSysroot(linux.files, physicalRoot).paths, "finalize-failure", sentence);
    expect(stateOf(linux).problems).toEqual([sentence]);
    expect(await run()).toMatchObject({ bootEntry: "osdeploy-000002", blessed: true });
    expect(stateOf(linux).problems).toEqual([]);
  });

  test("blesses the entry that booted, and is done with it then", async () => {
    expect(await run()).toEqual({
      bootEntry: "osdeploy-000001",
      blessed: true,
      counting: "counted",
      quarantined: [],
      loader: null,
    });
    expect(entries()).toEqual(["osdeploy-000001.conf"]);
    const before = describeFiles(linux.files, fromText("/"));
    expect(await run()).toEqual({
      bootEntry: "osdeploy-000001",
      blessed: false,
      counting: "unknown",
      quarantined: [],
      loader: null,
    });
    expect(describeFiles(linux.files, fromText("/"))).toEqual(before);
    expect(linux.openPaths).toEqual([]);
  });

  test("marks that there is something to collect, for the unit that does, and takes the mark away", async () => {
    const isMarked = () => linux.files.lstatIfExists(fromText("/run/osdeploy/gc-needed")) !== undefined;
    await run();
    expect(isMarked()).toBe(false);
    beginCollection(linux.files, openSysroot(linux.files, physicalRoot).paths);
    await run();
    expect(isMarked()).toBe(true);
    await collectDeployments(systemOn(linux), { sysroot: physicalRoot, keep: 0, dryRun: false, whenNeeded: true });
    await run();
    expect(isMarked()).toBe(false);
    expect(linux.openPaths).toEqual([]);
  });

  test("is content with a repo that cannot be read, and leaves it to gc to say so", async () => {
    writeText(linux, "/sysroot/composefs/meta.json", "{");
    expect(await run()).toMatchObject({ blessed: true });
    expect(linux.files.lstatIfExists(fromText("/run/osdeploy/gc-needed"))).toBeDefined();
    const collected = { sysroot: physicalRoot, keep: 0, dryRun: false, whenNeeded: true };
    expect(await failureOf(collectDeployments(systemOn(linux), collected))).toMatchObject({ code: "bad-format" });
    expect(linux.openPaths).toEqual([]);
  });

  test("blesses the last try", async () => {
    await bootSecond(3);
    expect(await run()).toMatchObject({ bootEntry: "osdeploy-000002", blessed: true, quarantined: [] });
    expect(entries()).toContain("osdeploy-000002.conf");
  });

  test("puts an image whose tries are used up into quarantine, once", async () => {
    await bootSecond(4);
    const seen = new SeenProgress();
    expect(await run(seen)).toMatchObject({
      bootEntry: "osdeploy-000001",
      quarantined: [{ manifestDigest: images.v2.manifestDigest, reason: "3 boots of it did not complete" }],
    });
    expect(seen.warnings).toEqual([
      `Image ${images.v2.manifestDigest} failed to boot (3 boots of it did not complete): upgrades leave it alone until its tag moves`,
    ]);
    expect(stateOf(linux).quarantine).toMatchObject([
      { bootEntry: "osdeploy-000002", cause: "boot-failed", bootLog: "" },
    ]);
    expect(await run()).toMatchObject({ quarantined: [] });
  });

  test.each([
    ["+0-1", "a boot of it did not complete"],
    ["+0", "it was given up before it could boot"],
  ])("says how an entry came to %s", async (counters, reason) => {
    await bootSecond(0);
    linux.files.rename(
      fromText("/boot/loader/entries/osdeploy-000002+3.conf"),
      fromText(`/boot/loader/entries/osdeploy-000002${counters}.conf`),
    );
    expect(await run()).toMatchObject({ quarantined: [{ reason }] });
  });

  test("takes the reason that was written down, and the end of the boot's log", async () => {
    const id = "0123456789abcdef0123456789abcdef";
    const programs = new RecordedPrograms({
      journalctl: (words) =>
        words.some((word) => word.startsWith("--boot=")) ? "[ 1.0] one\n[ 2.0] two\n" : `{"_BOOT_ID":"${id}"}\n`,
    });
    linux = await runningMachine(images, "v1", { runProgram: programs.run });
    await bootSecond(4);
    writeFailure("osdeploy-000002", "health check 10-net failed\n");
    expect(await run()).toMatchObject({ quarantined: [{ reason: "health check 10-net failed" }] });
    expect(stateOf(linux).quarantine).toMatchObject([{ bootLog: "[ 1.0] one\n[ 2.0] two" }]);
    expect(programs.calls.at(-1)).toContain(`--boot=${id}`);
  });

  test("forgets what failed before in the entry that is good now, and in entries that are gone", async () => {
    await bootSecond(2);
    for (const name of ["osdeploy-000001", "osdeploy-000002", "osdeploy-000009"]) writeFailure(name, "x");
    await run();
    expect(linux.files.readDirectory(fromText("/sysroot/state/osdeploy/boot-failures"))).toEqual(["osdeploy-000001"]);
  });

  test("tells of a loader that does not count, until it does", async () => {
    await bootSecond(0);
    boot(linux, { counts: false });
    const seen = new SeenProgress();
    expect(await run(seen)).toMatchObject({ counting: "not-counted", blessed: true });
    const warning =
      "The boot loader did not count the boot of osdeploy-000002: a deployment that fails is not given up by itself";
    expect(seen.warnings).toEqual([warning]);
    expect((await status(systemOn(linux), { sysroot: physicalRoot })).problems).toEqual([warning]);
    expect(readText(linux, "/sysroot/state/osdeploy/not-counted")).toBe(`${warning}\n`);
    linux.files.rename(
      fromText("/boot/loader/entries/osdeploy-000002.conf"),
      fromText("/boot/loader/entries/osdeploy-000002+2-1.conf"),
    );
    expect(await run()).toMatchObject({ counting: "counted" });
    expect((await status(systemOn(linux), { sysroot: physicalRoot })).problems).toEqual([]);
  });

  test("lifts the quarantine of what has just proved good", async () => {
    await bootSecond(4);
    await run();
    expect(await switchRunning(linux, "v2")).toMatchObject({ kind: "staged" });
    await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
    boot(linux);
    await run();
    expect(stateOf(linux).quarantine).toEqual([]);
  });

  test("with GRUB: commits with tries in its environment, believes that it counted, and takes them away", async () => {
    linux = await runningMachine(images, "v1", { bootloader: "grub" });
    await run();
    await bootSecond(1);
    const [entry] = stateOf(linux).menu.entries;
    expect(entry).toMatchObject({ fileName: "osdeploy-000002.conf", tries: { left: 2 } });
    expect(readText(linux, "/boot/grub/osdeploy.cfg")).toContain("osdeploy-000002");
    expect(await run()).toMatchObject({ bootEntry: "osdeploy-000002", blessed: true, counting: "counted" });
    expect(stateOf(linux).menu.entries.map(({ tries }) => tries)).toEqual([undefined, undefined]);
  });

  test("with GRUB: does not believe that it counted when nothing was written", async () => {
    linux = await runningMachine(images, "v1", { bootloader: "grub" });
    await run();
    await bootSecond(0);
    boot(linux, { counts: false });
    expect(await run()).toMatchObject({ bootEntry: "osdeploy-000002", blessed: true, counting: "not-counted" });
  });

  test("with GRUB: tells when its environment is lost", async () => {
    linux = await runningMachine(images, "v1", { bootloader: "grub" });
    await run();
    await bootSecond(0);
    linux.files.unlink(fromText("/boot/grub/grubenv"));
    boot(linux);
    expect(await run()).toMatchObject({ bootEntry: "osdeploy-000002", blessed: false, counting: "not-counted" });
    writeText(linux, "/boot/grub/grubenv", "none");
    expect(await run()).toMatchObject({ counting: "not-counted" });
  });

  test("damage of this disk puts no image into quarantine: it is told, and may come again", async () => {
    await bootSecond(0);
    const name = fromText("/boot/loader/entries/osdeploy-000002+3.conf");
    linux.files.rename(name, fromText("/boot/loader/entries/osdeploy-000002+0.conf"));
    writeFailure("osdeploy-000002", "damaged: root image ab measures to cd\n");
    boot(linux);
    const seen = new SeenProgress();
    expect(await run(seen)).toMatchObject({ bootEntry: "osdeploy-000001", quarantined: [] });
    const message = `Boot entry osdeploy-000002 of image ${images.v2.manifestDigest} was given up, and not for what is in the image: damaged: root image ab measures to cd`;
    expect(seen.warnings).toEqual([message]);
    expect(stateOf(linux).quarantine).toEqual([]);
    expect(stateOf(linux).problems).toEqual([message]);
    const collected = await collectDeployments(systemOn(linux), {
      ...{ sysroot: physicalRoot, keep: 0, dryRun: false, whenNeeded: true },
    });
    expect(collected.bootEntries).toEqual(["osdeploy-000002+0.conf"]);
    expect(stateOf(linux).problems).toEqual([message]);
    const following = { sysroot: physicalRoot, platform: linuxAmd64, source: noLogin, ignoreQuarantine: false };
    replaceLayout(linux, { v1: images.v2 });
    expect(await failureOf(upgrade(systemOn(linux), { ...following, apply: true }))).toMatchObject({
      code: "system",
      message: `Cannot reboot for what is staged: ${message}`,
    });
    await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
    boot(linux);
    await run();
    expect(stateOf(linux).problems).toEqual([]);
  });

  test("forgets what was staged where its entry was added, and the machine stopped before it could say so", async () => {
    const noted = () => linux.files.lstatIfExists(fromText("/sysroot/state/osdeploy/staged")) !== undefined;
    await switchRunning(linux, "v2");
    const note = readText(linux, "/sysroot/state/osdeploy/staged");
    await run();
    expect(noted()).toBe(true);
    await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
    writeText(linux, "/sysroot/state/osdeploy/staged", note);
    boot(linux);
    expect((await status(systemOn(linux), { sysroot: physicalRoot })).lostStaged).toBeNull();
    await run();
    expect(noted()).toBe(false);
  });

  test("keeps the kernel arguments of the entry that booted, also as somebody changed them", async () => {
    const rootImage = stateOf(linux).booted?.rootImage;
    const kept = `/sysroot/state/deploy/${rootImage}/${rootImage}.kargs`;
    const entry = "/boot/loader/entries/osdeploy-000001.conf";
    linux.files.unlink(fromText(kept));
    await run();
    const options = /^options (.*\n)/m.exec(readText(linux, entry))?.[1];
    expect(readText(linux, kept)).toBe(options);
    expect(options).toContain("osdeploy.entry=osdeploy-000001");
    writeText(linux, entry, readText(linux, entry).replace("options ", "options quiet "));
    await run();
    expect(readText(linux, kept)).toBe(`quiet ${options}`);
    const calls = linux.trace.length;
    await run();
    expect(linux.trace.slice(calls).filter(({ path }) => path.endsWith(".kargs"))).toEqual([]);
  });

  test("another program's entry is nothing to bless", async () => {
    const { booted } = stateOf(linux);
    linux.files.unlink(fromText("/boot/loader/entries/osdeploy-000001+2-1.conf"));
    writeText(linux, "/boot/loader/entries/bootc-1.conf", `options composefs=${booted?.rootImage}\n`);
    expect(await run()).toEqual({
      bootEntry: null,
      blessed: false,
      counting: "unknown",
      quarantined: [],
      loader: null,
    });
  });

  test("an entry that no loader started is not blessed: after a soft reboot the one before stands on the command line", async () => {
    await run();
    await bootSecond(0);
    const second = stateOf(linux).menu.entries[0]?.rootImage;
    writeProc(linux, `composefs:${second}`, "root=UUID=1 osdeploy.entry=osdeploy-000001");
    expect(await run()).toMatchObject({ bootEntry: null, blessed: false, counting: "unknown" });
    expect(entries()).toEqual(["osdeploy-000001.conf", "osdeploy-000002+3.conf"]);
    const { deployments } = await status(systemOn(linux), { sysroot: physicalRoot });
    expect(deployments.flatMap(({ bootEntries }) => bootEntries.filter(({ booted }) => booted))).toEqual([]);
  });

  test("refuses on a system that does not run from there", async () => {
    linux = machineWith(images);
    await switchTo(linux, "v1");
    expect(await failureOf(bootComplete(systemOn(linux), { sysroot: sysrootPath }))).toMatchObject({
      code: "not-found",
    });
  });

  test("waits for another run to end, and says so", async () => {
    const other = openWritableSysroot(linux, physicalRoot);
    const seen = new SeenProgress();
    const waiting = run(seen);
    await new Promise((resolve) => setTimeout(resolve, 50));
    other.close();
    expect(await waiting).toMatchObject({ blessed: true });
    expect(seen.warnings).toEqual([
      'Cannot change sysroot "/sysroot": another osdeploy is changing it: waiting for it to end',
    ]);
  });

  test("waiting ends when it is asked to", async () => {
    const other = openWritableSysroot(linux, physicalRoot);
    const stopped = bootComplete(systemOn(linux, { signal: AbortSignal.abort() }), { sysroot: physicalRoot });
    expect(await failureOf(stopped)).toMatchObject({ code: "interrupted" });
    other.close();
  });
});
