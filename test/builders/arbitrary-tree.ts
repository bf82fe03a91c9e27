import fc from "fast-check";
import type { ByteString } from "../../src/core/bytes/byte-string.ts";
import type { Directory, FileTree, Inode, Leaf, Stat, Xattrs } from "../../src/core/tree/inode.ts";

/** Bytes, odd ones more often than chance has them. */
function bytes(minLength: number, maxLength: number, exclude = /^$/): fc.Arbitrary<ByteString> {
  const byte = fc.oneof(
    fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
    fc.constantFrom(..."abc0.-=\\ \n\t@/\xff\x80\x7f"),
  );
  const usual = byte.filter((char) => !exclude.test(char));
  return fc.array(usual, { minLength, maxLength }).map((chars) => chars.join("") as ByteString);
}

/** Many bytes, of which only the number matters. */
function long(minLength: number, maxLength: number): fc.Arbitrary<ByteString> {
  return fc.integer({ min: minLength, max: maxLength }).map((length) => "x".repeat(length) as ByteString);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: what cannot be in a name
const name = bytes(1, 12, /[\x00/]/).filter((it) => it !== "." && it !== "..");
const key = fc
  .tuple(
    fc.constantFrom("user.", "security.", "trusted.", "lustre.", "trusted.overlay.", "system.posix_acl_access"),
    name,
  )
  .map(([prefix, rest]) => `${prefix}${rest}` as ByteString);

const xattrs: fc.Arbitrary<Xattrs> = fc
  .array(fc.tuple(key, bytes(0, 8)), { maxLength: 3 })
  .map((entries) => new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1))));

const u32 = fc.oneof(fc.constantFrom(0, 1, 1000, 65535, 65536, 0xffffffff), fc.integer({ min: 0, max: 0xffffffff }));

const stat: fc.Arbitrary<Stat> = fc.record({
  permissions: fc.integer({ min: 0, max: 0o7777 }),
  uid: u32,
  gid: u32,
  mtimeSeconds: fc.oneof(fc.constant(1_700_000_000n), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
  mtimeNanoseconds: fc.oneof(fc.constant(0), u32),
});

function hex(digits: number): fc.Arbitrary<string> {
  return fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: digits, maxLength: digits });
}

function leaf(digits: 64 | 128): fc.Arbitrary<Leaf> {
  const common = { stat, xattrs, nlink: u32 };
  const special = { ...common, claimedSizeBytes: fc.constant(0n) };
  const content = fc.oneof(
    fc.record({ kind: fc.constant("inline" as const), bytes: bytes(0, 70) }),
    fc.record({ kind: fc.constant("inline" as const), bytes: long(2040, 4200) }),
    fc.record({
      kind: fc.constant("external" as const),
      sizeBytes: fc.oneof(fc.bigInt({ min: 1n, max: 2n ** 20n }), fc.bigInt({ min: 1n, max: 2n ** 53n })),
      backingPath: fc.option(bytes(1, 70, /\0|\//), { nil: undefined }),
      digest: fc.option(hex(digits), { nil: undefined }),
    }),
  );
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what cannot be in a target
  const target = fc.oneof(bytes(1, 60, /\x00/), long(4000, 4095));
  return fc.oneof(
    { weight: 4, arbitrary: fc.record({ ...common, kind: fc.constant("regular" as const), content }) },
    { weight: 2, arbitrary: fc.record({ ...common, kind: fc.constant("symlink" as const), target }) },
    fc.record({ ...special, kind: fc.constantFrom("character-device" as const, "block-device" as const), rdev: u32 }),
    fc.record({ ...special, kind: fc.constantFrom("fifo" as const, "socket" as const), rdev: fc.constant(0) }),
  );
}

/** A directory before hard links are put in: names with what they lead to. */
interface Sketch {
  readonly stat: Stat;
  readonly xattrs: Xattrs;
  readonly entries: readonly (readonly [ByteString, Leaf | Sketch | number])[];
}

function sketch(digits: 64 | 128, depth: number): fc.Arbitrary<Sketch> {
  const child = depth === 0 ? leaf(digits) : fc.oneof(leaf(digits), sketch(digits, depth - 1), fc.nat(100));
  return fc.record({ stat, xattrs, entries: fc.array(fc.tuple(name, child), { maxLength: 6 }) });
}

function isLeaf(value: Leaf | Sketch): value is Leaf {
  return "kind" in value;
}

function build(from: Sketch, leaves: Leaf[]): Directory {
  const entries = new Map<ByteString, Inode>();
  const links = new Set<ByteString>();
  for (const [entry, value] of from.entries) {
    if (entries.has(entry)) continue;
    if (typeof value === "number") {
      // A further name for some leaf before it.
      const known = leaves[value % Math.max(1, leaves.length)];
      if (known === undefined) continue;
      entries.set(entry, known);
      links.add(entry);
    } else if (isLeaf(value)) {
      entries.set(entry, value);
      leaves.push(value);
    } else entries.set(entry, build(value, leaves));
  }
  return { kind: "directory", stat: from.stat, xattrs: from.xattrs, entries, links };
}

/** Trees with odd names, hard links, whiteouts, xattrs and digests of `digits` digits. */
export function arbitraryTree(digits: 64 | 128): fc.Arbitrary<FileTree> {
  return sketch(digits, 2).map((from) => ({ root: build(from, []) }));
}
