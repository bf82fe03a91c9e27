import type { FileStat } from "./linux.ts";

/** Whether two files lie on the same file system. `identity` begins with the number of the file's. */
export function onSameFileSystem(a: FileStat, b: FileStat): boolean {
  return fileSystemOf(a) === fileSystemOf(b);
}

function fileSystemOf({ identity }: FileStat): string {
  return identity.slice(0, identity.indexOf(":"));
}
