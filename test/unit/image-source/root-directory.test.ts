import { execFileSync } from "node:child_process";
import { linkSync, lutimesSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { type ByteString, fromText, toText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import type { Directory, Inode, Leaf } from "../../../src/core/tree/inode.ts";
import { readRootDirectory, type WalkOptions } from "../../../src/image-source/root-directory.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { findTool, isRoot } from "../../tools/find-tool.ts";

const parent = mkdtempSync(join(tmpdir(), "root-"));
const { files } = openLinux();
const [mount, unmount] = [findTool("mount"), findTool("umount")];
let directory = "";
let count = 0;

afterAll(() => rmSync(parent, { recursive: true }));

beforeEach(() => {
  directory = join(parent, String(count++));
  mkdirSync(directory, { mode: 0o755 });
});

const everything: WalkOptions = {
  contentOf: (path) => ({ kind: "inline", bytes: path }),
  ...{ hardLinks: "detect", devices: "keep", xattrs: "all", times: "keep", mounts: "leave-empty", vanished: "refuse" },
};

const read = (options: Partial<WalkOptions> = {}): Directory =>
  readRootDirectory(files, fromText(directory), { ...everything, ...options }).root;

function at(root: Directory, path: string): Inode | undefined {
  let inode: Inode | undefined = root;
  for (const name of path.split("/"))
    inode = inode?.kind === "directory" ? inode.entries.get(fromText(name)) : undefined;
  return inode;
}

const leaf = (root: Directory, path: string) => at(root, path) as Leaf;

describe("readRootDirectory", () => {
  test("reads kinds, permissions, targets and times to the nanosecond", () => {
    mkdirSync(join(directory, "d"), { mode: 0o750 });
    writeFileSync(join(directory, "d/f"), "content", { mode: 0o640 });
    writeFileSync(join(directory, "empty"), "");
    symlinkSync("d/f", join(directory, "l"));
    lutimesSync(join(directory, "l"), 1_000, 1_700_000_000.25);
    files.makeNode(fromText(join(directory, "p")), "fifo", { permissions: 0o600, rdev: 0 });
    const root = read();
    expect([...root.entries.keys()].map(toText)).toEqual(["d", "empty", "l", "p"]);
    expect(at(root, "d")).toMatchObject({ kind: "directory", stat: { permissions: 0o750 } });
    expect(at(root, "d/f")).toMatchObject({
      ...{ kind: "regular", nlink: 1, content: { kind: "inline", bytes: `${directory}/d/f` } },
      stat: { permissions: 0o640, uid: process.getuid?.() },
    });
    expect(at(root, "empty")).toMatchObject({ kind: "regular", content: { kind: "inline", bytes: "" } });
    expect(at(root, "l")).toMatchObject({
      kind: "symlink",
      target: "d/f",
      stat: { mtimeSeconds: 1_700_000_000n, mtimeNanoseconds: 250_000_000 },
    });
    expect(at(root, "p")).toMatchObject({ kind: "fifo", rdev: 0, claimedSizeBytes: 0n });
  });

  test("names are bytes, in byte order", () => {
    const name = Buffer.from([0xff, 0x61]);
    writeFileSync(Buffer.concat([Buffer.from(`${directory}/`), name]), "x");
    writeFileSync(join(directory, "é"), "y");
    writeFileSync(join(directory, "z"), "z");
    expect([...read().entries.keys()]).toEqual(["z", "\u00c3\u00a9", "\u00ffa"]);
  });

  test("hard links share one inode, whose home is the first name in depth-first order", () => {
    mkdirSync(join(directory, "a"));
    mkdirSync(join(directory, "c"));
    writeFileSync(join(directory, "b"), "x");
    for (const name of ["a/one", "a/two", "c/three"]) linkSync(join(directory, "b"), join(directory, name));
    const contents: string[] = [];
    const contentOf = (path: ByteString) => {
      contents.push(toText(path).slice(directory.length));
      return { kind: "inline", bytes: path } as const;
    };
    const root = read({ contentOf });
    expect(contents).toEqual(["/a/one"]);
    expect(leaf(root, "b")).toBe(leaf(root, "a/one"));
    expect(leaf(root, "c/three")).toBe(leaf(root, "a/two"));
    expect(leaf(root, "b").nlink).toBe(4);
    expect([...root.links]).toEqual(["b"]);
    expect([...(at(root, "a") as Directory).links]).toEqual(["two"]);
    expect([...(at(root, "c") as Directory).links]).toEqual(["three"]);
  });

  test("a link from outside does not count", () => {
    writeFileSync(join(parent, `outside-${count}`), "x");
    linkSync(join(parent, `outside-${count}`), join(directory, "b"));
    expect(leaf(read(), "b").nlink).toBe(1);
  });

  test("hard links that are ignored are inodes of their own, as mkcomposefs has it", () => {
    writeFileSync(join(directory, "a"), "x");
    linkSync(join(directory, "a"), join(directory, "b"));
    const root = read({ hardLinks: "ignore" });
    expect(leaf(root, "a")).not.toBe(leaf(root, "b"));
    expect([leaf(root, "a").nlink, leaf(root, "b").nlink, root.links.size]).toEqual([1, 1, 0]);
  });

  test("times: the epoch everywhere, when asked for", () => {
    writeFileSync(join(directory, "a"), "x");
    const root = read({ times: "epoch" });
    for (const inode of [root, leaf(root, "a")])
      expect(inode.stat).toMatchObject({ mtimeSeconds: 0n, mtimeNanoseconds: 0 });
  });

  test("xattrs: all, those of users, or none", () => {
    const path = fromText(join(directory, "a"));
    writeFileSync(join(directory, "a"), "x");
    files.setXattr(path, fromText("user.x"), "\u0000\u00ff" as ByteString);
    const xattrsOf = (xattrs: WalkOptions["xattrs"]) =>
      [...leaf(read({ xattrs }), "a").xattrs].filter(([key]) => /^(user|trusted)/.test(key));
    expect(xattrsOf("all")).toEqual([["user.x", "\u0000\u00ff"]]);
    if (isRoot) files.setXattr(path, fromText("trusted.y"), fromText("z"));
    expect(xattrsOf("user")).toEqual([["user.x", "\u0000\u00ff"]]);
    expect(xattrsOf("none")).toEqual([]);
  });

  test.skipIf(!isRoot)("devices: kept with their numbers, or left out (needs root)", () => {
    files.makeNode(fromText(join(directory, "c")), "character-device", { permissions: 0o600, rdev: 0x103 });
    files.makeNode(fromText(join(directory, "p")), "fifo", { permissions: 0o600, rdev: 0 });
    expect(at(read(), "c")).toMatchObject({ kind: "character-device", rdev: 0x103 });
    expect([...read({ devices: "skip" }).entries.keys()]).toEqual(["p"]);
  });

  test.skipIf(!isRoot || mount === undefined)("mounts: left empty, or entered (needs root and mount)", () => {
    const mountPoint = join(directory, "m");
    mkdirSync(mountPoint);
    execFileSync(String(mount), ["-t", "tmpfs", "-o", "mode=0711", "none", mountPoint]);
    try {
      writeFileSync(join(mountPoint, "f"), "x");
      expect(at(read(), "m")).toMatchObject({ stat: { permissions: 0o711 } });
      expect(at(read(), "m/f")).toBeUndefined();
      expect(at(read({ mounts: "enter" }), "m/f")).toMatchObject({ kind: "regular" });
    } finally {
      execFileSync(String(unmount), [mountPoint]);
    }
  });

  /** The live files, on which something happens once before what is asked for. */
  const meanwhile = (call: "lstat" | "readDirectory" | "readLink" | "xattrs", path: string, happens: () => void) => {
    let isDue = true;
    const hooked = (asked: ByteString): never => {
      if (isDue && asked === fromText(path)) {
        isDue = false;
        happens();
      }
      return files[call](asked) as never;
    };
    return { ...files, [call]: hooked };
  };

  test.each([
    ["a file", "lstat", "a"],
    ["a file", "xattrs", "a"],
    ["a symlink", "readLink", "l"],
    ["a directory", "lstat", "d"],
    ["a directory", "readDirectory", "d"],
    ["a directory", "xattrs", "d"],
    ["what is in a directory", "lstat", "d/f"],
    ["a whole directory when what is in it", "lstat", "d/f", "d"],
  ] as const)("%s that vanishes before %s of %s is left out, or an error", (_, call, path, gone: string = path) => {
    const fill = () => {
      for (const name of ["a", "z"]) writeFileSync(join(directory, name), "x");
      symlinkSync("a", join(directory, "l"));
      mkdirSync(join(directory, "d"));
      writeFileSync(join(directory, "d/f"), "x");
    };
    const readMeanwhile = (vanished: WalkOptions["vanished"]) => {
      const hooked = meanwhile(call, join(directory, path), () => rmSync(join(directory, gone), { recursive: true }));
      return readRootDirectory(hooked, fromText(directory), { ...everything, vanished }).root;
    };
    fill();
    const root = readMeanwhile("leave-out");
    const left = ["a", "d", "l", "z"].filter((name) => name !== gone);
    expect([...root.entries.keys()].map(toText)).toEqual(left);
    if (gone === "d/f") expect((at(root, "d") as Directory).entries.size).toBe(0);
    rmSync(directory, { recursive: true });
    mkdirSync(directory);
    fill();
    expect(() => readMeanwhile("refuse")).toThrow(expect.objectContaining({ code: "not-found" }));
  });

  test("content that vanishes is left out; what is there again is read, and not for ever", () => {
    writeFileSync(join(directory, "a"), "x");
    const vanishing = (times: number, isBack: boolean): WalkOptions["contentOf"] => {
      let count = 0;
      return (path) => {
        if (count++ >= times) return { kind: "inline", bytes: fromText("again") };
        rmSync(path);
        try {
          files.lstat(path);
        } finally {
          if (isBack) writeFileSync(path, "y");
        }
        throw new Error("nothing is there");
      };
    };
    const readWith = (times: number, isBack: boolean) =>
      read({ vanished: "leave-out", contentOf: vanishing(times, isBack) });
    expect(at(readWith(3, true), "a")).toMatchObject({ content: { bytes: "again" } });
    expect(() => readWith(100, true)).toThrow(expect.objectContaining({ code: "not-found" }));
    expect(readWith(1, false).entries.size).toBe(0);
  });

  test("other failures than that something is gone are errors", () => {
    writeFileSync(join(directory, "a"), "x");
    const contentOf = () => {
      throw new OsdeployError("permission-denied", "Cannot read it");
    };
    expect(() => read({ vanished: "leave-out", contentOf })).toThrow("Cannot read it");
  });

  test("what is no directory is refused", () => {
    writeFileSync(join(directory, "a"), "x");
    expect(() => readRootDirectory(files, fromText(join(directory, "a")), everything)).toThrow("it is not a directory");
    expect(() => readRootDirectory(files, fromText(join(directory, "gone")), everything)).toThrow(
      expect.objectContaining({ code: "not-found" }),
    );
  });
});
