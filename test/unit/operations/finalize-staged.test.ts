import { beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { removeTree } from "../../../src/linux/remove-tree.ts";
import { finalizeStaged } from "../../../src/operations/finalize-staged.ts";
import { status } from "../../../src/operations/status.ts";
import { openWritableSysroot } from "../../../src/sysroot/sysroot.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { failureOf, layoutReference, systemOn } from "../../builders/operation-machine.ts";
import { buildOsImage, content } from "../../builders/os-images.ts";
import {
  boot,
  physicalRoot,
  readText,
  runningMachine,
  stateOf,
  switchRunning,
  writeText,
} from "../../builders/running-machine.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const images = { v1: await buildOsImage("v1"), v2: await buildOsImage("v2") };

let linux: FakeLinux;
beforeEach(async () => {
  linux = await runningMachine(images, "v1");
});

const finalize = () => finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
const entries = () => linux.files.readDirectory(fromText("/boot/loader/entries"));
const etcOf = (rootImage: string | undefined) => `/sysroot/state/deploy/${rootImage}/etc`;
const problems = async () => (await status(systemOn(linux), { sysroot: physicalRoot })).problems;

describe("finalizeStaged", () => {
  test("does nothing where nothing is staged", async () => {
    const calls = linux.trace.length;
    expect(await finalize()).toEqual({ kind: "nothing-staged" });
    expect(linux.trace.slice(calls)).toEqual([]);
  });

  test("refuses another sysroot that is not there, and never fails for want of the running system's", async () => {
    const nowhere = finalizeStaged(systemOn(linux), { sysroot: fromText("/nowhere") });
    expect(await failureOf(nowhere)).toMatchObject({ code: "not-found" });
    expect(await finalizeStaged(systemOn(new FakeLinux()), { sysroot: physicalRoot })).toEqual({
      kind: "nothing-staged",
    });
  });

  test("merges /etc as it is then, and adds a counted boot entry", async () => {
    const { rootImage } = await switchRunning(linux, "v2");
    const running = etcOf(stateOf(linux).booted?.rootImage);
    writeText(linux, `${running}/hostname`, "changed since\n");
    linux.files.unlink(fromText(`${running}/passwd`));
    const before = describeFiles(linux.files, fromText(running));
    expect(await finalize()).toEqual({
      kind: "finalized",
      image: layoutReference("v2"),
      rootImage,
      bootEntry: "osdeploy-000002+3.conf",
      etcConflicts: [],
    });
    expect(readText(linux, `${etcOf(rootImage)}/hostname`)).toBe("changed since\n");
    expect(readText(linux, `${etcOf(rootImage)}/motd`)).toBe(content("welcome to v2 "));
    expect(linux.files.lstatIfExists(fromText(`${etcOf(rootImage)}/passwd`))).toBeUndefined();
    expect(describeFiles(linux.files, fromText(running))).toEqual(before);
    expect(linux.files.readDirectory(fromText("/run/osdeploy"))).toEqual([]);
    expect(linux.files.readDirectory(fromText("/sysroot/state/osdeploy"))).toEqual([]);
    expect(linux.openPaths).toEqual([]);
    expect(boot(linux).rootImage).toBe(rootImage);
  });

  test("an image that was deployed before gets another entry, and its /etc stays as it is", async () => {
    await switchRunning(linux, "v2");
    await finalize();
    boot(linux);
    const { rootImage } = await switchRunning(linux, "v1");
    writeText(linux, `${etcOf(rootImage)}/hostname`, "of the first one\n");
    expect(await finalize()).toMatchObject({ kind: "finalized", rootImage, bootEntry: "osdeploy-000003+3.conf" });
    expect(readText(linux, `${etcOf(rootImage)}/hostname`)).toBe("of the first one\n");
    expect(boot(linux).rootImage).toBe(rootImage);
  });

  test("waits for an operation that is not done yet", async () => {
    const { rootImage } = await switchRunning(linux, "v2");
    const other = openWritableSysroot(linux, physicalRoot);
    const waiting = finalize();
    await new Promise((resolve) => setTimeout(resolve, 50));
    other.close();
    expect(await waiting).toMatchObject({ kind: "finalized", rootImage });
  });

  test("what it commits is durable", async () => {
    const { rootImage } = await switchRunning(linux, "v2");
    await finalize();
    const after = linux.crash({ keepUnsynced: false, names: "lost" });
    expect(boot(after).rootImage).toBe(rootImage);
    expect(readText(after, `${etcOf(rootImage)}/motd`)).toBe(content("welcome to v2 "));
  });

  test("run twice it commits once, also when it was stopped before it could say so", async () => {
    await switchRunning(linux, "v2");
    const record = readText(linux, "/run/osdeploy/staged.json");
    await finalize();
    const after = entries();
    expect(await finalize()).toEqual({ kind: "nothing-staged" });
    writeText(linux, "/run/osdeploy/staged.json", record);
    expect(await finalize()).toMatchObject({ kind: "finalized", bootEntry: "osdeploy-000002+3.conf" });
    expect(entries()).toEqual(after);
    expect(linux.files.readDirectory(fromText("/run/osdeploy"))).toEqual([]);
  });

  test("leaves alone what was only downloaded", async () => {
    const { rootImage } = await switchRunning(linux, "v2", { finalizationLocked: true });
    const before = entries();
    expect(await finalize()).toEqual({ kind: "locked", image: layoutReference("v2"), rootImage });
    expect(entries()).toEqual(before);
    expect(stateOf(linux).staged?.rootImage).toBe(rootImage);
  });

  test("makes the state directory again where it is gone", async () => {
    const { rootImage } = await switchRunning(linux, "v2");
    removeTree(linux.files, fromText(`/sysroot/state/deploy/${rootImage}`));
    expect(await finalize()).toMatchObject({ kind: "finalized" });
    expect(readText(linux, `${etcOf(rootImage)}/motd`)).toBe(content("welcome to v2 "));
  });

  test("is nothing to a machine that does not run from there", async () => {
    await switchRunning(linux, "v2");
    writeText(linux, "/proc/self/mountinfo", "22 1 0:20 / / ro - ext4 /dev/vda1 ro\n");
    expect(await finalize()).toEqual({ kind: "nothing-staged" });
  });
});

describe("finalizeStaged: what fails", () => {
  test("is told by the next status, and the machine boots what it booted before", async () => {
    await switchRunning(linux, "v2");
    const { staged, booted } = stateOf(linux);
    const bootDigest = staged?.origin.bootDigest;
    removeTree(linux.files, fromText(`/boot/osdeploy/${bootDigest}`));
    const state = `its kernel ${bootDigest} is no longer on the boot partition`;
    expect(await failureOf(finalize())).toMatchObject({
      code: "not-found",
      message: `Cannot commit what is staged: ${state}`,
    });
    linux = linux.crash({ keepUnsynced: true, reboot: true });
    expect(boot(linux).rootImage).toBe(booted?.rootImage);
    expect(await problems()).toEqual([
      `What was staged was not committed at shutdown: Cannot commit what is staged: ${state}`,
    ]);
    await switchRunning(linux, "v2");
    await finalize();
    expect(await problems()).toEqual([]);
  });

  test("a record that cannot be read is one, too", async () => {
    await switchRunning(linux, "v2");
    writeText(linux, "/run/osdeploy/staged.json", "garbage");
    expect(await failureOf(finalize())).toMatchObject({ code: "bad-format" });
    expect(await problems()).toContain(
      "What was staged was not committed at shutdown: Cannot read the record of the staged deployment: it is not JSON",
    );
  });

  test("also a boot partition that is not mounted", async () => {
    await switchRunning(linux, "v2");
    const mountinfo = readText(linux, "/proc/self/mountinfo");
    writeText(linux, "/proc/self/mountinfo", mountinfo.replace(/^.* \/boot .*\n/m, ""));
    const message =
      "Cannot find the boot partition: this system was started by osdeploy-000001, which is not in /sysroot/boot/loader/entries";
    expect(await failureOf(finalize())).toMatchObject({ code: "not-found", message });
    writeText(linux, "/proc/self/mountinfo", mountinfo);
    expect(await problems()).toEqual([`What was staged was not committed at shutdown: ${message}`]);
    expect(linux.openPaths).toEqual([]);
  });

  test("a disk that takes nothing more has the error still", async () => {
    await switchRunning(linux, "v2");
    const writeNewFile = () => {
      throw new OsdeployError("no-space", "Cannot write: the disk is full");
    };
    const { files } = linux;
    const failing = { ...linux, files: Object.assign(Object.create(files), { writeNewFile }) };
    removeTree(linux.files, fromText(`/boot/osdeploy/${stateOf(linux).staged?.origin.bootDigest}`));
    expect(await failureOf(finalizeStaged(systemOn(failing), { sysroot: physicalRoot }))).toMatchObject({
      message: expect.stringContaining("is no longer on the boot partition"),
    });
  });

  test("a bug is no note", async () => {
    await switchRunning(linux, "v2");
    const { files } = linux;
    const lstat = () => {
      throw new TypeError("a bug");
    };
    const failing = { ...linux, files: { ...files, measureVerity: lstat } };
    expect(await failureOf(finalizeStaged(systemOn(failing), { sysroot: physicalRoot }))).toBeInstanceOf(TypeError);
    expect(linux.files.readDirectory(fromText("/sysroot/state/osdeploy"))).toEqual(["staged"]);
  });
});
