import { expect, test } from "vitest";
import { diffText, fileList, fileListValue } from "../../../../src/cli/output/file-text.ts";
import { fromBytes, fromText } from "../../../../src/core/bytes/byte-string.ts";
import type { Inode, Stat } from "../../../../src/core/tree/inode.ts";

const stat: Stat = { permissions: 0o4755, uid: 0, gid: 5, mtimeSeconds: 1_700_000_000n, mtimeNanoseconds: 7 };
const device: Inode = {
  ...{ kind: "block-device", rdev: 0x801, claimedSizeBytes: 0n, nlink: 1 },
  ...{
    stat: { ...stat, mtimeSeconds: 9_000_000_000_000n },
    xattrs: new Map([[fromText("user.a"), fromBytes(Uint8Array.of(1))]]),
  },
};
const file: Inode = {
  ...{ kind: "regular", nlink: 2, stat, xattrs: new Map() },
  content: { kind: "external", sizeBytes: 1n << 40n, backingPath: undefined, digest: "ab".repeat(32) },
};
const files = [
  { path: fromBytes(Uint8Array.of(0x2f, 0xff)), inode: device },
  { path: fromText("/é"), inode: file },
];

test("fileList: with metadata; a time that no calendar reaches is a number", () => {
  expect(fileList(files, { long: true })).toBe(
    "MODE   LINKS  UID  GID           SIZE  TIME                  PATH\n" +
      "b4755      1    0    5              -  9000000000000         /\\xff\n" +
      "-4755      2    0    5  1099511627776  2023-11-14T22:13:20Z  /é\n",
  );
});

test("fileListValue: devices have a number, files an object, and names that are not UTF-8 are escaped", () => {
  expect(fileListValue(files)).toMatchObject([
    { path: "/\\xff", kind: "block-device", rdev: 0x801, sizeBytes: undefined, xattrs: { "user.a": "\\x01" } },
    {
      path: "/é",
      kind: "regular",
      permissions: "4755",
      sizeBytes: 1n << 40n,
      object: "ab".repeat(32),
      rdev: undefined,
    },
  ]);
});

test("diffText: equal images differ in no path", () => {
  const none = { objects: 0, bytes: 0 };
  expect(diffText({ differences: [], shared: { objects: 1, bytes: 10 }, onlyBefore: none, onlyAfter: none })).toBe(
    "0 paths differ; shared 1 object (10 B); only before 0 objects (0 B); only after 0 objects (0 B)\n",
  );
});
