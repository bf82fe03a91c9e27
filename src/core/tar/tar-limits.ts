/** What a layer's tar may hold at most. The registry chooses all of these sizes; each limit bounds memory or time. */
export interface TarLimits {
  /** Bytes in a path. Linux resolves 4096 at once, but deeper trees are reachable step by step, and occur. */
  readonly pathBytes: number;
  /** Components in a path; trees are walked recursively. */
  readonly pathDepth: number;
  /** Bytes in one PAX header or GNU long name; the window must have room for it. */
  readonly extensionBytes: number;
  /** Bytes in the value of one extended attribute; 65536 is what Linux takes. */
  readonly xattrValueBytes: number;
  /** Bytes in one file. */
  readonly fileBytes: number;
  readonly entries: number;
  /** Bytes of everything that is not content of an object: headers, small files, padding, what follows the end. */
  readonly structureBytes: number;
}

/** Far above every real image; a layer of a million entries needs 512 MiB of headers. */
export const defaultTarLimits: TarLimits = {
  pathBytes: 32 * 1024,
  pathDepth: 1024,
  extensionBytes: 1024 * 1024,
  xattrValueBytes: 65536,
  fileBytes: 2 ** 40,
  entries: 2_000_000,
  structureBytes: 1024 * 1024 * 1024,
};
