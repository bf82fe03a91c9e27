import { describe, expect, test } from "vitest";
import { type ByteString, fromText } from "../../src/core/bytes/byte-string.ts";
import { failure, implementations, MachineOfTest, oddName } from "../builders/linux-machines.ts";

describe.each(implementations)("$name Linux", ({ start }) => {
  const here = new MachineOfTest(start);
  const { at, text, write } = here;

  test("readDirectory: gives all names in byte order, without . and .., bytes untouched", () => {
    here.files.makeDirectory(at("d"), 0o755);
    for (const name of ["b", "a", "B", ".hidden", oddName]) {
      here.files.writeNewFile(`${at("d")}/${name}` as ByteString, new Uint8Array(), 0o600);
    }
    expect(here.files.readDirectory(at("d"))).toEqual([".hidden", "B", "a", oddName, "b"]);
    expect(failure(() => here.files.readDirectory(at("d/a")))).toMatchObject({ code: "not-found", errno: "ENOTDIR" });
    expect(failure(() => here.files.readDirectory(at("none"))).message).toBe(
      `Cannot read the directory "${here.machine.root}/none": it does not exist (ENOENT)`,
    );
  });

  test("symlink: keeps its target's bytes, exists or not", () => {
    here.files.symlink(oddName, at("link"));
    expect(here.files.readLink(at("link"))).toBe(oddName);
    expect(here.files.lstat(at("link"))).toMatchObject({ kind: "symlink", sizeBytes: 4, nlink: 1 });
    expect(failure(() => here.files.symlink(oddName, at("link"))).errno).toBe("EEXIST");
    expect(failure(() => here.files.symlink(fromText(""), at("empty"))).errno).toBe("ENOENT");
    write("file", "");
    expect(failure(() => here.files.readLink(at("file"))).errno).toBe("EINVAL");
    expect(failure(() => here.files.readLink(at("none"))).errno).toBe("ENOENT");
  });

  test("realPath: leads through symlinks and dots to what is there", () => {
    here.files.makeDirectory(at("real"), 0o755);
    here.files.symlink(fromText("real"), at("relative"));
    here.files.symlink(at("relative"), at("absolute"));
    write("real/file", "");
    expect(here.files.realPath(at("absolute/../relative/./file"))).toBe(at("real/file"));
    expect(here.files.realPath(at("absolute"))).toBe(at("real"));
    expect(failure(() => here.files.realPath(at("absolute/none"))).errno).toBe("ENOENT");
    expect(failure(() => here.files.realPath(at("real/file/more"))).errno).toBe("ENOTDIR");
  });

  test("symlink: is followed on the way, not at the end, and not in circles", () => {
    here.files.makeDirectory(at("d"), 0o755);
    write("d/file", "there");
    here.files.symlink(fromText("d"), at("link"));
    here.files.symlink(fromText(`${here.machine.root}/link/./../d`), at("absolute"));
    here.files.symlink(fromText("circle"), at("circle"));
    expect(text("link/file")).toBe("there");
    expect(text("absolute/file")).toBe("there");
    expect(here.files.readDirectory(at("link"))).toEqual(["file"]);
    expect(here.files.lstat(at("link/")).kind).toBe("directory");
    expect(failure(() => here.files.lstat(at("circle/x"))).errno).toBe("ELOOP");
    expect(here.files.lstat(at("circle")).kind).toBe("symlink");
    here.files.close(here.files.open(at("link"), "directory"));
  });

  test("makeDirectory: gives exactly these permissions, whatever the umask", () => {
    here.files.makeDirectory(at("open"), 0o1777);
    expect(here.files.lstat(at("open"))).toMatchObject({ kind: "directory", permissions: 0o1777 });
    here.files.makeDirectory(at("group"), 0o2750);
    expect(here.files.lstat(at("group")).permissions).toBe(0o2750);
    expect(failure(() => here.files.makeDirectory(at("open"), 0o755))).toMatchObject({ code: "already-exists" });
    expect(failure(() => here.files.makeDirectory(at("none/x"), 0o755))).toMatchObject({ code: "not-found" });
  });

  test("removeDirectory: removes empty directories only", () => {
    here.files.makeDirectory(at("d"), 0o755);
    write("d/file", "");
    expect(failure(() => here.files.removeDirectory(at("d")))).toMatchObject({
      code: "already-exists",
      errno: "ENOTEMPTY",
    });
    expect(failure(() => here.files.removeDirectory(at("d/file"))).errno).toBe("ENOTDIR");
    here.files.unlink(at("d/file"));
    here.files.removeDirectory(at("d"));
    expect(here.files.lstatIfExists(at("d"))).toBeUndefined();
    expect(failure(() => here.files.removeDirectory(at("d"))).errno).toBe("ENOENT");
  });

  test("unlink: takes one name; the bytes live on under others and in open handles", () => {
    write("one", "bytes");
    here.files.link(at("one"), at("two"));
    expect(here.files.lstat(at("two")).nlink).toBe(2);
    expect(here.files.lstat(at("two")).identity).toBe(here.files.lstat(at("one")).identity);
    here.files.unlink(at("one"));
    expect(text("two")).toBe("bytes");
    const fd = here.files.open(at("two"), "read");
    here.files.unlink(at("two"));
    expect(here.files.fstat(fd)).toMatchObject({ nlink: 0, sizeBytes: 5 });
    here.files.close(fd);
    expect(failure(() => here.files.unlink(at("two"))).errno).toBe("ENOENT");
    here.files.makeDirectory(at("d"), 0o755);
    expect(failure(() => here.files.unlink(at("d"))).errno).toBe("EISDIR");
  });

  test("link: refuses taken names and directories, and links a symlink itself", () => {
    write("one", "");
    here.files.symlink(fromText("nowhere"), at("link"));
    here.files.link(at("link"), at("same"));
    expect(here.files.readLink(at("same"))).toBe("nowhere");
    expect(failure(() => here.files.link(at("one"), at("link"))).message).toBe(
      `Cannot link "${here.machine.root}/one" to "${here.machine.root}/link": it already exists (EEXIST)`,
    );
    expect(failure(() => here.files.link(fromText(here.machine.root), at("root"))).errno).toBe("EPERM");
    expect(failure(() => here.files.link(at("none"), at("x"))).errno).toBe("ENOENT");
  });

  test("rename: moves, and replaces a file that has the name", () => {
    write("a", "new");
    write("b", "old");
    here.files.makeDirectory(at("d"), 0o755);
    here.files.rename(at("a"), at("b"));
    expect(text("b")).toBe("new");
    here.files.rename(at("b"), at("d/c"));
    expect(text("d/c")).toBe("new");
    expect(here.files.readDirectory(fromText(here.machine.root))).toEqual(["d"]);
  });

  test("rename: with replace false leaves what has the name", () => {
    write("a", "new");
    write("b", "old");
    const taken = failure(() => here.files.rename(at("a"), at("b"), { replace: false }));
    expect(taken).toEqual({
      code: "already-exists",
      errno: "EEXIST",
      message: `Cannot rename "${here.machine.root}/a" to "${here.machine.root}/b": it already exists (EEXIST)`,
    });
    expect([text("a"), text("b")]).toEqual(["new", "old"]);
    here.files.rename(at("a"), at("c"), { replace: false });
    expect(text("c")).toBe("new");
    expect(failure(() => here.files.rename(at("a"), at("x"), { replace: false })).errno).toBe("ENOENT");
  });

  test("exchange: lets two names change places, also in two directories", () => {
    here.files.makeDirectory(at("d"), 0o755);
    write("a", "one");
    write("d/b", "other");
    expect(here.files.exchange(at("a"), at("d/b"))).toBe(true);
    expect([text("a"), text("d/b")]).toEqual(["other", "one"]);
    expect(here.files.exchange(at("a"), at("a"))).toBe(true);
    expect(text("a")).toBe("other");
    expect(failure(() => here.files.exchange(at("a"), at("none")))).toEqual({
      code: "not-found",
      errno: "ENOENT",
      message: `Cannot exchange "${here.machine.root}/a" to "${here.machine.root}/none": it does not exist (ENOENT)`,
    });
    expect(failure(() => here.files.exchange(at("none"), at("a"))).errno).toBe("ENOENT");
  });

  test("rename: keeps to the rules for directories", () => {
    write("file", "");
    for (const name of ["empty", "full", "full/inner"]) here.files.makeDirectory(at(name), 0o755);
    expect(failure(() => here.files.rename(at("file"), at("full"))).errno).toBe("EISDIR");
    expect(failure(() => here.files.rename(at("full"), at("file"))).errno).toBe("ENOTDIR");
    expect(failure(() => here.files.rename(at("empty"), at("full")))).toMatchObject({ errno: "ENOTEMPTY" });
    expect(failure(() => here.files.rename(at("full"), at("full/inner/x"))).errno).toBe("EINVAL");
    here.files.rename(at("full"), at("empty"));
    expect(here.files.readDirectory(at("empty"))).toEqual(["inner"]);
    expect(failure(() => here.files.rename(at("none"), at("x"))).errno).toBe("ENOENT");
  });

  test("rename: of one name of a file over another name of it changes nothing", () => {
    write("a", "x");
    here.files.link(at("a"), at("b"));
    here.files.rename(at("a"), at("b"));
    expect(here.files.readDirectory(fromText(here.machine.root))).toEqual(["a", "b"]);
  });

  test("paths: are taken up to 4095 bytes, whatever was named before", () => {
    const padded = (name: string, length: number) =>
      fromText(`${here.machine.root}${"/".repeat(length - here.machine.root.length - name.length)}${name}`);
    const [longest, short] = [padded("a", 4095), at("b")];
    here.files.writeNewFile(longest, new Uint8Array(3), 0o600);
    here.files.rename(longest, short, { replace: false });
    here.files.rename(short, padded("c", 4095), { replace: false });
    expect(here.files.readStart(at("c"), new Uint8Array(9), 9)).toBe(3);
    expect(here.files.readStart(padded("c", 4095), new Uint8Array(9), 9)).toBe(3);
    expect(here.files.readDirectory(fromText(here.machine.root))).toEqual(["c"]);
    for (const action of [
      () => here.files.writeNewFile(padded("d", 4096), new Uint8Array(), 0o600),
      () => here.files.readStart(padded("c", 4096), new Uint8Array(9), 9),
      () => here.files.rename(padded("c", 4096), at("d"), { replace: false }),
      () => here.files.rename(at("c"), padded("d", 4096), { replace: false }),
    ]) {
      expect(failure(action).errno).toBe("ENAMETOOLONG");
    }
  });

  test("paths: refuse NUL, overlong names and nothing at all", () => {
    const nul = fromText(`${here.machine.root}/a\0b`);
    for (const action of [
      () => here.files.lstat(nul),
      () => here.files.writeNewFile(nul, new Uint8Array(), 0o600),
      () => here.files.symlink(nul, at("x")),
      () => here.files.rename(at("x"), nul, { replace: false }),
      () => here.files.exchange(at("x"), nul),
      () => here.files.xattrs(nul),
    ]) {
      expect(failure(action)).toMatchObject({ code: "bad-format", message: expect.stringContaining("NUL byte") });
    }
    expect(failure(() => here.files.lstat(at("n".repeat(256)))).errno).toBe("ENAMETOOLONG");
    expect(failure(() => here.files.open(fromText(`/${"n/".repeat(2100)}`), "read")).errno).toBe("ENAMETOOLONG");
    expect(failure(() => here.files.lstat(fromText(""))).errno).toBe("ENOENT");
    write("file", "");
    expect(failure(() => here.files.lstat(at("file/"))).errno).toBe("ENOTDIR");
  });
});
