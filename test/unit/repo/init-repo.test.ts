import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { defaultInitOptions, initRepo } from "../../../src/repo/init-repo.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { content, idOf, makeRepo, repoPath, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

function listing(linux: FakeLinux, path = "/repo"): readonly string[] {
  return linux.files.readDirectory(fromText(path)).flatMap((name) => {
    const stat = linux.files.lstat(fromText(`${path}/${name}`));
    const line = `${path}/${name} ${stat.permissions.toString(8)}`;
    return stat.kind === "directory" ? [line, ...listing(linux, `${path}/${name}`)] : [line];
  });
}

describe("initRepo", () => {
  test("initRepo: makes the directories and meta.json of composefs-rs", () => {
    const linux = new FakeLinux();
    expect(initRepo(linux, repoPath, defaultInitOptions)).toEqual({ created: true });
    expect(linux.files.lstat(repoPath).permissions).toBe(0o700);
    expect(listing(linux)).toEqual([
      "/repo/images 755",
      "/repo/images/refs 755",
      "/repo/meta.json 644",
      "/repo/objects 755",
      "/repo/streams 755",
      "/repo/streams/refs 755",
    ]);
    expect(linux.openPaths).toEqual([]);
  });

  test("initRepo: a secure repo has a sealed meta.json, an insecure one has not", () => {
    const secure = new FakeLinux();
    makeRepo(secure);
    expect(withRepo(secure, "read", (repo) => repo.secure)).toBe(true);
    const insecure = new FakeLinux();
    makeRepo(insecure, { secure: false });
    expect(withRepo(insecure, "read", (repo) => repo.secure)).toBe(false);
  });

  test("initRepo: an insecure repo needs no fs-verity, a secure one says that it is missing and leaves nothing", () => {
    const linux = new FakeLinux({ verity: false });
    expect(() => makeRepo(linux)).toThrow(expect.objectContaining({ code: "unsupported" }));
    expect(linux.files.lstatIfExists(repoPath)).toBeUndefined();
    linux.files.makeDirectory(repoPath, 0o750);
    expect(() => makeRepo(linux)).toThrow(expect.objectContaining({ code: "unsupported" }));
    expect([linux.files.lstat(repoPath).permissions, listing(linux), linux.openPaths]).toEqual([0o750, [], []]);
    expect(initRepo(linux, repoPath, { ...defaultInitOptions, secure: false })).toEqual({ created: true });
  });

  test("initRepo: what another one has put into the new directory meanwhile stays", () => {
    const linux = new FakeLinux({ verity: false });
    const enableVerity = linux.files.enableVerity.bind(linux.files);
    linux.files.enableVerity = (...words) => {
      linux.files.makeDirectory(fromText("/repo/other"), 0o755);
      return enableVerity(...words);
    };
    expect(() => makeRepo(linux)).toThrow(expect.objectContaining({ code: "unsupported" }));
    expect(listing(linux)).toEqual(["/repo/other 755"]);
  });

  test("initRepo: again with the same is fine and changes nothing", () => {
    const linux = new FakeLinux();
    makeRepo(linux);
    const before = linux.trace.length;
    expect(initRepo(linux, repoPath, defaultInitOptions)).toEqual({ created: false });
    expect(linux.trace.slice(before).filter(({ call }) => call !== "makeDirectory")).toEqual([]);
  });

  test.each([
    [{ algorithm: "sha256" }, "sha512, secure, root images of layout 1", "sha256, secure, root images of layout 1"],
    [{ secure: false }, "sha512, secure, root images of layout 1", "sha512, insecure, root images of layout 1"],
    [{ erofsFormat: 2 }, "sha512, secure, root images of layout 1", "sha512, secure, root images of layout 2"],
  ] as const)("initRepo: again with %j says what is there", (changes, found, wanted) => {
    const linux = new FakeLinux();
    makeRepo(linux);
    expect(() => makeRepo(linux, changes)).toThrow(
      expect.objectContaining({ code: "already-exists", facts: { repo: "/repo", found, wanted } }),
    );
  });

  test("initRepo: refuses a repo of the old format", () => {
    const linux = new FakeLinux();
    const id = idOf(content(70));
    for (const path of ["/repo", "/repo/objects", `/repo/objects/${id.slice(0, 2)}`]) {
      linux.files.makeDirectory(fromText(path), 0o755);
    }
    linux.files.writeNewFile(fromText(`/repo/objects/${id.slice(0, 2)}/${id.slice(2)}`), content(70), 0o644);
    expect(() => makeRepo(linux)).toThrow(/old format, without meta.json/);
    expect(linux.openPaths).toEqual([]);
  });

  const leftovers = ["images", "images/refs", "objects", "streams", "streams/refs"];
  test.each(
    leftovers.map((_, count) => leftovers.slice(0, count + 1)).concat([["lost+found"], ["streams", ".tmp-12"]]),
  )("initRepo: goes on where a run was stopped, on a new file system too: %s", (...names) => {
    const linux = new FakeLinux();
    for (const name of ["", ...names]) linux.files.makeDirectory(fromText(`/repo/${name}`), 0o755);
    expect(initRepo(linux, repoPath, defaultInitOptions)).toEqual({ created: true });
  });

  test.each([
    [["file"], "file"],
    [["images", "images/cat.jpg"], "images/cat.jpg"],
    [["streams", "streams/refs", "streams/live"], "streams/live"],
    [["objects", "objects/aa", "objects/ring"], "objects/ring"],
    [["a", "b", "c", "d"], "a, b, c, …"],
  ])("initRepo: puts nothing between other things: %j", (names, shown) => {
    const linux = new FakeLinux();
    for (const name of ["", ...names]) linux.files.makeDirectory(fromText(`/repo/${name}`), 0o755);
    const before = listing(linux);
    expect(() => initRepo(linux, repoPath, defaultInitOptions)).toThrow(
      expect.objectContaining({
        code: "already-exists",
        message: `Cannot make repo "/repo": it holds other things (${shown})`,
      }),
    );
    expect([listing(linux), linux.openPaths]).toEqual([before, []]);
  });

  test("initRepo: says that a file is in the way", () => {
    const linux = new FakeLinux();
    linux.files.makeDirectory(fromText("/other"), 0o755);
    linux.files.writeNewFile(fromText("/other/images"), content(1), 0o644);
    expect(() => initRepo(linux, fromText("/other"), defaultInitOptions)).toThrow(
      expect.objectContaining({
        code: "already-exists",
        message: 'Cannot make repo "/other": images is not a directory',
      }),
    );
    linux.files.writeNewFile(repoPath, content(1), 0o644);
    expect(() => initRepo(linux, repoPath, defaultInitOptions)).toThrow(
      expect.objectContaining({
        code: "already-exists",
        message: 'Cannot make repo "/repo": it is not a directory',
      }),
    );
  });

  test("initRepo: a missing parent directory is not-found", () => {
    const linux = new FakeLinux();
    expect(() => initRepo(linux, fromText("/a/b"), defaultInitOptions)).toThrow(
      expect.objectContaining({ code: "not-found" }),
    );
  });

  test("initRepo: a repo that somebody makes at the same moment is busy", () => {
    const linux = new FakeLinux();
    linux.files.makeDirectory(repoPath, 0o700);
    const fd = linux.files.open(repoPath, "directory");
    linux.files.lock(fd, "exclusive", { wait: false });
    expect(() => makeRepo(linux)).toThrow(expect.objectContaining({ code: "busy" }));
    linux.files.close(fd);
    makeRepo(linux);
    expect(openRepo(linux, repoPath, { access: "read", wait: false }).algorithm).toBe("sha512");
  });
});
