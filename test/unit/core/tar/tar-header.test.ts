import { expect, test } from "vitest";
import { paddingBytes, readHeader } from "../../../../src/core/tar/tar-header.ts";
import { gnu, header, ustar, v7 } from "../../../builders/tar-blocks.ts";

/** The checksum, as it is to be. */
const sumOf = (block: Uint8Array) => block.reduce((sum, byte, i) => sum + (i >= 148 && i < 156 ? 0x20 : byte), 0);

test("readHeader: decodes the fields of a POSIX header", () => {
  const block = header({
    name: "bin/tool",
    prefix: "usr",
    type: "3",
    mode: "0104755\0",
    uid: "0001750\0",
    gid: "\x80\0\0\0\xff\xff\xff\xff",
    size: 10,
    mtime: "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
    linkName: "target",
    major: "0000010\0",
    minor: "0000003\0",
  });
  expect(readHeader(block)).toEqual({
    format: "ustar",
    type: 0x33,
    name: "usr/bin/tool",
    linkName: "target",
    permissions: 0o4755,
    uid: 1000,
    gid: 0xffff_ffff,
    sizeBytes: 10,
    mtimeSeconds: -2n,
    major: 8,
    minor: 3,
  });
});

test.each([
  ["octal, with the file type bits that some writers add", "0104755\0", 0o4755],
  ["base-256", "\x80\0\0\0\0\0\x09\xed", 0o4755],
  ["base-256 and negative", "\xff\xff\xff\xff\xff\xff\xff\xff", 0o7777],
  ["base-256 and larger than a double holds", "\xbf\xff\xff\xff\xff\xff\xf9\xed", 0o4755],
])("readHeader: permissions are the low twelve bits of a mode that is %s", (_, mode, permissions) => {
  expect(readHeader(header({ mode }))?.permissions).toBe(permissions);
});

test("readHeader: a checksum of bytes that are all high is not too large", () => {
  const name = "\xff".repeat(100);
  expect(readHeader(header({ name, linkName: name, prefix: "\xff".repeat(155) }))?.linkName).toBe(name);
});

test("readHeader: names of full length have no NUL", () => {
  const found = readHeader(header({ name: "n".repeat(100), linkName: "l".repeat(100), prefix: "p".repeat(155) }));
  expect(found?.name).toBe(`${"p".repeat(155)}/${"n".repeat(100)}`);
  expect(found?.linkName).toBe("l".repeat(100));
});

test("readHeader: what stands behind a field without NUL is not part of it", () => {
  const fields = { name: "n", prefix: "p".repeat(155), type: "4", major: "00000007", minor: "00000007" };
  const block = header({ ...fields, checksum: `${(sumOf(header(fields)) + 0x70).toString(8).padStart(6, "0")}\0 ` });
  block[500] = 0x70;
  expect(readHeader(block)).toMatchObject({ name: `${"p".repeat(155)}/n`, major: 7, minor: 7 });
});

test("readHeader: only POSIX headers have a prefix and only headers with a magic have devices", () => {
  const fields = { name: "n", prefix: "7", type: "4", major: "0000001\0", minor: "0000002\0" };
  expect(readHeader(header({ ...fields, magic: gnu }))).toMatchObject({ format: "gnu", name: "n", major: 1, minor: 2 });
  expect(readHeader(header({ ...fields, magic: v7 }))).toMatchObject({ format: "v7", name: "n", major: 0, minor: 0 });
  expect(readHeader(header({ ...fields, magic: ustar }))).toMatchObject({ format: "ustar", name: "7/n" });
});

test.each(["00000000017", "00000000017\0" + "00000000017 ", "        17  " + "\x80\0\0\0\0\0\0\0\0\0\0\x01"])(
  "readHeader: GNU headers keep times where POSIX ones have a prefix: %j",
  (prefix) => {
    expect(readHeader(header({ name: "n", prefix, magic: gnu }))?.name).toBe("n");
  },
);

test.each(["usr/lib", "7/", "12 34", "00000000017\0a"])(
  "readHeader: refuses a GNU header with %j in the place of times",
  (prefix) => {
    expect(() => readHeader(header({ name: "n", prefix, magic: gnu }))).toThrow(
      expect.objectContaining({
        code: "bad-format",
        message: 'Cannot read tar entry "n": its GNU header has a prefix, or bad times',
      }),
    );
  },
);

test("readHeader: refuses a header of star whose prefix is longer than star's", () => {
  const star = (prefix: string) => {
    const fields = { name: "n", prefix: `${prefix.padEnd(163, "\0")}tar\0` };
    return () => readHeader(header(fields))?.name;
  };
  expect(star("p".repeat(131))()).toBe(`${"p".repeat(131)}/n`);
  expect(star("p".repeat(132))).toThrow(
    expect.objectContaining({
      code: "bad-format",
      message: 'Cannot read tar entry "n": its star header has a long prefix',
    }),
  );
  expect(readHeader(header({ name: "n", prefix: "p".repeat(155) }))?.name).toBe(`${"p".repeat(155)}/n`);
});

test("readHeader: a block of zeros is none", () => {
  expect(readHeader(new Uint8Array(512))).toBeUndefined();
});

test("readHeader: refuses a wrong checksum, and a block that lies about being zero", () => {
  expect(() => readHeader(header({ checksum: "000001\0 " }))).toThrow(/its checksum is \d+, not 1/);
  const oneBit = new Uint8Array(512);
  oneBit[511] = 1;
  expect(() => readHeader(oneBit)).toThrow("its checksum is 257, not 0");
});

test("readHeader: takes a checksum of signed bytes, as old writers made it", () => {
  const name = "\xe9cole \x80 caf\xe9";
  const signed = header({ name, checksum: `${(sumOf(header({ name })) - 3 * 256).toString(8).padStart(6, "0")}\0 ` });
  expect(readHeader(signed)?.name).toBe(name);
});

test("readHeader: high bytes in the checksum field itself are not part of the sum", () => {
  expect(() => readHeader(header({ checksum: "\x80\0\0\0\0\0\0\x01" }))).toThrow("not 1");
});

test.each([
  [{ uid: "\xff\xff\xff\xff\xff\xff\xff\xff" }, "its uid -1"],
  [{ gid: "\x80\0\0\x01\0\0\0\0" }, "its gid 4294967296"],
  [{ size: "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" }, "its size -1"],
  [{ type: "3", major: "0010000\0" }, "its device major 4096"],
  [{ type: "3", minor: "4000000\0" }, "its device minor 1048576"],
  [{ mtime: "\x80\0\0\0\x80\0\0\0\0\0\0\0" }, "its mtime 9223372036854775808"],
])("readHeader: refuses %j", (fields, message) => {
  expect(() => readHeader(header(fields))).toThrow(message);
});

test("paddingBytes: fills up to the next block", () => {
  expect([0, 1, 511, 512, 513].map(paddingBytes)).toEqual([0, 511, 1, 0, 511]);
});
