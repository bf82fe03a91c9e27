import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fromText, toText } from "../../../src/core/bytes/byte-string.ts";
import { encodeText } from "../../../src/core/bytes/utf8.ts";
import type { Lab } from "../../../src/lab/lab.ts";
import { findLabPrograms } from "../../../src/lab/lab-programs.ts";
import { labVirtualMachine, switchOff, switchOn } from "../../../src/lab/power.ts";
import { withOpen } from "../../../src/linux/file-content.ts";
import { addMachine, labLinux, place } from "../../builders/lab-machines.ts";
import type { FakeLinux, FakeLinuxOptions } from "../../fakes/fake-linux.ts";
import { FakeMonitor } from "../../fakes/fake-monitor.ts";

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

  /** A machine whose QEMU says this when it is started. */
  function machineSaying(said: string, options: FakeLinuxOptions = {}) {
    const linux = labLinux({
      startProgram: (_, { output }) => {
        if (linux.files.lstatIfExists(output) === undefined) place(linux, output, "");
        withOpen(linux.files, output, "append", (fd) => linux.files.write(fd, encodeText(said)));
      },
      ...options,
    });
    const lab = addMachine(linux);
    const { machine, paths } = lab.get("one");
    const programs = findLabPrograms(linux, "x86_64", ["/usr/share"]);
    const what = { qemu: "qemu", machine: labVirtualMachine(machine, paths, { programs, acceleration: "tcg" }) };
    return { linux, lab, start: () => switchOn(lab, paths, what) };
  }

  test("switchOn: remembers the process", async () => {
    const { lab, start } = machineSaying("");
    expect(await start()).toEqual(lab.getRunning("one").running);
  });

  test.each([
    ["warning: x\nqemu: -drive: no such file\n", "qemu: -drive: no such file"],
    ["", "QEMU ended and said nothing"],
  ])("switchOn: what QEMU said before it ended at once, and not what one before it said: %j", async (said, why) => {
    const { linux, start } = machineSaying(said);
    place(linux, "/lab/machines/one/qemu.log", "terminating on signal 15\n");
    const failing = start();
    linux.programs.signal({ pid: 1001, startTicks: 1 }, "SIGKILL");
    await expect(failing).rejects.toMatchObject({
      code: "system",
      message: `Cannot switch the machine on: ${why}`,
      facts: { said: said.trimEnd() },
    });
  });

  test("switchOn: a process that cannot be remembered is ended", async () => {
    const calls = machineSaying("").linux.trace.length;
    const full = { failAt: calls + 1, fault: "ENOSPC", faultStays: true, startProgram: () => {} } as const;
    const { linux, start } = machineSaying("", full);
    await expect(start()).rejects.toMatchObject({ code: "no-space" });
    // The next one would have the next number.
    expect(linux.programs.start(["qemu"], { output: fromText("/log") }).pid).toBe(1002);
    expect(linux.programs.isRunning({ pid: 1001, startTicks: 1 })).toBe(false);
  });

  describe("switchOff", () => {
    const { signal } = new AbortController();
    const process = { pid: 1001, startTicks: 1 };
    let directory: string;
    let linux: FakeLinux;
    let machine: ReturnType<Lab["getRunning"]>;
    let monitor: FakeMonitor;
    /** What comes of it when the button is pressed for the n-th time: what QEMU answers, if it is a text. */
    let onPress: (count: number) => unknown;
    beforeEach(async () => {
      directory = mkdtempSync(join(tmpdir(), "osdeploy-power-"));
      linux = labLinux({ startProgram: () => {} });
      const lab = addMachine(linux, {}, fromText(directory));
      lab.setRunning(lab.get("one").paths, linux.programs.start(["qemu"], { output: fromText("/log") }));
      machine = lab.getRunning("one");
      mkdirSync(toText(machine.paths.root), { recursive: true });
      onPress = () => linux.programs.signal(process, "SIGKILL");
      monitor = new FakeMonitor(() => {
        const answer = onPress(presses());
        return typeof answer === "string" ? answer : '{"return": {}}\r\n';
      });
    });
    afterEach(() => {
      monitor.stop();
      rmSync(directory, { recursive: true });
    });

    const presses = () => monitor.told.filter((told) => JSON.stringify(told).includes("system_powerdown")).length;

    test("by force, at once, and without the button", async () => {
      await monitor.start(machine.paths.monitorSocket);
      await switchOff(linux, machine, { force: true, signal });
      expect([linux.programs.isRunning(process), presses()]).toEqual([false, 0]);
    });

    test("the button needs somebody who listens", async () => {
      await expect(switchOff(linux, machine, { force: false, signal })).rejects.toMatchObject({ code: "busy" });
    });

    test("by the button; one that ends meanwhile is off", async () => {
      await monitor.start(machine.paths.monitorSocket);
      await switchOff(linux, machine, { force: false, signal });
      expect([linux.programs.isRunning(process), presses()]).toEqual([false, 1]);
      monitor.stop();
      await switchOff(linux, machine, { force: false, signal });
    });

    test("a guest that did not hear the button yet is told again; one that ends by then needs not hear it", async () => {
      onPress = (count) => {
        if (count === 1) return undefined;
        setTimeout(() => linux.programs.signal(process, "SIGKILL"), 200);
        return '{"error": {"class": "GenericError", "desc": "it shuts down"}}\r\n';
      };
      await monitor.start(machine.paths.monitorSocket);
      const start = performance.now();
      await switchOff(linux, machine, { force: false, signal });
      // Not all the time: the guest's log would be full of it.
      expect(performance.now() - start).toBeGreaterThan(4_000);
      expect([linux.programs.isRunning(process), presses()]).toEqual([false, 2]);
    });

    test("who no longer wants to wait need not", async () => {
      const stop = new AbortController();
      onPress = () => stop.abort();
      await monitor.start(machine.paths.monitorSocket);
      const waiting = switchOff(linux, machine, { force: false, signal: stop.signal });
      await expect(waiting).rejects.toMatchObject({ code: "interrupted" });
      expect([linux.programs.isRunning(process), presses()]).toEqual([true, 1]);
    });
  });
});
