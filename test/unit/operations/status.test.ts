import { beforeEach, describe, expect, test } from "vitest";
import { fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { removeTree } from "../../../src/linux/remove-tree.ts";
import { bootComplete } from "../../../src/operations/boot-complete.ts";
import { finalizeStaged } from "../../../src/operations/finalize-staged.ts";
import { status } from "../../../src/operations/status.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { layoutReference, machineWith, switchTo, sysrootPath, systemOn } from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import {
  boot,
  physicalRoot,
  readText,
  runningMachine,
  switchRunning,
  writeText,
} from "../../builders/running-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const images = { v1: await buildOsImage("v1"), v2: await buildOsImage("v2"), v3: await buildOsImage("v3") };

let linux: FakeLinux;
beforeEach(() => {
  linux = machineWith(images);
});

const read = () => status(systemOn(linux), { sysroot: sysrootPath });

function write(path: string, text: string): void {
  linux.files.writeNewFile(fromText(path), toBytes(fromText(text)), 0o644);
}

describe("status", () => {
  test("tells roles, origins and boot entries, what boots next first", async () => {
    const rootImages: string[] = [];
    for (const tag of ["v1", "v2", "v3"]) rootImages.push((await switchTo(linux, tag)).rootImage);
    const before = describeFiles(linux.files, sysrootPath);
    const { deployments, ...rest } = await read();
    expect(rest).toEqual({
      schemaVersion: 1,
      sysroot: "/target",
      bootloader: "none",
      countsTries: false,
      booted: null,
      rollbackQueued: false,
      staged: null,
      lostStaged: null,
      quarantine: [],
      foreignBootEntries: [],
      problems: [],
    });
    expect(deployments.map(({ roles, rootImage, imageReference }) => [roles, rootImage, imageReference])).toEqual([
      [["default"], rootImages[2], layoutReference("v3")],
      [["rollback"], rootImages[1], layoutReference("v2")],
      [[], rootImages[0], layoutReference("v1")],
    ]);
    expect(deployments[0]).toEqual({
      roles: ["default"],
      kernelArguments: `rw panic=30 composefs=${rootImages[2]} osdeploy.entry=osdeploy-000003`,
      rootImage: rootImages[2],
      title: "Test OS",
      version: "v3",
      imageReference: layoutReference("v3"),
      manifestDigest: images.v3.manifestDigest,
      layers: images.v3.layers.map(({ digest, diffId }) => ({ digest, diffId })),
      bootDigest: expect.stringMatching(/^[0-9a-f]{64}$/),
      verifiedBy: [],
      sealedBy: [],
      verity: "required",
      bootEntries: [{ name: "osdeploy-000003.conf", triesLeft: null, triesDone: null, booted: false }],
      quarantineReason: null,
    });
    expect(describeFiles(linux.files, sysrootPath)).toEqual(before);
    expect(linux.openPaths).toEqual([]);
  });

  test("leaves out layers that the repo lost, and tells of none where it cannot say", async () => {
    await switchTo(linux, "v1");
    const [lost, other] = images.v1.layers;
    linux.files.unlink(fromText(`/target/composefs/streams/oci-layer-${lost?.diffId}`));
    expect((await read()).deployments[0]?.layers).toEqual([{ digest: other?.digest, diffId: other?.diffId }]);
    linux.files.unlink(fromText(`/target/composefs/streams/oci-manifest-${images.v1.manifestDigest}`));
    expect((await read()).deployments[0]?.layers).toBeNull();
    removeTree(linux.files, fromText("/target/composefs"));
    expect((await read()).deployments[0]?.layers).toBeNull();
    expect(linux.openPaths).toEqual([]);
  });

  test("shows a deployment with a damaged origin, and names the problem", async () => {
    const { rootImage } = await switchTo(linux, "v1");
    const origin = `/target/state/deploy/${rootImage}/${rootImage}.origin`;
    linux.files.unlink(fromText(origin));
    write(origin, "garbage");
    expect(await read()).toMatchObject({
      deployments: [
        { roles: ["default"], imageReference: null, manifestDigest: null, bootDigest: null, title: "Test OS" },
      ],
      problems: [`Deployment ${rootImage} has no origin that can be read, so it cannot be upgraded`],
    });
  });

  test("names what is left of runs that were stopped, but not what a running one is making", async () => {
    await switchTo(linux, "v1");
    linux.files.makeDirectory(fromText("/target/state/deploy/.gone-1"), 0o755);
    const left =
      "/target/state/deploy/.gone-1 is left of an earlier run: the next change of the sysroot tries to remove it";
    expect((await read()).problems).toEqual([left]);
    const inode = linux.files.lstat(fromText("/target/state")).identity.split(":")[1];
    linux.files.makeDirectory(fromText("/proc"), 0o755);
    write("/proc/locks", `1: FLOCK  ADVISORY  WRITE 77 fe:01:${inode} 0 EOF\n`);
    expect((await read()).problems).toEqual([]);
  });

  test("a switch to the same image makes a damaged origin whole again", async () => {
    const { rootImage } = await switchTo(linux, "v1");
    linux.files.unlink(fromText(`/target/state/deploy/${rootImage}/${rootImage}.origin`));
    expect(await switchTo(linux, "v1")).toMatchObject({ kind: "deployed", rootImage });
    expect(await read()).toMatchObject({ deployments: [{ imageReference: layoutReference("v1") }], problems: [] });
  });

  test("names boot entries whose deployment is gone, and those of others", async () => {
    await switchTo(linux, "v1");
    const gone = "cd".repeat(64);
    write("/target/boot/loader/entries/osdeploy-000009.conf", `title Gone\noptions composefs=${gone}\n`);
    write("/target/boot/loader/entries/other.conf", "title Other\n");
    const { deployments, foreignBootEntries, problems } = await read();
    expect(deployments).toHaveLength(1);
    expect(foreignBootEntries).toEqual(["other.conf"]);
    expect(problems).toEqual([`Boot entry osdeploy-000009.conf names root image ${gone}, which has no deployment`]);
  });

  test("a deployment without boot entry has no role and no title", async () => {
    await switchTo(linux, "v1");
    linux.files.unlink(fromText("/target/boot/loader/entries/osdeploy-000001.conf"));
    expect(await read()).toMatchObject({
      deployments: [{ roles: [], title: null, version: null, bootEntries: [], imageReference: layoutReference("v1") }],
    });
  });

  test("an empty version, and an entry that names none, is no version", async () => {
    await switchTo(linux, "v1");
    linux.files.unlink(fromText("/target/boot/loader/entries/osdeploy-000001.conf"));
    const [rootImage] = linux.files.readDirectory(fromText("/target/state/deploy"));
    write("/target/boot/loader/entries/osdeploy-000001.conf", `version 1\noptions composefs=?${rootImage}\n`);
    expect((await read()).deployments[0]).toMatchObject({ title: null, version: null, verity: "optional" });
  });

  test.each([
    ["/entries", [], ["The boot menu cannot be read: Cannot read it (EIO)"]],
    [
      "/osdeploy",
      ["osdeploy-000001.conf"],
      [
        "The kernels on the boot partition cannot be read: Cannot read it (EIO)",
        "The kernel of boot entry osdeploy-000001.conf is not on the boot partition, so it does not boot; upgrade or switch stores it again",
      ],
    ],
  ])("a boot directory that the disk does not give back hides no deployment: %s", async (end, names, problems) => {
    await switchTo(linux, "v1");
    const { files } = linux;
    const readDirectory = (path: ReturnType<typeof fromText>) => {
      if (path.endsWith(end)) throw new OsdeployError("system", "Cannot read it (EIO)");
      return files.readDirectory(path);
    };
    const failing = { ...linux, files: { ...files, readDirectory } };
    expect(await status(systemOn(failing), { sysroot: sysrootPath })).toMatchObject({
      deployments: [{ imageReference: layoutReference("v1"), bootEntries: names.map((name) => ({ name })) }],
      problems,
    });
  });

  test("refuses what is no sysroot", async () => {
    await expect(read()).rejects.toMatchObject({ code: "not-found" });
  });
});

describe("status of a running system", () => {
  const running = () => status(systemOn(linux), { sysroot: physicalRoot });
  const stage = (tag: string) => switchRunning(linux, tag);

  test("tells what runs, what is staged, what failed, and its tries", async () => {
    linux = await runningMachine(images, "v1");
    await stage("v2");
    await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
    for (let times = 0; times < 4; times++) boot(linux);
    await bootComplete(systemOn(linux), { sysroot: physicalRoot });
    await stage("v3");
    const { deployments, ...rest } = await running();
    expect(rest).toMatchObject({
      bootloader: "systemd-boot",
      countsTries: true,
      booted: deployments[1]?.rootImage,
      rollbackQueued: false,
      staged: { rootImage: deployments[0]?.rootImage, finalizationLocked: false },
      quarantine: [{ manifestDigest: images.v2.manifestDigest, reason: "3 boots of it did not complete" }],
      problems: [],
    });
    expect(
      deployments.map(({ roles, version, bootEntries }) => [roles, version, bootEntries.map(({ name }) => name)]),
    ).toEqual([
      [["staged"], "v3", []],
      [["booted", "default"], "v1", ["osdeploy-000001.conf"]],
      [["quarantined"], "v2", ["osdeploy-000002+0-3.conf"]],
    ]);
    expect(deployments[1]?.bootEntries).toEqual([
      { name: "osdeploy-000001.conf", triesLeft: null, triesDone: null, booted: true },
    ]);
    expect(deployments[2]).toMatchObject({
      quarantineReason: "3 boots of it did not complete",
      bootEntries: [{ triesLeft: 0, triesDone: 3, booted: false }],
    });
  });

  test("names an entry that was given up until its image is in quarantine", async () => {
    linux = await runningMachine(images, "v1");
    await stage("v2");
    await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
    for (let times = 0; times < 4; times++) boot(linux);
    expect((await running()).problems).toEqual([
      "Boot entry osdeploy-000002+0-3.conf was given up: none of its boots was good",
    ]);
  });

  test("damage to what is staged is told", async () => {
    linux = await runningMachine(images, "v1");
    await stage("v2");
    const { staged } = await running();
    removeTree(linux.files, fromText(`/sysroot/state/deploy/${staged?.rootImage}`));
    expect((await running()).problems).toEqual([
      `Root image ${staged?.rootImage} is staged, and its state directory is gone: it is made again at shutdown`,
    ]);
    writeText(linux, "/run/osdeploy/staged.json", "{");
    expect((await running()).problems).toEqual([
      "Cannot read the record of the staged deployment: it is not JSON; nothing is staged",
    ]);
  });

  test("what a reboot took away that was staged is told, until it is staged again or the host is told to stay", async () => {
    linux = await runningMachine(images, "v1");
    await stage("v2");
    expect((await running()).lostStaged).toBeNull();
    linux = linux.crash({ keepUnsynced: false, names: "lost" });
    boot(linux);
    await bootComplete(systemOn(linux), { sysroot: physicalRoot });
    const lost = {
      imageReference: layoutReference("v2"),
      manifestDigest: images.v2.manifestDigest,
      finalizationLocked: false,
      command: `osdeploy switch ${layoutReference("v2")}`,
    };
    expect(await running()).toMatchObject({ staged: null, lostStaged: lost, problems: [] });
    await stage("v3");
    await stage("v1");
    expect((await running()).lostStaged).toBeNull();
  });

  test("a note of what was staged that cannot be read is told until something is staged or dropped", async () => {
    linux = await runningMachine(images, "v1");
    await stage("v2");
    linux = linux.crash({ keepUnsynced: false });
    boot(linux);
    writeText(linux, "/sysroot/state/osdeploy/staged", "");
    const sentence = "Cannot read the note of what was staged: it is not JSON";
    expect(await running()).toMatchObject({ lostStaged: null, problems: [sentence] });
    await stage("v1");
    expect(await running()).toMatchObject({ lostStaged: null, problems: [] });
  });

  test("a boot partition that is not mounted is told", async () => {
    linux = await runningMachine(images, "v1");
    const mountinfo = readText(linux, "/proc/self/mountinfo");
    writeText(linux, "/proc/self/mountinfo", mountinfo.replace(/^.* \/boot .*\n/m, ""));
    expect((await running()).problems).toEqual([
      "The boot partition is not mounted at /boot: entry osdeploy-000001, which started this system, is not there",
    ]);
  });
});
