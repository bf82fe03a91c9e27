import { beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { pathBelow } from "../../../src/linux/path.ts";
import { bootComplete } from "../../../src/operations/boot-complete.ts";
import { finalizeStaged } from "../../../src/operations/finalize-staged.ts";
import { status } from "../../../src/operations/status.ts";
import { type UpgradeRequest, upgrade } from "../../../src/operations/upgrade.ts";
import { writeNote } from "../../../src/sysroot/boot-records.ts";
import { sysrootPaths } from "../../../src/sysroot/sysroot-paths.ts";
import {
  failureOf,
  layoutReference,
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
  replaceLayout,
  runningMachine,
  stateOf,
  switchRunning,
} from "../../builders/running-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const [v1, v2, v3] = [await buildOsImage("v1"), await buildOsImage("v2"), await buildOsImage("v3")];

let linux: FakeLinux;
let programs: RecordedPrograms;
beforeEach(async () => {
  programs = new RecordedPrograms();
  linux = await runningMachine({ latest: v1 }, "latest", { runProgram: programs.run });
});

const run = (changes: Partial<UpgradeRequest> = {}, progress = new SeenProgress()) =>
  upgrade(systemOn(linux, { progress: progress.report }), {
    sysroot: physicalRoot,
    platform: linuxAmd64,
    source: noLogin,
    apply: false,
    ignoreQuarantine: false,
    ...changes,
  });

const reboots = () => programs.calls.filter((call) => call === "systemctl reboot");

/** Without the shutdown that commits. */
function bootAgain(): void {
  linux = linux.crash({ keepUnsynced: true, reboot: true });
  boot(linux);
}

/** v2 comes, does not boot three times, and the machine is back on v1. */
async function fallBack(): Promise<void> {
  replaceLayout(linux, { latest: v2 });
  await run();
  await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
  for (let times = 0; times < 4; times++) boot(linux);
  await bootComplete(systemOn(linux), { sysroot: physicalRoot });
}

describe("upgrade", () => {
  test("has nothing to do while the tag names what runs", async () => {
    expect(await run()).toMatchObject({ kind: "kept", image: layoutReference("latest") });
    expect(await run({ apply: true })).toMatchObject({ kind: "kept" });
    expect(programs.calls).toEqual([]);
  });

  test("stores the kernel of what is staged again when it is gone from the boot partition", async () => {
    replaceLayout(linux, { latest: v2 });
    await run();
    const problems = async () => (await status(systemOn(linux), { sysroot: physicalRoot })).problems;
    const bootDigest = stateOf(linux).staged?.origin.bootDigest;
    linux.files.unlink(fromText(`/boot/osdeploy/${bootDigest}/vmlinuz`));
    expect(await problems()).toEqual([
      `The kernel ${bootDigest} of what is staged is not on the boot partition; upgrade stores it again`,
    ]);
    expect(await failureOf(finalizeStaged(systemOn(linux), { sysroot: physicalRoot }))).toMatchObject({
      facts: { hint: "Stage it again with: osdeploy upgrade" },
    });
    expect(await run()).toMatchObject({ kind: "staged", image: layoutReference("latest") });
    expect(await finalizeStaged(systemOn(linux), { sysroot: physicalRoot })).toMatchObject({ kind: "finalized" });
    expect(await problems()).toEqual([]);
  });

  test("stages what the tag names now", async () => {
    replaceLayout(linux, { latest: v2 });
    expect(await run()).toMatchObject({ kind: "staged", image: layoutReference("latest") });
    expect(stateOf(linux).staged?.origin.manifestDigest).toBe(v2.manifestDigest);
    expect(await run()).toMatchObject({ kind: "kept-staged" });
  });

  test("a second one replaces what is staged when the tag has moved on, and drops it when it has moved back", async () => {
    replaceLayout(linux, { latest: v2 });
    await run();
    replaceLayout(linux, { latest: v3 });
    expect(await run()).toMatchObject({ kind: "staged" });
    expect(stateOf(linux).staged?.origin.manifestDigest).toBe(v3.manifestDigest);
    replaceLayout(linux, { latest: v1 });
    expect(await run()).toMatchObject({ kind: "unstaged" });
    expect(stateOf(linux).staged).toBeUndefined();
  });

  test("what was lost in a reboot is told with its command, and no longer when the tag has moved back", async () => {
    const lost = async () => (await status(systemOn(linux), { sysroot: physicalRoot })).lostStaged?.command;
    replaceLayout(linux, { latest: v2 });
    await run({ finalizationLocked: true });
    bootAgain();
    expect(await lost()).toBe("osdeploy upgrade --download-only");
    await run();
    bootAgain();
    expect(await lost()).toBe("osdeploy upgrade");
    replaceLayout(linux, { latest: v1 });
    expect(await run()).toMatchObject({ kind: "kept" });
    expect(await lost()).toBeUndefined();
  });

  test("a switch that was lost in a reboot is told also after an upgrade that had nothing to do", async () => {
    replaceLayout(linux, { latest: v1, other: v2 });
    await switchRunning(linux, "other");
    bootAgain();
    expect(await run()).toMatchObject({ kind: "kept" });
    const { lostStaged } = await status(systemOn(linux), { sysroot: physicalRoot });
    expect(lostStaged?.command).toBe(`osdeploy switch ${layoutReference("other")}`);
  });

  test("reboots when it is to, and only when something is staged", async () => {
    replaceLayout(linux, { latest: v2 });
    expect(await run({ apply: true })).toMatchObject({ kind: "staged" });
    expect(reboots()).toHaveLength(1);
    expect(await run({ apply: true })).toMatchObject({ kind: "kept-staged" });
    expect(reboots()).toHaveLength(2);
    expect(programs.calls.filter((call) => call.includes(" start "))).toEqual([]);
    expect(linux.openPaths).toEqual([]);
  });

  test("what is only downloaded waits until an upgrade without that", async () => {
    replaceLayout(linux, { latest: v2 });
    expect(await run({ finalizationLocked: true })).toMatchObject({ kind: "staged", finalizationLocked: true });
    expect(await run({ finalizationLocked: true, apply: true })).toMatchObject({
      kind: "kept-staged",
      finalizationLocked: true,
    });
    expect(programs.calls).toEqual([]);
    expect(await run()).toMatchObject({ kind: "kept-staged", finalizationLocked: false });
    expect(stateOf(linux).staged?.finalizationLocked).toBe(false);
  });

  test("takes what is downloaded without asking for more when it is to, whatever the tag names by then", async () => {
    replaceLayout(linux, { latest: v2 });
    await run({ finalizationLocked: true });
    replaceLayout(linux, { latest: v3 });
    expect(await run({ fromDownloaded: true })).toMatchObject({ kind: "kept-staged", finalizationLocked: false });
    expect(stateOf(linux).staged).toMatchObject({
      origin: { manifestDigest: v2.manifestDigest },
      finalizationLocked: false,
    });
    expect(reboots()).toEqual([]);
    expect(await run({ fromDownloaded: true, apply: true })).toMatchObject({ kind: "kept-staged" });
    expect(reboots()).toHaveLength(1);
    expect(linux.openPaths).toEqual([]);
  });

  test("takes nothing when nothing is downloaded, or its kernel is damaged", async () => {
    const failure = () => failureOf(run({ fromDownloaded: true, apply: true }));
    expect(await failure()).toMatchObject({
      code: "not-found",
      message: "Cannot upgrade from what is downloaded: there is nothing",
    });
    replaceLayout(linux, { latest: v2 });
    await run({ finalizationLocked: true });
    const bootDigest = stateOf(linux).staged?.origin.bootDigest;
    linux.files.unlink(fromText(`/boot/osdeploy/${bootDigest}/vmlinuz`));
    expect(await failure()).toMatchObject({
      message: `Cannot upgrade from what is downloaded: its kernel ${bootDigest} is not on the boot partition as it should be`,
    });
    expect(reboots()).toEqual([]);
    linux = machineWith({ latest: v1 });
    await switchTo(linux, "latest");
    expect(await failureOf(run({ fromDownloaded: true, sysroot: sysrootPath }))).toMatchObject({ code: "usage" });
  });

  test("leaves an image that failed here alone until the tag moves, or it is to be taken all the same", async () => {
    await fallBack();
    expect(await run({ apply: true })).toMatchObject({
      kind: "quarantined",
      image: layoutReference("latest"),
      manifestDigest: v2.manifestDigest,
      reason: "3 boots of it did not complete",
    });
    expect(reboots()).toEqual([]);
    expect(stateOf(linux).staged).toBeUndefined();
    expect(await run({ ignoreQuarantine: true })).toMatchObject({ kind: "staged" });
    replaceLayout(linux, { latest: v3 });
    expect(await run()).toMatchObject({ kind: "staged" });
    expect(stateOf(linux).staged?.origin.manifestDigest).toBe(v3.manifestDigest);
  });

  test("commits at once in a sysroot that nothing runs from", async () => {
    linux = machineWith({ latest: v1 });
    await switchTo(linux, "latest");
    replaceLayout(linux, { latest: v2 });
    expect(await run({ sysroot: sysrootPath })).toMatchObject({ kind: "deployed", bootEntry: "osdeploy-000002.conf" });
    expect(await failureOf(run({ sysroot: sysrootPath, apply: true }))).toMatchObject({
      code: "usage",
      message: 'Cannot reboot: this machine does not run from the sysroot "/target"',
    });
    expect(await failureOf(run({ sysroot: sysrootPath, finalizationLocked: true }))).toMatchObject({ code: "usage" });
  });

  test("has nothing to follow without a deployment", async () => {
    linux = machineWith({ latest: v1 });
    for (const name of ["state", "state/deploy"]) linux.files.makeDirectory(pathBelow(sysrootPath, name), 0o755);
    expect(await failureOf(run({ sysroot: sysrootPath }))).toMatchObject({
      code: "not-found",
      message: "Cannot upgrade: there is no deployment",
    });
  });

  test("starts the service that commits at shutdown, and warns and does not reboot where it does not run", async () => {
    const calls: string[] = [];
    const broken = (words: readonly string[]) => {
      calls.push(words.join(" "));
      return { status: words[1] === "is-active" ? 3 : 0, stdout: new Uint8Array(), stderr: "" };
    };
    linux = await runningMachine({ latest: v1 }, "latest", { runProgram: broken });
    replaceLayout(linux, { latest: v2 });
    const service = "osdeploy-finalize-staged.service";
    const sentence = `${service} does not run: what is staged is not committed at shutdown, but by osdeploy finalize-staged before it`;
    const seen = new SeenProgress();
    expect(await run({}, seen)).toMatchObject({ kind: "staged" });
    const isActive = `systemctl is-active --quiet ${service}`;
    expect(calls).toEqual([isActive, `systemctl start ${service}`, isActive]);
    expect(seen.warnings).toEqual([sentence]);
    expect(await failureOf(run({ apply: true }))).toMatchObject({
      code: "system",
      message: `Cannot reboot for what is staged: ${sentence}`,
    });
    expect(calls).not.toContain("systemctl reboot");
  });

  test("does not reboot again for what the shutdown before did not commit", async () => {
    replaceLayout(linux, { latest: v2 });
    const sentence = "What was staged was not committed at shutdown: Cannot do it: it is so";
    writeNote(linux.files, sysrootPaths(physicalRoot), "finalize-failure", sentence);
    expect(await failureOf(run({ apply: true }))).toMatchObject({
      code: "system",
      message: `Cannot reboot for what is staged: ${sentence}`,
    });
    expect(reboots()).toEqual([]);
    expect(stateOf(linux).staged?.origin.manifestDigest).toBe(v2.manifestDigest);
    await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
    replaceLayout(linux, { latest: v3 });
    expect(await run({ apply: true })).toMatchObject({ kind: "staged" });
    expect(reboots()).toHaveLength(1);
  });

  test("does not reboot for another copy of what was damaged on this disk", async () => {
    replaceLayout(linux, { latest: v2 });
    writeNote(linux.files, sysrootPaths(physicalRoot), "damaged", "Boot entry 3 was given up: damaged");
    expect(await failureOf(run({ apply: true }))).toMatchObject({
      code: "system",
      message: "Cannot reboot for what is staged: Boot entry 3 was given up: damaged",
    });
    expect(reboots()).toEqual([]);
  });

  test("tells when systemd does not reboot", async () => {
    const refusing = (words: readonly string[]) => {
      const isReboot = words[1] === "reboot";
      return { status: isReboot ? 1 : 0, stdout: new Uint8Array(), stderr: "Access denied\n" };
    };
    linux = await runningMachine({ latest: v1 }, "latest", { runProgram: refusing });
    replaceLayout(linux, { latest: v2 });
    expect(await failureOf(run({ apply: true }))).toMatchObject({
      code: "system",
      message: 'Cannot reboot: systemctl says "Access denied"',
    });
    expect(stateOf(linux).staged).toBeDefined();
  });
});
