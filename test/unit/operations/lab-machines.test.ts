import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { listLabMachines, removeLabMachines, stopLabMachines } from "../../../src/operations/lab-machines.ts";
import { addMachine, labLinux, labPath, place } from "../../builders/lab-machines.ts";
import { SeenProgress, systemOn } from "../../builders/operation-machine.ts";

/** Two machines, of which `one` runs, and three disks, of which each begins with one. */
function twoMachines() {
  const linux = labLinux({ startProgram: () => {} });
  const lab = addMachine(linux, { baseDisk: "first.raw" });
  addMachine(linux, { name: "two", baseDisk: "second.raw" });
  lab.setRunning(lab.get("one").paths, linux.programs.start(["qemu"], { output: fromText("/log") }));
  lab.makeDirectory(lab.paths.disks);
  for (const name of ["first.raw", "second.raw", "third.raw", ".unfinished"])
    place(linux, `${lab.paths.disks}/${name}`, "");
  return { linux, lab, system: systemOn(linux) };
}

describe("machines of the lab", () => {
  test("listLabMachines: what they are and whether they run", async () => {
    const { system } = twoMachines();
    expect(await listLabMachines(system, labPath)).toMatchObject([
      { name: "one", running: true, sshPort: 2022, directory: "/lab/machines/one", memoryMegabytes: 2048 },
      { name: "two", running: false, image: "oci:/layout:v1" },
    ]);
  });

  test("stopLabMachines: those that run; none when one of the names is wrong", async () => {
    const { system, lab } = twoMachines();
    const request = { lab: labPath, force: true };
    await expect(stopLabMachines(system, { ...request, names: ["one", "three"] })).rejects.toMatchObject({
      code: "not-found",
    });
    expect(lab.get("one").running).toBeDefined();
    const result = await stopLabMachines(system, { ...request, names: ["one", "two"] });
    expect(result).toEqual({ stopped: ["one"], wereOff: ["two"] });
    expect(lab.get("one").running).toBeUndefined();
  });

  test("removeLabMachines: refuses those that run, all or nothing", async () => {
    const { system, lab } = twoMachines();
    const names = ["two", "one"];
    await expect(
      removeLabMachines(system, { lab: labPath, names, force: false, keepDisks: false }),
    ).rejects.toMatchObject({
      code: "busy",
      message: "Cannot remove machine one: it runs",
    });
    expect(lab.list()).toHaveLength(2);
  });

  test("removeLabMachines: makes no lab where there is none", async () => {
    const linux = labLinux();
    const lab = fromText("/typo");
    const removed = removeLabMachines(systemOn(linux), { lab, names: ["one"], force: false, keepDisks: false });
    await expect(removed).rejects.toMatchObject({ code: "not-found" });
    expect(linux.files.lstatIfExists(lab)).toBeUndefined();
  });

  test("removeLabMachines: with force; disks that nothing begins with go too, or stay", async () => {
    const { linux, system, lab } = twoMachines();
    const request = { lab: labPath, names: ["one"], force: true };
    expect(await removeLabMachines(system, { ...request, keepDisks: true })).toEqual({
      removed: ["one"],
      removedDisks: [],
    });
    const result = await removeLabMachines(system, { ...request, names: ["two"], keepDisks: false });
    expect(result).toEqual({ removed: ["two"], removedDisks: ["first.raw", "second.raw", "third.raw"] });
    expect(linux.files.readDirectory(lab.paths.disks)).toEqual([".unfinished"]);
    expect(linux.openPaths).toEqual([]);
  });

  test("removeLabMachines: takes what a run left that was killed while it made a disk", async () => {
    const { linux, system, lab } = twoMachines();
    const left = `${lab.paths.disks}/.osdeploy-install-0123456789abcdef`;
    linux.files.makeDirectory(fromText(left), 0o700);
    place(linux, `${left}/disk.img`, "half");
    const request = { lab: labPath, names: ["two"], force: false };
    await removeLabMachines(system, { ...request, keepDisks: false });
    expect(linux.files.readDirectory(lab.paths.disks)).toEqual([".unfinished", "first.raw"]);
  });

  test("names that are given twice count once", async () => {
    const { linux, system, lab } = twoMachines();
    const request = { lab: labPath, names: ["two", "one", "two"], force: true };
    expect(await stopLabMachines(system, request)).toEqual({ stopped: ["one"], wereOff: ["two"] });
    expect(await removeLabMachines(system, { ...request, keepDisks: false })).toMatchObject({
      removed: ["two", "one"],
      removedDisks: ["first.raw", "second.raw", "third.raw"],
    });
    expect(linux.files.readDirectory(lab.paths.machines)).toEqual([]);
  });

  test("a damaged machine is told of, keeps no other from its end, and can be removed", async () => {
    const { linux, lab } = twoMachines();
    const { machineFile } = lab.get("two").paths;
    linux.files.unlink(machineFile);
    place(linux, machineFile, "");
    const progress = new SeenProgress();
    const system = systemOn(linux, { progress: progress.report });
    expect(await listLabMachines(system, labPath)).toMatchObject([{ name: "one" }]);
    expect(progress.warnings).toEqual([
      "Machine two is damaged, and can only be removed, with osdeploy lab rm two: Cannot read /lab/machines/two/machine.json: it is not JSON",
    ]);
    const request = { lab: labPath, force: true, keepDisks: false };
    expect(await removeLabMachines(system, { ...request, names: ["one"] })).toEqual({
      removed: ["one"],
      removedDisks: [],
    });
    expect(await removeLabMachines(system, { ...request, names: ["two"] })).toEqual({
      removed: ["two"],
      removedDisks: ["first.raw", "second.raw", "third.raw"],
    });
  });

  test("removeLabMachines: fine where no disk was ever made", async () => {
    const linux = labLinux();
    addMachine(linux);
    const request = { lab: labPath, names: ["one"], force: false, keepDisks: false };
    expect(await removeLabMachines(systemOn(linux), request)).toEqual({ removed: ["one"], removedDisks: [] });
  });
});
