import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { findLibrary } from "../../../src/linux/foreign.ts";
import { releaseMemory } from "../../../src/linux/live-memory.ts";

const blockBytes = 100_000;
const blocks = 500;

function residentBytes(): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]) * 1024;
}

test("releaseMemory: gives back what was freed between what is in use, as often as it is called", () => {
  const libc = findLibrary(["libc.so.6"], ["calloc", "memset", "free"]);
  const allocate = libc?.func("calloc", "uintptr_t", ["size_t", "size_t"]);
  const fill = libc?.func("memset", "uintptr_t", ["uintptr_t", "int", "size_t"]);
  const free = libc?.func("free", "void", ["uintptr_t"]);
  for (let time = 0; time < 2; time++) {
    const addresses = Array.from({ length: blocks }, () => allocate?.(1, blockBytes));
    for (const address of addresses) fill?.(address, 1, blockBytes);
    const last = addresses.pop();
    for (const address of addresses) free?.(address);
    const before = residentBytes();
    releaseMemory();
    expect(before - residentBytes()).toBeGreaterThan((blocks * blockBytes) / 2);
    free?.(last);
  }
});
