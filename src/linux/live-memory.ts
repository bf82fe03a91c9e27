import { findLibrary } from "./foreign.ts";

let trim: (() => void) | undefined;

/** What the C library keeps for itself of the memory of threads that ended. */
export function releaseMemory(): void {
  trim ??= findTrim();
  trim();
}

/** musl has no such function, and keeps less. */
function findTrim(): () => void {
  const trim = findLibrary(["libc.so.6"], ["malloc_trim"])?.func("malloc_trim", "int", ["size_t"]);
  return () => trim?.(0);
}
