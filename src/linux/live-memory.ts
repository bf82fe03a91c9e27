import { findLibrary } from "./foreign.ts";

let trim: (() => void) | undefined;

/** What glibc keeps for each thread of memory that was freed: what is smaller than the largest piece so far, among what is in use. */
export function releaseMemory(): void {
  trim ??= findTrim();
  trim();
}

/** musl has no such function, and keeps less. */
function findTrim(): () => void {
  const trim = findLibrary(["libc.so.6"], ["malloc_trim"])?.func("malloc_trim", "int", ["size_t"]);
  return () => trim?.(0);
}
