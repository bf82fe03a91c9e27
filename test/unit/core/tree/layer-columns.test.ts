import { expect, test } from "vitest";
import { type ByteString, fromText } from "../../../../src/core/bytes/byte-string.ts";
import type { Stat } from "../../../../src/core/tree/inode.ts";
import type { LayerEntry } from "../../../../src/core/tree/layer.ts";
import { LayerColumnsWriter, readLayerColumns } from "../../../../src/core/tree/layer-columns.ts";
import { ObjectContent } from "../../../../src/core/tree/object-content.ts";

const stat: Stat = { permissions: 0o4755, uid: 0, gid: 5, mtimeSeconds: 1_700_000_000n, mtimeNanoseconds: 999_999_999 };
const odd: Stat = { permissions: 0o7777, uid: 2 ** 40, gid: 2 ** 33, mtimeSeconds: -(2n ** 62n), mtimeNanoseconds: 0 };
const xattrs = new Map([["security.capability" as ByteString, "\x00\xff" as ByteString]]);
const none = new Map();
const bytes = (text: string) => text as ByteString;
const file = (path: string, digest: string, sizeBytes: bigint): LayerEntry => ({
  ...{ kind: "regular", path: bytes(path), stat, xattrs: none },
  content: new ObjectContent(digest, sizeBytes),
});

const entries: readonly LayerEntry[] = [
  { kind: "directory", path: bytes(""), stat, xattrs: none },
  { kind: "directory", path: bytes("usr"), stat: odd, xattrs },
  file("usr/one", "1".repeat(128), 65n),
  { kind: "regular", path: bytes("usr/empty"), stat, xattrs: none, content: { kind: "inline", bytes: bytes("") } },
  { kind: "regular", path: bytes("usr/\xff\xfe"), stat, xattrs, content: { kind: "inline", bytes: bytes("\x00\xe9") } },
  { kind: "symlink", path: bytes("usr/link"), stat, xattrs: none, target: fromText("é") },
  { kind: "hard-link", path: bytes("usr/other"), target: bytes("usr/one") },
  { kind: "character-device", path: bytes("dev/null"), stat, xattrs: none, rdev: 259 },
  { kind: "block-device", path: bytes("dev/sda"), stat, xattrs: none, rdev: 0xffff_ffff },
  { kind: "fifo", path: bytes("run/pipe"), stat, xattrs: none },
  { kind: "regular", path: bytes("usr/.wh.gone"), stat, xattrs: none, content: { kind: "inline", bytes: bytes("") } },
  file("usr/two", "2".repeat(128), 2n ** 40n),
];

function write(limits?: ConstructorParameters<typeof LayerColumnsWriter>[0]): LayerColumnsWriter {
  const columns = new LayerColumnsWriter(limits);
  for (const entry of entries) {
    if (entry.kind !== "regular" || entry.content.kind === "inline") {
      columns.add(entry);
      continue;
    }
    const { digest, sizeBytes } = entry.content;
    if (digest === undefined) throw new Error("objects have digests");
    const content = { kind: "external", sizeBytes: 0n, backingPath: undefined, digest: undefined } as const;
    // One digest is known at once, the other when it is asked for.
    const object = digest.startsWith("1") ? digest : { id: digest };
    columns.add({ ...entry, content }, { object, sizeBytes: Number(sizeBytes) });
  }
  return columns;
}

test("readLayerColumns: what another thread reads is what was added, byte for byte", () => {
  expect(readLayerColumns(structuredClone(write().finish()))).toEqual(entries);
});

test("readLayerColumns: so it is when the columns come in many parts", () => {
  for (const limits of [
    { entries: 1, characters: 1000 },
    { entries: 5, characters: 1000 },
    { entries: 1000, characters: 10 },
  ]) {
    const columns = write(limits).finish();
    expect(columns.parts.length).toBeGreaterThan(1);
    expect(readLayerColumns(structuredClone(columns))).toEqual(entries);
  }
});

test("readLayerColumns: a layer without entries has none", () => {
  expect(readLayerColumns(new LayerColumnsWriter().finish())).toEqual([]);
});

test("readLayerColumns: neighbours with the same metadata share it", () => {
  const read = readLayerColumns(write().finish());
  const [first, second] = read.filter(({ path }) => path.startsWith("dev/"));
  expect(first?.kind !== "hard-link" && second?.kind !== "hard-link" && first?.stat === second?.stat).toBe(true);
});
