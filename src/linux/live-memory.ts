import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { findLibrary } from "./foreign.ts";

let bound: readonly (() => void)[] | undefined;

/** V8's memory, and then that of the C library, which keeps for itself what threads had that ended. */
export function releaseMemory(): void {
  bound ??= [findCollector(), findTrim()];
  for (const release of bound) release();
}

/** V8 collects by itself when a heap has doubled. Node hands out its collector only to who asks for it this way. */
function findCollector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

/** musl has no such function, and keeps less. */
function findTrim(): () => void {
  const trim = findLibrary(["libc.so.6"], ["malloc_trim"])?.func("malloc_trim", "int", ["size_t"]);
  return () => trim?.(0);
}
