import type { ByteString } from "../../src/core/bytes/byte-string.ts";
import type { Stat, Xattrs } from "../../src/core/tree/inode.ts";
import type { LayerEntry } from "../../src/core/tree/layer.ts";

/** Mode 0644, owner 0:0, at the epoch. */
const plainStat: Stat = { permissions: 0o644, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0 };
const noXattrs: Xattrs = new Map();

/** Strings are bytes, latin1. */
const bytes = (text: string) => text as ByteString;

function xattrsOf(attributes: Readonly<Record<string, string>>): Xattrs {
  return new Map(Object.entries(attributes) as [ByteString, ByteString][]);
}

export function directoryEntry(
  path: string,
  stat: Partial<Stat> = {},
  attributes: Readonly<Record<string, string>> = {},
): LayerEntry {
  const xattrs = xattrsOf(attributes);
  return { kind: "directory", path: bytes(path), stat: { ...plainStat, permissions: 0o755, ...stat }, xattrs };
}

export function fileEntry(
  path: string,
  content: string,
  attributes: Readonly<Record<string, string>> = {},
): LayerEntry {
  const xattrs = xattrsOf(attributes);
  return {
    kind: "regular",
    path: bytes(path),
    stat: plainStat,
    xattrs,
    content: { kind: "inline", bytes: bytes(content) },
  };
}

export function symlinkEntry(path: string, target: string): LayerEntry {
  return { kind: "symlink", path: bytes(path), stat: plainStat, xattrs: noXattrs, target: bytes(target) };
}

export function fifoEntry(path: string): LayerEntry {
  return { kind: "fifo", path: bytes(path), stat: plainStat, xattrs: noXattrs };
}

export function deviceEntry(path: string, rdev: number): LayerEntry {
  return { kind: "character-device", path: bytes(path), stat: plainStat, xattrs: noXattrs, rdev };
}

export function hardLinkEntry(path: string, target: string): LayerEntry {
  return { kind: "hard-link", path: bytes(path), target: bytes(target) };
}
