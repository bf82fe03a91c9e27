import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { type ProbeOptions, probeAcceleration } from "../../../src/lab/acceleration.ts";
import { findLabPrograms } from "../../../src/lab/lab-programs.ts";
import { labLinux, place } from "../../builders/lab-machines.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const { signal } = new AbortController();
const options = { architecture: "x86_64", scratch: fromText("/scratch"), signal } as const;

/** A machine with /dev/kvm, whose QEMU says `console` and logs `log`. */
function machine(console: string, log: string): FakeLinux {
  const linux = labLinux({
    startProgram: (words) => {
      expect(words).toContain("kvm");
      place(linux, "/scratch/console", console);
      place(linux, "/scratch/log", log);
    },
  });
  linux.files.makeDirectory(fromText("/dev"), 0o755);
  place(linux, "/dev/kvm", "");
  return linux;
}

function probe(linux: FakeLinux, changes: Partial<ProbeOptions> = {}) {
  const programs = findLabPrograms(linux, "x86_64", ["/usr/share"]);
  return probeAcceleration(linux, programs, { ...options, ...changes });
}

describe("probeAcceleration", () => {
  test("without /dev/kvm nothing is started", async () => {
    expect(await probe(labLinux())).toBe("tcg");
  });

  test("KVM where the firmware comes to its boot manager in it", async () => {
    const linux = machine("BdsDxe: failed to load", "");
    expect(await probe(linux)).toBe("kvm");
    expect(linux.files.lstatIfExists(options.scratch)).toBeUndefined();
    expect(linux.programs.isRunning({ pid: 1001, startTicks: 1 })).toBe(false);
  });

  test("what a killed run left in its place is in nobody's way", async () => {
    const linux = machine("BdsDxe: failed to load", "");
    linux.files.makeDirectory(options.scratch, 0o700);
    place(linux, "/scratch/variables", "of the one before");
    expect(await probe(linux)).toBe("kvm");
    expect(linux.files.lstatIfExists(options.scratch)).toBeUndefined();
  });

  test("who wants an end has it at once, and no machine goes on", async () => {
    const linux = machine("", "");
    const stop = new AbortController();
    const start = performance.now();
    const probing = probe(linux, { signal: stop.signal });
    expect(linux.programs.isRunning({ pid: 1001, startTicks: 1 })).toBe(true);
    stop.abort();
    await probing;
    expect(performance.now() - start).toBeLessThan(2_000);
    expect(linux.programs.isRunning({ pid: 1001, startTicks: 1 })).toBe(false);
  });

  test("the translator where the firmware dies in KVM, or does not come so far in time", async () => {
    expect(await probe(machine("", "KVM internal error. Suberror: 1"))).toBe("tcg");
    expect(await probe(machine("", ""))).toBe("tcg");
  }, 20_000);
});
