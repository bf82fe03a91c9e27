import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { Lab } from "../../../src/lab/lab.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { addMachine, labLinux, labPath, place, someMachine } from "../../builders/lab-machines.ts";
import { failure } from "../../builders/linux-machines.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

describe("Lab", () => {
  test("list: nothing where there is no lab; then machines by name, with whether they run", () => {
    const linux = labLinux({ startProgram: () => {} });
    expect(new Lab(linux, labPath).list()).toEqual([]);
    addMachine(linux, { name: "two" });
    const lab = addMachine(linux, { name: "one" });
    const process = linux.programs.start(["qemu"], { output: fromText("/log") });
    lab.setRunning(lab.get("one").paths, process);
    expect(lab.list().map(({ machine, running }) => [machine.name, running])).toEqual([
      ["one", process],
      ["two", undefined],
    ]);
    linux.programs.signal(process, "SIGKILL");
    expect(lab.get("one").running).toBeUndefined();
  });

  test("list: what a stopped attempt left is no machine, and the next one takes its place", () => {
    const linux = labLinux();
    const lab = new Lab(linux, labPath);
    const { disk } = lab.prepare("one");
    place(linux, disk, "half");
    expect(lab.list()).toEqual([]);
    lab.prepare("one");
    expect(linux.files.lstatIfExists(disk)).toBeUndefined();
  });

  test("list: one damaged machine hides no other, and its own error says what to do", () => {
    const linux = labLinux({ startProgram: () => {} });
    addMachine(linux, { name: "two" });
    const lab = addMachine(linux, { name: "one" });
    lab.makeDirectory(fromText("/lab/machines/No machine"));
    const { machineFile, processFile } = lab.get("one").paths;
    linux.files.unlink(machineFile);
    place(linux, machineFile, "");
    place(linux, processFile, "");
    expect(lab.list().map(({ name }) => name)).toEqual(["two"]);
    expect(lab.listDamaged()).toMatchObject([{ name: "one", running: undefined, damage: { code: "bad-format" } }]);
    expect(failure(() => lab.get("one")).message).toBe("Cannot read /lab/machines/one/machine.json: it is not JSON");
    expect(failure(() => lab.get("x")).message).toBe("Cannot find machine x: the lab has one, two");
    expect(failure(() => lab.prepare("one")).code).toBe("already-exists");
    lab.remove(lab.find("one").paths);
    expect(lab.listDamaged()).toEqual([]);
  });

  test("list: a machine is called what its directory is called", () => {
    const linux = labLinux();
    const lab = addMachine(linux);
    linux.files.rename(fromText("/lab/machines/one"), fromText("/lab/machines/new"));
    expect(lab.list().map(({ machine }) => machine)).toEqual([{ ...someMachine, name: "new" }]);
  });

  test("add: a machine is whole or not there when the power goes", () => {
    const lab = addMachine(labLinux());
    for (const names of ["lost", "kept"] as const) {
      const after = new Lab((lab.linux as FakeLinux).crash({ keepUnsynced: false, names }), labPath);
      expect(after.listDamaged()).toEqual([]);
    }
    const kept = new Lab((lab.linux as FakeLinux).crash({ keepUnsynced: false, names: "kept" }), labPath);
    expect(kept.list().map(({ name }) => name)).toEqual(["one"]);
  });

  test("refuses what is no directory", () => {
    const linux = labLinux();
    place(linux, fromText("/file"), "no lab");
    expect(failure(() => new Lab(linux, fromText("/file")))).toMatchObject({
      code: "not-found",
      message: 'Cannot use "/file" as a lab: it is a regular file',
    });
  });

  test("a lab's path may have any letters", () => {
    const lab = new Lab(labLinux({ startProgram: () => {} }), fromText("/läb"));
    const paths = lab.prepare("one");
    lab.add(someMachine);
    lab.setRunning(paths, lab.linux.programs.start(["qemu"], { output: fromText("/log") }));
    expect(lab.getRunning("one").machine).toEqual(someMachine);
  });

  test("a symlink to a directory is a lab", () => {
    const linux = labLinux();
    addMachine(linux);
    linux.files.symlink(labPath, fromText("/link"));
    expect(new Lab(linux, fromText("/link")).get("one").paths.disk).toBe("/link/machines/one/disk.qcow2");
  });

  test("prepare: refuses a name that is taken", () => {
    const lab = addMachine(labLinux());
    expect(failure(() => lab.prepare("one"))).toMatchObject({
      code: "already-exists",
      message: "Cannot make machine one: there is one",
    });
  });

  test("get: says which machines there are", () => {
    const linux = labLinux();
    expect(failure(() => new Lab(linux, labPath).get("x")).message).toBe("Cannot find machine x: the lab has none");
    addMachine(linux, { name: "two" });
    const lab = addMachine(linux);
    expect(failure(() => lab.get("x"))).toMatchObject({
      code: "not-found",
      message: "Cannot find machine x: the lab has one, two",
    });
    expect(lab.get("one").machine).toEqual(someMachine);
  });

  test("getRunning: refuses a machine that is off", () => {
    const linux = labLinux({ startProgram: () => {} });
    const lab = addMachine(linux);
    expect(failure(() => lab.getRunning("one"))).toMatchObject({ code: "busy" });
    lab.setRunning(lab.get("one").paths, linux.programs.start(["qemu"], { output: fromText("/log") }));
    lab.setRunning(lab.get("one").paths, linux.programs.start(["qemu"], { output: fromText("/log") }));
    expect(lab.getRunning("one").running).toEqual({ pid: 1002, startTicks: 2 });
  });

  test("remove: takes the machine with all its files", () => {
    const linux = labLinux();
    const lab = addMachine(linux);
    lab.remove(lab.get("one").paths);
    expect(lab.list()).toEqual([]);
    expect(linux.files.readDirectory(lab.paths.machines)).toEqual([]);
  });

  test("remove: a stop in the middle leaves no machine that lacks something", () => {
    const made = (failAt: number) => {
      const linux = labLinux({ failAt });
      const lab = addMachine(linux);
      place(linux, "/lab/machines/one/disk.qcow2", "disk");
      return { linux, lab };
    };
    const { linux, lab } = made(Number.POSITIVE_INFINITY);
    const before = linux.trace.length;
    lab.remove(lab.get("one").paths);
    const calls = linux.trace.length - before;
    expect(calls).toBeGreaterThan(2);
    for (let stop = 1; stop <= calls; stop++) {
      const stopped = made(before + stop);
      expect(() => stopped.lab.remove(stopped.lab.get("one").paths)).toThrow("The machine stopped");
      const after = new Lab(stopped.linux.crash({ keepUnsynced: true }), labPath);
      const disks = after.list().map(({ paths }) => after.linux.files.lstatIfExists(paths.disk)?.kind);
      expect([[], ["regular"]], `stopped at ${stop}`).toContainEqual(disks);
    }
  });

  test("makeDirectory: for its owner alone, with those above", () => {
    const linux = labLinux();
    new Lab(linux, fromText("/a/lab")).makeDirectory(fromText("/a/lab/b"));
    expect(linux.files.lstat(fromText("/a/lab/b"))).toMatchObject({ kind: "directory", permissions: 0o700 });
  });

  test("a relative path starts at the working directory of the process", () => {
    const linux = labLinux();
    for (const path of ["/proc", "/proc/self"]) linux.files.makeDirectory(fromText(path), 0o755);
    linux.files.symlink(fromText("/here"), fromText("/proc/self/cwd"));
    expect(new Lab(linux, fromText("lab")).paths.root).toBe("/here/lab");
  });

  test("makeDirectory: another run may make it at the same time", () => {
    const linux = labLinux();
    const { files } = linux;
    const twice: LinuxFiles["makeDirectory"] = (path, permissions) => {
      files.makeDirectory(path, permissions);
      files.makeDirectory(path, permissions);
    };
    const lab = new Lab({ ...linux, files: { ...files, makeDirectory: twice } }, labPath);
    lab.makeDirectory(lab.paths.machines);
    expect(files.lstatIfExists(lab.paths.machines)?.kind).toBe("directory");
  });

  test("lock: for one at a time", () => {
    const linux = labLinux();
    const lab = new Lab(linux, labPath);
    const free = lab.lock();
    expect(failure(() => lab.lock())).toMatchObject({
      code: "busy",
      message: "Cannot change the machines of lab /lab: another run of osdeploy does",
    });
    free();
    lab.lock()();
    expect(linux.openPaths).toEqual([]);
  });
});
