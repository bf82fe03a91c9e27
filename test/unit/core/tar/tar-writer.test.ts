import { expect, test } from "vitest";
import { type ByteString, fromText, toBytes } from "../../../../src/core/bytes/byte-string.ts";
import type { OsdeployError } from "../../../../src/core/errors.ts";
import { paddingBytes } from "../../../../src/core/tar/tar-header.ts";
import { tarEndBytes, writeEntryHeader } from "../../../../src/core/tar/tar-writer.ts";
import type { Stat, Xattrs } from "../../../../src/core/tree/inode.ts";
import type { LayerEntry } from "../../../../src/core/tree/layer.ts";
import { plainStat as stat } from "../../../builders/file-trees.ts";
import { b, concat, scanLayer } from "../../../builders/layers.ts";
import { entry as handMade } from "../../../builders/tar-blocks.ts";

const noXattrs: Xattrs = new Map();

function regular(path: string, changes: Partial<Stat> = {}, xattrs = noXattrs, bytes = ""): LayerEntry {
  const content = { kind: "inline", bytes: b(bytes) } as const;
  return { kind: "regular", path: path as ByteString, stat: { ...stat, ...changes }, xattrs, content };
}

/** The tar of these entries, whose contents are inline. */
function tarOfEntries(entries: readonly LayerEntry[]): Uint8Array {
  const blocks = entries.flatMap((entry) => {
    const content = entry.kind === "regular" && entry.content.kind === "inline" ? entry.content.bytes : fromText("");
    return [writeEntryHeader(entry), toBytes(content), new Uint8Array(paddingBytes(content.length))];
  });
  return concat([...blocks, new Uint8Array(tarEndBytes)]);
}

const readBack = (entries: readonly LayerEntry[]) => scanLayer(tarOfEntries(entries)).entries;

test("writeEntryHeader: what ustar holds is a plain ustar header", () => {
  expect(writeEntryHeader(regular("usr/bin/sh", { uid: 7, gid: 8, mtimeSeconds: 1234n, permissions: 0o4755 }))).toEqual(
    handMade({
      name: "usr/bin/sh",
      ...{ mode: "0004755\0", uid: "0000007\0", gid: "0000010\0", mtime: "00000002322\0" },
      ...{ major: "0000000\0", minor: "0000000\0" },
    }),
  );
});

test("writeEntryHeader: what just fits into a field needs no PAX header", () => {
  const owned = { uid: 0o7777777, gid: 0o7777777, mtimeSeconds: 0o77777777777n };
  const target = b("t".repeat(100));
  expect(writeEntryHeader(regular("a", owned))).toHaveLength(512);
  const link: LayerEntry = { kind: "symlink", path: b("a"), stat, xattrs: noXattrs, target };
  expect(writeEntryHeader(link)).toHaveLength(512);
  expect(writeEntryHeader(regular(`p/${"n".repeat(100)}`))).toHaveLength(512);
});

test("writeEntryHeader: the root is written as ./, a directory with a slash at its end", () => {
  const header = (path: string) =>
    Buffer.from(writeEntryHeader({ kind: "directory", path: b(path), stat, xattrs: noXattrs })).toString("latin1");
  expect(header("").slice(0, 4)).toBe("./\0\0");
  expect(header("usr").slice(0, 6)).toBe("usr/\0\0");
});

const values: readonly LayerEntry[] = [
  { kind: "directory", path: b(""), stat: { ...stat, permissions: 0o755 }, xattrs: noXattrs },
  {
    kind: "directory",
    path: b("usr"),
    stat: { ...stat, permissions: 0o1777 },
    xattrs: new Map([[b("user.d"), b("")]]),
  },
  regular("usr/empty"),
  regular("usr/small", {}, noXattrs, "x".repeat(64)),
  regular("usr/\xff\xfe not utf-8\n"),
  regular("usr/owner", { uid: 0o7777777, gid: 0o7777777 }),
  regular("usr/large-owner", { uid: 0o7777777 + 1, gid: 0xffff_ffff }),
  regular("usr/time", { mtimeSeconds: 0o77777777777n, mtimeNanoseconds: 1 }),
  regular("usr/late", { mtimeSeconds: 0o77777777777n + 1n }),
  regular("usr/begin", { mtimeSeconds: 0n, mtimeNanoseconds: 250_000_000 }),
  regular("usr/before", { mtimeSeconds: -1n, mtimeNanoseconds: 250_000_000 }),
  regular("usr/long-before", { mtimeSeconds: -5_000_000_000n }),
  regular("usr/first", { mtimeSeconds: -(2n ** 63n) }),
  regular(
    "usr/xattrs",
    {},
    new Map([
      [b("security.capability"), "\x01\0\n=\xff" as ByteString],
      [b("user.a"), b("")],
    ]),
  ),
  { kind: "symlink", path: b("lib"), stat: { ...stat, permissions: 0o777 }, xattrs: noXattrs, target: b("usr/lib") },
  { kind: "symlink", path: b("long"), stat, xattrs: noXattrs, target: b("t".repeat(4095)) },
  { kind: "symlink", path: b("fits"), stat, xattrs: noXattrs, target: b("t".repeat(100)) },
  { kind: "hard-link", path: b("usr/link"), target: b("usr/small") },
  { kind: "hard-link", path: b("usr/far"), target: b(`usr/${"l".repeat(200)}`) },
  { kind: "character-device", path: b("null"), stat, xattrs: noXattrs, rdev: 0x103 },
  { kind: "block-device", path: b("disk"), stat, xattrs: noXattrs, rdev: 0xffff_ffff },
  { kind: "fifo", path: b("pipe"), stat, xattrs: noXattrs },
];

test.each(values.map((value) => [`${value.kind} ${value.path.slice(0, 30)}`, value] as const))(
  "writeEntryHeader: %s is read back as it was",
  (_name, value) => {
    expect(readBack([value])).toEqual([value]);
  },
);

test.each([
  ["of 100 bytes", "n".repeat(100), 1],
  ["that fits with its prefix", `${"p".repeat(155)}/${"n".repeat(100)}`, 1],
  ["cut at the first slash that does", `${"p".repeat(60)}/${"q".repeat(60)}/${"n".repeat(39)}`, 1],
  ["whose name is too long", "n".repeat(101), 3],
  ["whose prefix is too long", `${"p".repeat(156)}/${"n".repeat(100)}`, 3],
  ["whose only slash comes too early", `p/${"n".repeat(101)}`, 3],
])("writeEntryHeader: a path %s is kept whole", (_name, path, blocks) => {
  expect(writeEntryHeader(regular(path)).length).toBe(512 * blocks);
  expect(readBack([regular(path)])).toEqual([regular(path)]);
});

test("writeEntryHeader: a directory whose slash at the end is the only one in reach gets a PAX path", () => {
  const directory: LayerEntry = { kind: "directory", path: b("d".repeat(100)), stat, xattrs: noXattrs };
  expect(writeEntryHeader(directory).length).toBe(3 * 512);
  expect(readBack([directory])).toEqual([directory]);
});

test.each([1, 75, 76, 77, 78, 973, 974, 975, 976, 977, 978, 9971, 9972, 9973, 9974])(
  "writeEntryHeader: a record's length counts its own digits (value of %d bytes)",
  (length) => {
    const entry = regular("f", {}, new Map([[b("user.x"), b("v".repeat(length))]]));
    expect(readBack([entry, regular("g")])).toEqual([entry, regular("g")]);
  },
);

test("writeEntryHeader: a file of 8 GiB and more has its size in a PAX record", () => {
  const sized = (sizeBytes: bigint): LayerEntry => ({
    ...{ kind: "regular", path: b("f"), stat, xattrs: noXattrs },
    content: { kind: "external", sizeBytes, backingPath: undefined, digest: undefined },
  });
  expect(writeEntryHeader(sized(2n ** 33n - 1n)).length).toBe(512);
  const text = Buffer.from(writeEntryHeader(sized(2n ** 33n))).toString("latin1");
  expect(text).toContain("19 size=8589934592\n");
});

test("writeEntryHeader: attributes come in byte order, whatever order they were read in", () => {
  const xattrs = (keys: readonly string[]): Xattrs => new Map(keys.map((key) => [b(key), b(key)]));
  const header = writeEntryHeader(regular("f", {}, xattrs(["user.b", "user.a"])));
  expect(header).toEqual(writeEntryHeader(regular("f", {}, xattrs(["user.a", "user.b"]))));
  expect(Buffer.from(header).toString("latin1")).toMatch(/SCHILY\.xattr\.user\.a=user\.a\n\d+ SCHILY\.xattr\.user\.b/);
});

test("writeEntryHeader: refuses an attribute whose name no record can say", () => {
  const write = () => writeEntryHeader(regular("usr/f", {}, new Map([[b("user.a=b"), b("1")]])));
  expect(write).toThrow('Cannot write tar entry "usr/f": the name of its attribute "user.a=b" holds "="');
  expect(write).toThrow(expect.objectContaining({ code: "unsupported" } satisfies Partial<OsdeployError>));
});
