import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import type { EtcStep } from "../../../src/core/tree/merge-etc.ts";
import { type StateAddition, stepsOfAdditions, withAdditions } from "../../../src/operations/state-additions.ts";
import { directory, file, symlink } from "../../builders/file-trees.ts";

const image: readonly EtcStep[] = [
  { path: fromText(""), from: "image", inode: directory({}) },
  { path: fromText("ssh"), from: "image", inode: directory({}) },
  { path: fromText("ssh/theirs"), from: "image", inode: file("theirs") },
  { path: fromText("link"), from: "image", inode: symlink("/elsewhere") },
];
const place = { below: "etc", time: 5 } as const;
const mine = (path: string, bytes: StateAddition["bytes"] = Uint8Array.of(65)): StateAddition => ({
  below: "etc",
  path,
  permissions: 0o600,
  bytes,
});

describe("additions to a state directory", () => {
  test("come after what the image has, which stays", () => {
    const xattrs = new Map([[fromText("user.a"), fromText("b")]]);
    const additions: readonly StateAddition[] = [
      mine("ssh", "directory"),
      { ...mine("ssh/new.d", "directory"), xattrs },
      mine("ssh/new.d/file"),
      mine("ssh/theirs"),
      { ...mine("home"), below: "var" },
    ];
    const steps = withAdditions(image, additions, place);
    expect(steps.slice(0, image.length)).toEqual(image);
    const stat = { permissions: 0o600, uid: 0, gid: 0, mtimeSeconds: 5n, mtimeNanoseconds: 0 };
    expect(steps.slice(image.length)).toEqual([
      { path: "ssh/new.d", from: "image", inode: { ...directory({}), stat, xattrs } },
      { path: "ssh/new.d/file", from: "image", inode: { ...file("A"), stat, xattrs: new Map() } },
    ]);
    expect(stepsOfAdditions(image, additions, { below: "var", time: 5 }).map(({ path }) => path)).toEqual(["home"]);
  });

  test.each([
    ["link/below", Uint8Array.of(), "link is a symlink"],
    ["link", "directory", "link is a symlink"],
    ["ssh/theirs/below", Uint8Array.of(), "ssh/theirs is a regular"],
  ] as const)("are refused where %s would lead to another place", (path, bytes, state) => {
    expect(() => withAdditions(image, [mine(path, bytes)], place)).toThrow(
      `Cannot install keys for root: /etc/${state} in the image`,
    );
  });
});
