import { beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { removeTree } from "../../../src/linux/remove-tree.ts";
import { bootComplete } from "../../../src/operations/boot-complete.ts";
import { collectDeployments } from "../../../src/operations/collect-deployments.ts";
import { finalizeStaged } from "../../../src/operations/finalize-staged.ts";
import { planSwitchImage } from "../../../src/operations/plan-switch-image.ts";
import { pushImage } from "../../../src/operations/push-image.ts";
import { rollback } from "../../../src/operations/rollback.ts";
import { status } from "../../../src/operations/status.ts";
import { switchImage } from "../../../src/operations/switch.ts";
import { upgrade } from "../../../src/operations/upgrade.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import {
  failureOf,
  layoutPath,
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
  readText,
  runningMachine,
  stateOf,
  switchRunning,
  writeText,
} from "../../builders/running-machine.ts";
import { type FakeLinux, SimulatedCrash } from "../../fakes/fake-linux.ts";

const images = {
  v1: await buildOsImage("v1"),
  v2: await buildOsImage("v2"),
  v3: await buildOsImage("v3"),
};

const common = { platform: linuxAmd64, source: noLogin };
const collect = (linux: FakeLinux, sysroot = sysrootPath, dryRun = false) =>
  collectDeployments(systemOn(linux), { sysroot, keep: 0, dryRun, whenNeeded: false });
const problemsOf = async (linux: FakeLinux, sysroot = sysrootPath) =>
  (await status(systemOn(linux), { sysroot })).problems;
const filesBelow = (linux: FakeLinux, path: string) => describeFiles(linux.files, fromText(path));

describe("a sysroot at rest whose boot partition is not mounted", () => {
  let linux: FakeLinux;
  beforeEach(async () => {
    linux = machineWith(images);
    await switchTo(linux, "v1");
    await switchTo(linux, "v2");
    linux.files.rename(fromText("/target/boot"), fromText("/away"), { replace: false });
    linux.files.makeDirectory(fromText("/target/boot"), 0o755);
  });

  const sysroot = { sysroot: sysrootPath };
  const upgradeRequest = { ...sysroot, ...common, apply: false, ignoreQuarantine: false };
  test.each([
    ["gc", () => collect(linux)],
    ["gc --dry-run", () => collect(linux, sysrootPath, true)],
    ["switch", () => switchTo(linux, "v3")],
    [
      "switch --dry-run",
      () =>
        planSwitchImage(systemOn(linux), {
          ...sysroot,
          ...common,
          image: parseImageReference(layoutReference("v3")),
        }),
    ],
    ["upgrade", () => upgrade(systemOn(linux), upgradeRequest)],
    ["rollback", () => rollback(systemOn(linux), { ...sysroot, apply: false })],
  ])("%s refuses, and changes nothing", async (_, operate) => {
    const before = filesBelow(linux, "/target");
    expect(await failureOf(operate())).toMatchObject({
      code: "not-found",
      message:
        "Cannot find the boot partition: no entry in /target/boot/loader/entries starts a deployment of this sysroot",
      facts: { hint: "Mount the boot partition of this sysroot at /target/boot, then try again" },
    });
    expect(filesBelow(linux, "/target")).toEqual(before);
  });

  test("status tells it, and gc goes on once it is mounted", async () => {
    expect(await problemsOf(linux)).toEqual([
      "The boot partition is not mounted at /target/boot: no boot entry there starts a deployment of this sysroot",
    ]);
    linux.files.removeDirectory(fromText("/target/boot"));
    linux.files.rename(fromText("/away"), fromText("/target/boot"), { replace: false });
    expect(await collect(linux)).toMatchObject({ deployments: [] });
    expect(await problemsOf(linux)).toEqual([]);
  });

  test("nor is that of another sysroot taken for it", async () => {
    removeTree(linux.files, fromText("/target/boot"));
    for (const path of ["", "/loader", "/loader/entries", "/osdeploy"]) {
      linux.files.makeDirectory(fromText(`/target/boot${path}`), 0o755);
    }
    const name = "/target/boot/loader/entries/osdeploy-000001.conf";
    writeText(linux, name, `title Other\noptions composefs=${"cd".repeat(64)}\n`);
    expect(await failureOf(collect(linux))).toMatchObject({ code: "not-found" });
    expect(await failureOf(switchTo(linux, "v3"))).toMatchObject({ code: "not-found" });
    expect(await problemsOf(linux)).toContain(
      "What is mounted at /target/boot is not the boot partition: no boot entry there starts a deployment of this sysroot",
    );
  });
});

describe("a first deployment that was stopped before its boot entry", () => {
  let linux: FakeLinux;
  beforeEach(async () => {
    const calls = await callsBeforeEntry();
    const failing = machineWith(images).crash({ keepUnsynced: true }, { failAt: calls });
    await expect(switchTo(failing, "v1")).rejects.toThrow(SimulatedCrash);
    linux = failing.crash({ keepUnsynced: true });
    expect(linux.files.readDirectory(fromText("/target/state/deploy"))).toHaveLength(1);
  });

  /** The number of the call by which the boot entry gets its name. */
  async function callsBeforeEntry(): Promise<number> {
    const whole = machineWith(images).crash({ keepUnsynced: true });
    await switchTo(whole, "v1");
    return whole.trace.findIndex(({ call, path }) => call === "rename" && path.includes("/loader/entries/")) + 1;
  }

  test("is told, is nothing that gc could decide on, and can be finished", async () => {
    expect(await problemsOf(linux)).toEqual([
      "No boot entry in /target/boot starts a deployment: the first one was not finished, or the entries are lost; switch takes the kernel arguments that were kept",
    ]);
    const before = filesBelow(linux, "/target/state");
    for (const dryRun of [false, true]) {
      expect(await failureOf(collect(linux, sysrootPath, dryRun))).toMatchObject({
        code: "not-found",
        message:
          "Cannot tell which deployments are needed: no entry in /target/boot/loader/entries starts any deployment",
      });
    }
    expect(filesBelow(linux, "/target/state")).toEqual(before);
    expect(await switchTo(linux, "v1")).toMatchObject({ kind: "deployed" });
    expect(await problemsOf(linux)).toEqual([]);
  });

  test("where a finished system has lost its entries, its image gets one again and keeps its /etc", async () => {
    const { rootImage } = await switchTo(linux, "v1");
    const motd = `/target/state/deploy/${rootImage}/etc/motd`;
    writeText(linux, motd, "mine\n");
    removeTree(linux.files, fromText("/target/boot/loader"));
    expect(await switchTo(linux, "v1")).toMatchObject({ kind: "deployed", rootImage, etcConflicts: [] });
    expect(readText(linux, motd)).toBe("mine\n");
  });

  test("another image can come in its place, and gc takes it away then", async () => {
    const { rootImage } = await switchTo(linux, "v2");
    expect((await collect(linux)).deployments).toHaveLength(1);
    expect(linux.files.readDirectory(fromText("/target/state/deploy"))).toEqual([rootImage]);
  });
});

describe("a finished system that has lost its boot entries, and kept its kernel arguments", () => {
  const entryText = (linux: FakeLinux, name: string) => readText(linux, `/target/boot/loader/entries/${name}`);
  const optionsOf = (linux: FakeLinux, name: string) => /^options (.*)$/m.exec(entryText(linux, name))?.[1];
  const given = ["root=UUID=1", "console=tty0", "console=ttyS0"];
  let linux: FakeLinux;
  let seen: SeenProgress;
  beforeEach(async () => {
    linux = machineWith(images);
    await switchTo(linux, "v1", { kernelArguments: given });
    await switchTo(linux, "v2");
    removeTree(linux.files, fromText("/target/boot/loader"));
    seen = new SeenProgress();
  });
  const system = () => ({ progress: seen.report });

  test("switch takes them over, of the newest one, and says so", async () => {
    const newest = (await status(systemOn(linux), { sysroot: sysrootPath })).deployments.find(
      ({ kernelArguments }) => kernelArguments?.includes("osdeploy-000002") === true,
    );
    const { rootImage } = await switchTo(linux, "v3", { system: system() });
    expect(seen.warnings).toEqual([
      `There is no boot entry to take kernel arguments from: those kept of deployment ${newest?.rootImage} are taken`,
    ]);
    expect(optionsOf(linux, "osdeploy-000001.conf")).toBe(
      `rw root=UUID=1 console=tty0 console=ttyS0 panic=30 composefs=${rootImage} osdeploy.entry=osdeploy-000001`,
    );
  });

  test("what is given takes the place of all that have its name", async () => {
    const kernelArguments = ["root=UUID=2 quiet", "console=ttyS0"];
    const { rootImage } = await switchTo(linux, "v2", { kernelArguments, system: system() });
    expect(optionsOf(linux, "osdeploy-000001.conf")).toBe(
      `rw console=tty0 console=ttyS0 panic=30 root=UUID=2 quiet composefs=${rootImage} osdeploy.entry=osdeploy-000001`,
    );
  });

  test("status shows them, and upgrade says why it has nothing to follow", async () => {
    const { deployments, problems } = await status(systemOn(linux), { sysroot: sysrootPath });
    expect(deployments.map(({ kernelArguments }) => kernelArguments)).toEqual([
      expect.stringContaining("root=UUID=1"),
      expect.stringContaining("root=UUID=1"),
    ]);
    expect(problems.join()).toContain("; switch takes the kernel arguments that were kept");
    const request = { ...common, sysroot: sysrootPath, apply: false, ignoreQuarantine: false };
    expect(await failureOf(upgrade(systemOn(linux), request))).toMatchObject({
      code: "not-found",
      message: "Cannot upgrade: no boot entry starts a deployment",
    });
  });

  test("without the registry the image comes out of the repo, and finds its /etc", async () => {
    const before = (await status(systemOn(linux), { sysroot: sysrootPath })).deployments.find(
      ({ imageReference }) => imageReference === layoutReference("v2"),
    );
    writeText(linux, `/target/state/deploy/${before?.rootImage}/etc/local.conf`, "mine\n");
    removeTree(linux.files, layoutPath);
    const image = parseImageReference("oci:/target/image:now");
    const repo = fromText("/target/composefs");
    const name = `localhost/bootc-${images.v2.manifestDigest}`;
    const packing = { format: undefined, level: undefined, digestFile: undefined };
    const sent = { repo, image: name, destination: image, destinationOptions: noLogin, ...packing };
    await pushImage(systemOn(linux), sent);
    const targetReference = parseImageReference("docker://quay.io/os:latest");
    const request = { ...common, sysroot: sysrootPath, image, targetReference, kernelArguments: [] };
    const { rootImage } = await switchImage(systemOn(linux), request);
    expect(rootImage).toBe(before?.rootImage);
    expect(readText(linux, `/target/state/deploy/${rootImage}/etc/local.conf`)).toBe("mine\n");
    expect(optionsOf(linux, "osdeploy-000001.conf")).toContain("root=UUID=1");
  });

  test("a disk that did not take them gets them when the same command is run again", async () => {
    linux = machineWith(images);
    const { rootImage } = await switchTo(linux, "v1", { kernelArguments: given });
    const kept = fromText(`/target/state/deploy/${rootImage}/${rootImage}.kargs`);
    linux.files.unlink(kept);
    expect(await switchTo(linux, "v1")).toMatchObject({ kind: "kept" });
    expect(linux.files.lstatIfExists(kept)?.kind).toBe("regular");
  });

  test("also where the image that they were for is lost with them", async () => {
    for (const name of linux.files.readDirectory(fromText("/target/composefs/images"))) {
      if (name !== "refs") linux.files.unlink(fromText(`/target/composefs/images/${name}`));
    }
    await switchTo(linux, "v3", { system: system() });
    expect(optionsOf(linux, "osdeploy-000001.conf")).toContain("root=UUID=1 console=tty0 console=ttyS0");
  });
});

describe("a finished system that has lost its boot entries, and with them the kernel arguments", () => {
  /** An osdeploy that kept none. */
  const forgetArguments = ({ files }: FakeLinux) => {
    for (const name of files.readDirectory(fromText("/target/state/deploy"))) {
      files.unlink(fromText(`/target/state/deploy/${name}/${name}.kargs`));
    }
  };
  const message = (missing: string) =>
    `There is no boot entry to take kernel arguments from, and none with ${missing} is given or was kept: the system may not find its disks`;

  test.each([
    ["/boot is a directory", [{ path: "/target" }], [], "root=…"],
    ["/boot is a file system", [{ path: "/target" }, { path: "/target/boot" }], [], "root=… and systemd.mount-extra=…"],
    ["root= is given", [{ path: "/target" }, { path: "/target/boot" }], ["rw root=UUID=1"], "systemd.mount-extra=…"],
    ["all is given", [{ path: "/target" }], ["root=UUID=1"], undefined],
  ])("switch warns of what is missing when %s", async (_, mountPoints, kernelArguments, missing) => {
    const linux = machineWith(images, { mountPoints });
    const seen = new SeenProgress();
    await switchTo(linux, "v1", { kernelArguments: ["root=UUID=1"], system: { progress: seen.report } });
    await switchTo(linux, "v2", { system: { progress: seen.report } });
    expect(seen.warnings).toEqual([]);
    removeTree(linux.files, fromText("/target/boot/loader"));
    forgetArguments(linux);
    await switchTo(linux, "v1", { kernelArguments, system: { progress: seen.report } });
    expect(seen.warnings).toEqual(missing === undefined ? [] : [message(missing)]);
  });
});

describe("a running system with another file system at /boot", () => {
  let linux: FakeLinux;
  beforeEach(async () => {
    linux = await runningMachine(images, "v1");
    await switchRunning(linux, "v2");
    await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
    boot(linux);
    await switchRunning(linux, "v3");
    removeTree(linux.files, fromText("/boot/loader"));
  });

  test.each([
    ["gc", () => collect(linux, physicalRoot)],
    ["gc --dry-run", () => collect(linux, physicalRoot, true)],
    ["switch", () => switchRunning(linux, "v3")],
    ["boot-complete", () => bootComplete(systemOn(linux), { sysroot: physicalRoot })],
    ["rollback", () => rollback(systemOn(linux), { sysroot: physicalRoot, apply: false })],
  ])("%s refuses, and changes nothing", async (_, operate) => {
    const before = [filesBelow(linux, "/sysroot"), filesBelow(linux, "/boot")];
    expect(await failureOf(operate())).toMatchObject({
      code: "not-found",
      message:
        "Cannot find the boot partition: this system was started by osdeploy-000002, which is not in /boot/loader/entries",
      facts: { hint: "Mount the boot partition at /boot in place of what is there, then try again" },
    });
    expect([filesBelow(linux, "/sysroot"), filesBelow(linux, "/boot")]).toEqual(before);
  });

  test("status tells it", async () => {
    expect(await problemsOf(linux, physicalRoot)).toEqual([
      "What is mounted at /boot is not the boot partition: entry osdeploy-000002, which started this system, is not there",
    ]);
  });

  test("what is staged is not committed there", async () => {
    await expect(finalizeStaged(systemOn(linux), { sysroot: physicalRoot })).rejects.toThrow(OsdeployError);
    expect(linux.files.lstatIfExists(fromText("/boot/loader"))).toBeUndefined();
    expect(stateOf(linux).problems).toEqual([
      expect.stringMatching(/^What was staged was not committed at shutdown: Cannot find the boot partition/),
    ]);
  });
});

test("a running system without its boot partition: gc and status say that it is not mounted, not that another one is", async () => {
  const linux = await runningMachine(images, "v1");
  writeText(linux, "/proc/self/mountinfo", readText(linux, "/proc/self/mountinfo").replace(/^.* \/boot .*\n/m, ""));
  expect(await failureOf(collect(linux, physicalRoot))).toMatchObject({
    code: "not-found",
    facts: { hint: "Mount the boot partition at /boot, then try again" },
  });
  expect(await problemsOf(linux, physicalRoot)).toEqual([
    "The boot partition is not mounted at /boot: entry osdeploy-000001, which started this system, is not there",
  ]);
});

describe("a running system whose boot partition takes no writes", () => {
  const readOnlyBoot = (linux: FakeLinux): FakeLinux => {
    const space: LinuxFiles["space"] = (path) => ({
      ...linux.files.space(path),
      readOnly: path === fromText("/boot"),
    });
    return { ...linux, files: { ...linux.files, space } } as FakeLinux;
  };

  test("switch refuses before it fetches anything, and has nothing against what runs already", async () => {
    const linux = await runningMachine(images, "v1");
    const before = [filesBelow(linux, "/sysroot"), filesBelow(linux, "/boot")];
    expect(await failureOf(switchRunning(readOnlyBoot(linux), "v2"))).toMatchObject({
      code: "permission-denied",
      message: 'Cannot write to the boot partition "/boot": its file system is read-only',
      facts: { hint: expect.stringContaining("mount -o remount,rw /boot") },
    });
    expect([filesBelow(linux, "/sysroot"), filesBelow(linux, "/boot")]).toEqual(before);
    expect(await switchRunning(readOnlyBoot(linux), "v1")).toMatchObject({ kind: "kept" });
  });
});
