import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { findLabPrograms } from "../../../src/lab/lab-programs.ts";
import { labVirtualMachine, switchOff, switchOn } from "../../../src/lab/power.ts";
import { addMachine, labLinux, place } from "../../builders/lab-machines.ts";

describe("power", () => {
  test("labVirtualMachine: boots from the machine's disk by firmware, with its own variables, and ssh forwarded", () => {
    const linux = labLinux();
    const { machine, paths } = addMachine(linux).get("one");
    const programs = findLabPrograms(linux, "x86_64", ["/usr/share"]);
    expect(labVirtualMachine(machine, paths, { programs, acceleration: "tcg" })).toMatchObject({
      powerOn: { kind: "firmware", variables: "/lab/machines/one/variables.fd" },
      disks: [{ file: "/lab/machines/one/disk.qcow2", format: "qcow2" }],
      network: { forwards: [{ host: 2022, guest: 22 }] },
      memoryMegabytes: 2048,
    });
  });

  test("switchOn: remembers the process; says QEMU's last words when it ends at once", async () => {
    const linux = labLinux({ startProgram: () => {} });
    const { machine, paths } = addMachine(linux).get("one");
    const lab = addMachine(linux, { name: "two" });
    const programs = findLabPrograms(linux, "x86_64", ["/usr/share"]);
    const what = { qemu: "qemu", machine: labVirtualMachine(machine, paths, { programs, acceleration: "tcg" }) };
    const process = await switchOn(lab, paths, what);
    expect(lab.getRunning("one").running).toEqual(process);
    place(linux, "/lab/machines/two/qemu.log", "warning: x\nqemu: -drive: no such file\n");
    const failing = switchOn(lab, lab.get("two").paths, what);
    linux.programs.signal({ pid: 1002, startTicks: 2 }, "SIGKILL");
    await expect(failing).rejects.toMatchObject({
      code: "system",
      message: "Cannot switch the machine on: qemu: -drive: no such file",
    });
  });

  test("switchOff: by force, at once", async () => {
    const linux = labLinux({ startProgram: () => {} });
    const lab = addMachine(linux);
    lab.setRunning(lab.get("one").paths, linux.programs.start(["qemu"], { output: fromText("/log") }));
    await switchOff(linux, lab.getRunning("one"), { force: true });
    expect(lab.get("one").running).toBeUndefined();
  });

  test("switchOff: the button needs somebody who listens", async () => {
    const linux = labLinux({ startProgram: () => {} });
    const lab = addMachine(linux);
    lab.setRunning(lab.get("one").paths, linux.programs.start(["qemu"], { output: fromText("/log") }));
    await expect(switchOff(linux, lab.getRunning("one"), { force: false })).rejects.toMatchObject({ code: "busy" });
  });
});
