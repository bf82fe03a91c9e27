import { beforeEach, describe, expect, test } from "vitest";
import { type ByteString, fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { bootComplete } from "../../../src/operations/boot-complete.ts";
import { finalizeStaged } from "../../../src/operations/finalize-staged.ts";
import { rollback } from "../../../src/operations/rollback.ts";
import { status } from "../../../src/operations/status.ts";
import { writeQuarantine } from "../../../src/sysroot/quarantine-store.ts";
import { sysrootPaths } from "../../../src/sysroot/sysroot-paths.ts";
import {
  failureOf,
  layoutReference,
  machineWith,
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
  runningMachine,
  stateOf,
  switchRunning,
  writeText,
} from "../../builders/running-machine.ts";
import { recordOf } from "../../builders/sysroot-states.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const images = { v1: await buildOsImage("v1"), v2: await buildOsImage("v2"), v3: await buildOsImage("v3") };

let linux: FakeLinux;
let programs: RecordedPrograms;
beforeEach(async () => {
  programs = new RecordedPrograms();
  linux = await runningMachine(images, "v1", { runProgram: programs.run });
  await bless();
  await switchRunning(linux, "v2");
  await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
  boot(linux);
  await bless();
  programs.calls.length = 0;
});

const bless = () => bootComplete(systemOn(linux), { sysroot: physicalRoot });

const run = (apply = false) => rollback(systemOn(linux), { sysroot: physicalRoot, apply });
const entries = () => linux.files.readDirectory(fromText("/boot/loader/entries"));

describe("rollback", () => {
  test("lets the deployment before boot next, and quarantines what it leads away from", async () => {
    const rootImage = stateOf(linux).deployments[1]?.rootImage;
    expect(await run()).toEqual({
      kind: "queued",
      rootImage,
      image: layoutReference("v1"),
      manifestDigest: images.v1.manifestDigest,
      version: "v1",
      bootEntry: "osdeploy-000003.conf",
      quarantined: images.v2.manifestDigest,
      droppedStaged: false,
    });
    expect(stateOf(linux).quarantine).toMatchObject([
      {
        manifestDigest: images.v2.manifestDigest,
        cause: "rolled-back",
        reason: `rolled back from it to ${images.v1.manifestDigest}`,
        bootEntry: "osdeploy-000002",
        since: "2026-01-02T03:04:05.000Z",
      },
    ]);
    expect(programs.calls).toEqual([]);
    expect(boot(linux).rootImage).toBe(rootImage);
    expect(linux.openPaths).toEqual([]);
  });

  test("twice, it takes that back", async () => {
    const before = entries();
    await run();
    expect(await run()).toMatchObject({
      kind: "unqueued",
      image: layoutReference("v2"),
      bootEntry: "osdeploy-000003.conf",
      quarantined: null,
    });
    expect(entries()).toEqual(before);
    expect(stateOf(linux).quarantine).toEqual([]);
  });

  test("after the reboot it leads forward again, and the quarantine turns round", async () => {
    await run();
    boot(linux);
    expect(await run()).toMatchObject({
      kind: "queued",
      image: layoutReference("v2"),
      bootEntry: "osdeploy-000004.conf",
    });
    expect(stateOf(linux).quarantine.map(({ manifestDigest }) => manifestDigest)).toEqual([images.v1.manifestDigest]);
  });

  test("drops what is staged", async () => {
    await switchRunning(linux, "v3");
    expect(await run()).toMatchObject({ kind: "queued", image: layoutReference("v1"), droppedStaged: true });
    // Its entry overtakes what is staged only as long as it is there: a second rollback takes it away.
    expect(linux.files.readDirectory(fromText("/run/osdeploy"))).toEqual([]);
    expect(await finalizeStaged(systemOn(linux), { sysroot: physicalRoot })).toEqual({ kind: "nothing-staged" });
  });

  test("leaves what another system of this machine has staged, in a sysroot that nothing runs from", async () => {
    await switchRunning(linux, "v3");
    linux.files.makeDirectory(sysrootPath, 0o755);
    for (const tag of ["v1", "v2"]) await switchTo(linux, tag);
    expect(await rollback(systemOn(linux), { sysroot: sysrootPath, apply: false })).toMatchObject({ kind: "queued" });
    expect(stateOf(linux).staged?.origin.imageReference).toBe(layoutReference("v3"));
  });

  test("keeps no image out of which both deployments are", async () => {
    const way = stateOf(linux).deployments[1]?.rootImage;
    const path = `/sysroot/state/deploy/${way}/${way}.origin`;
    writeText(linux, path, readText(linux, path).replaceAll(images.v1.manifestDigest, images.v2.manifestDigest));
    expect(await run()).toMatchObject({ kind: "queued", rootImage: way, quarantined: null });
    expect(stateOf(linux).quarantine).toEqual([]);
  });

  describe("where the disk or the boot partition takes nothing", () => {
    const failing = (call: "writeNewFile" | "unlink", place = "/boot/loader") => {
      const { files } = linux;
      const refuse = (path: ByteString, ...words: readonly unknown[]) => {
        if (path.includes(place)) throw new OsdeployError("system", "Cannot do it (EROFS)");
        return (files[call] as (...all: readonly unknown[]) => unknown)(path, ...words);
      };
      return { ...linux, files: Object.assign(Object.create(files), { [call]: refuse }) };
    };
    const runOn = (broken: ReturnType<typeof failing>) =>
      failureOf(rollback(systemOn(broken), { sysroot: physicalRoot, apply: false }));

    test("what is staged stays so, and nothing goes into quarantine", async () => {
      await switchRunning(linux, "v3");
      const before = stateOf(linux);
      expect(await runOn(failing("writeNewFile"))).toMatchObject({ message: "Cannot do it (EROFS)" });
      expect(stateOf(linux)).toEqual(before);
      expect(linux.openPaths).toEqual([]);
    });

    test("a record that was there before is there again", async () => {
      const record = { ...recordOf("b"), manifestDigest: parseManifestDigest(images.v2.manifestDigest) };
      writeQuarantine(linux.files, sysrootPaths(physicalRoot), record);
      await runOn(failing("writeNewFile"));
      expect(stateOf(linux).quarantine).toEqual([record]);
    });

    test("no entry leads away from an image that cannot be kept out", async () => {
      const before = entries();
      expect(await runOn(failing("writeNewFile", "/quarantine/"))).toMatchObject({ message: "Cannot do it (EROFS)" });
      expect(entries()).toEqual(before);
    });

    test("the image to go back to stays in quarantine", async () => {
      const record = { ...recordOf("b"), manifestDigest: parseManifestDigest(images.v1.manifestDigest) };
      writeQuarantine(linux.files, sysrootPaths(physicalRoot), record);
      await runOn(failing("writeNewFile"));
      expect(stateOf(linux).quarantine).toEqual([record]);
    });

    test("an entry that is there, though not known to be durable, has its record", async () => {
      const { files } = linux;
      const syncFileSystem: typeof files.syncFileSystem = (fd) => {
        if (entries().some((name) => name === "osdeploy-000003.conf"))
          throw new OsdeployError("system", "Cannot do it (EIO)");
        files.syncFileSystem(fd);
      };
      const broken = { ...linux, files: Object.assign(Object.create(files), { syncFileSystem }) };
      expect(await runOn(broken)).toMatchObject({ message: "Cannot do it (EIO)" });
      expect(stateOf(linux).quarantine.map(({ manifestDigest }) => manifestDigest)).toEqual([images.v2.manifestDigest]);
    });

    test("of two errors the first one is told", async () => {
      const { files } = failing("writeNewFile");
      const unlink = () => {
        throw new OsdeployError("system", "Cannot take it back (EROFS)");
      };
      expect(await runOn({ ...linux, files: Object.assign(Object.create(files), { unlink }) })).toMatchObject({
        message: "Cannot do it (EROFS)",
      });
    });

    test("a rollback that waits for the next boot stays queued, and what is staged stays so", async () => {
      await run();
      await switchRunning(linux, "v3");
      const before = stateOf(linux);
      expect(await runOn(failing("unlink"))).toMatchObject({ message: "Cannot do it (EROFS)" });
      expect(stateOf(linux)).toEqual(before);
    });
  });

  test("stopped after its entry: what was staged is not put on top of it", async () => {
    await switchRunning(linux, "v3");
    const staged = readText(linux, "/run/osdeploy/staged.json");
    await run();
    writeText(linux, "/run/osdeploy/staged.json", staged);
    expect(stateOf(linux).staged).toBeUndefined();
    expect(await finalizeStaged(systemOn(linux), { sysroot: physicalRoot })).toEqual({ kind: "nothing-staged" });
    expect(await run()).toMatchObject({ kind: "unqueued" });
    expect(stateOf(linux).staged).toBeUndefined();
  });

  test("reboots when it is to", async () => {
    await run(true);
    expect(programs.calls).toEqual(["systemctl reboot"]);
  });

  test("without origin there is nothing to quarantine", async () => {
    const { deployments } = stateOf(linux);
    for (const { rootImage } of deployments)
      linux.files.unlink(fromText(`/sysroot/state/deploy/${rootImage}/${rootImage}.origin`));
    expect(await run()).toMatchObject({ kind: "queued", image: null, quarantined: null });
  });

  test("refuses when there is nothing to go back to", async () => {
    linux = await runningMachine(images, "v1");
    expect(await failureOf(run())).toMatchObject({
      code: "not-found",
      message: "Cannot roll back: there is no other deployment that can boot",
    });
  });

  test("drops what is staged where there is nothing to go back to, and does not reboot for it", async () => {
    linux = await runningMachine(images, "v1", { runProgram: programs.run });
    await switchRunning(linux, "v2");
    const before = entries();
    programs.calls.length = 0;
    expect(await run(true)).toEqual({
      kind: "unstaged",
      rootImage: stateOf(linux).booted?.rootImage,
      image: layoutReference("v1"),
      manifestDigest: images.v1.manifestDigest,
      version: "v1",
      bootEntry: null,
      quarantined: null,
      droppedStaged: true,
    });
    expect(programs.calls).toEqual([]);
    expect(await finalizeStaged(systemOn(linux), { sysroot: physicalRoot })).toEqual({ kind: "nothing-staged" });
    expect(entries()).toEqual(before);
  });

  test("works on a sysroot that nothing runs from, without a reboot", async () => {
    linux = machineWith(images);
    for (const tag of ["v1", "v2"]) await switchTo(linux, tag);
    const elsewhere = (apply: boolean) => rollback(systemOn(linux), { sysroot: sysrootPath, apply });
    expect(await failureOf(elsewhere(true))).toMatchObject({ code: "usage" });
    expect(await elsewhere(false)).toMatchObject({ kind: "queued", image: layoutReference("v1") });
  });

  test("takes itself back where nothing runs, too, and leaves no image in quarantine; a switch back is no rollback", async () => {
    linux = machineWith(images);
    for (const tag of ["v1", "v2"]) await switchTo(linux, tag);
    const elsewhere = () => rollback(systemOn(linux), { sysroot: sysrootPath, apply: false });
    const shown = () => status(systemOn(linux), { sysroot: sysrootPath });
    await elsewhere();
    expect(await shown()).toMatchObject({ rollbackQueued: true });
    expect(await elsewhere()).toMatchObject({ kind: "unqueued", image: layoutReference("v2") });
    expect(await shown()).toMatchObject({ rollbackQueued: false, quarantine: [] });
    await switchTo(linux, "v1");
    expect(await elsewhere()).toMatchObject({ kind: "queued", image: layoutReference("v2") });
  });
});
