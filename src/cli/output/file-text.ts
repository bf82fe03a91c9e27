import { formatBytes } from "../../core/bytes/byte-count.ts";
import { type ByteString, fromText } from "../../core/bytes/byte-string.ts";
import type { Inode } from "../../core/tree/inode.ts";
import type { DiffImagesResult, ObjectTotals } from "../../operations/diff-images.ts";
import type { ImageFile } from "../../operations/list-image-files.ts";
import { linePieces } from "./line-pieces.ts";
import { printableBytes } from "./plain-text.ts";
import { formatTable } from "./table.ts";
import { formatCount, formatTime } from "./units.ts";

/** Names of files, one a line; with `long` as a table with their metadata. */
export function fileList(
  files: readonly ImageFile[],
  options: { readonly long: boolean },
): string | Iterable<Uint8Array> {
  if (options.long) return longList(files);
  return linePieces(names(files));
}

function* names(files: readonly ImageFile[]): Generator<ByteString> {
  for (const { path, inode } of files)
    yield fromText(`${printableBytes(path)}${inode.kind === "directory" ? "/" : ""}\n`);
}

function longList(files: readonly ImageFile[]): string {
  const columns = [
    { title: "MODE" },
    { title: "LINKS", align: "right" },
    { title: "UID", align: "right" },
    { title: "GID", align: "right" },
    { title: "SIZE", align: "right" },
    { title: "TIME" },
    { title: "PATH" },
  ] as const;
  return formatTable(
    columns,
    files.map(({ path, inode }) => longRow(path, inode)),
  );
}

function longRow(path: ByteString, inode: Inode): readonly string[] {
  const { permissions, uid, gid, mtimeSeconds } = inode.stat;
  const target = inode.kind === "symlink" ? ` -> ${printableBytes(inode.target)}` : "";
  return [
    `${kindLetters[inode.kind]}${octal(permissions)}`,
    inode.kind === "directory" ? "-" : String(inode.nlink),
    String(uid),
    String(gid),
    sizeOf(inode) === undefined ? "-" : String(sizeOf(inode)),
    timeText(mtimeSeconds),
    `${printableBytes(path)}${target}`,
  ];
}

const kindLetters: Readonly<Record<Inode["kind"], string>> = {
  regular: "-",
  directory: "d",
  symlink: "l",
  "character-device": "c",
  "block-device": "b",
  fifo: "p",
  socket: "s",
};

function octal(permissions: number): string {
  return permissions.toString(8).padStart(4, "0");
}

/** Seconds that no calendar reaches are shown as a number. */
function timeText(seconds: bigint): string {
  const limit = 8_640_000_000_000n;
  return seconds > limit || seconds < -limit ? String(seconds) : formatTime(Number(seconds) * 1000);
}

function sizeOf(inode: Inode): bigint | undefined {
  if (inode.kind === "symlink") return BigInt(inode.target.length);
  if (inode.kind !== "regular") return undefined;
  return inode.content.kind === "inline" ? BigInt(inode.content.bytes.length) : inode.content.sizeBytes;
}

/** The same for `--json`. */
export function fileListValue(files: readonly ImageFile[]): unknown {
  return files.map(({ path, inode }) => ({ path: printableBytes(path), ...inodeValue(inode) }));
}

function inodeValue(inode: Inode): Readonly<Record<string, unknown>> {
  const { permissions, uid, gid, mtimeSeconds, mtimeNanoseconds } = inode.stat;
  const xattrs = [...inode.xattrs].map(([key, value]) => [printableBytes(key), printableBytes(value)]);
  const digest = inode.kind === "regular" && inode.content.kind === "external" ? inode.content.digest : undefined;
  const isDevice = inode.kind === "character-device" || inode.kind === "block-device";
  return {
    ...{ kind: inode.kind, permissions: octal(permissions), uid, gid, mtimeSeconds, mtimeNanoseconds },
    links: inode.kind === "directory" ? undefined : inode.nlink,
    sizeBytes: sizeOf(inode),
    object: digest,
    target: inode.kind === "symlink" ? printableBytes(inode.target) : undefined,
    rdev: isDevice ? inode.rdev : undefined,
    xattrs: Object.fromEntries(xattrs),
  };
}

/** What differs between two images, a line for each path, and what they share. */
export function diffText(result: DiffImagesResult): string {
  const lines = result.differences.map(({ path, before, after, changes }) => {
    const letter = before === undefined ? "A" : after === undefined ? "D" : "M";
    const what = letter === "M" ? ` (${changes.join(", ")})` : "";
    return `${letter} ${printableBytes(path)}${what}\n`;
  });
  const totals = [
    `${formatCount(lines.length, "path")} differ`,
    `shared ${totalsText(result.shared)}`,
    `only before ${totalsText(result.onlyBefore)}`,
    `only after ${totalsText(result.onlyAfter)}`,
  ];
  return `${lines.join("")}${totals.join("; ")}\n`;
}

function totalsText({ objects, bytes }: ObjectTotals): string {
  return `${formatCount(objects, "object")} (${formatBytes(bytes)})`;
}

/** The same for `--json`. */
export function diffValue(result: DiffImagesResult): unknown {
  return {
    ...result,
    differences: result.differences.map(({ path, before, after, changes }) => ({
      path: printableBytes(path),
      kind: before === undefined ? "added" : after === undefined ? "removed" : "changed",
      changes,
      before: before === undefined ? null : inodeValue(before),
      after: after === undefined ? null : inodeValue(after),
    })),
  };
}
