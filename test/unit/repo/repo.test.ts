import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { systemCallError } from "../../../src/linux/errno.ts";
import { newRepoMeta } from "../../../src/repo/meta-file.ts";
import { openRepo, type RepoAccess } from "../../../src/repo/repo.ts";
import { content, idOf, makeRepo, repoPath, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

function open(linux: FakeLinux, access: RepoAccess) {
  return openRepo(linux, repoPath, { access, wait: false });
}

function replaceMeta(linux: FakeLinux, text: string): void {
  const path = fromText("/repo/meta.json");
  linux.files.unlink(path);
  linux.files.writeNewFile(path, new TextEncoder().encode(text), 0o644);
}

/** A repo as composefs-rs made it before it had meta.json. */
function makeOldFormat(linux: FakeLinux, sealed: boolean): void {
  const id = idOf(content(70));
  for (const path of ["/repo", "/repo/objects", `/repo/objects/${id.slice(0, 2)}`, "/repo/staging"]) {
    linux.files.makeDirectory(fromText(path), 0o755);
  }
  linux.files.writeNewFile(fromText("/repo/objects/README"), content(10), 0o644);
  const path = fromText(`/repo/objects/${id.slice(0, 2)}/${id.slice(2)}`);
  linux.files.writeNewFile(path, content(70), 0o644);
  if (sealed) linux.files.enableVerity(path, "sha512");
}

describe("openRepo", () => {
  test("openRepo: says what the repo is", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { algorithm: "sha256" });
    const repo = open(linux, "write");
    expect(repo).toMatchObject({ algorithm: "sha256", secure: true, oldFormat: false, access: "write", path: "/repo" });
    expect(repo.meta).toEqual(newRepoMeta("sha256", 1));
    repo.close();
    expect(linux.openPaths).toEqual([]);
  });

  test("openRepo: readers and writers share the lock, exclusive is alone", () => {
    const linux = new FakeLinux();
    makeRepo(linux);
    const reader = open(linux, "read");
    const writer = open(linux, "write");
    expect(() => open(linux, "exclusive")).toThrow(
      expect.objectContaining({
        code: "busy",
        message: 'Cannot open repo "/repo": another operation uses it',
      }),
    );
    reader.close();
    writer.close();
    const exclusive = open(linux, "exclusive");
    expect(() => open(linux, "read")).toThrow(/a garbage collection holds its lock/);
    exclusive.close();
    expect(linux.openPaths).toEqual([]);
  });

  test("openRepo: a kernel without fs-verity opens no sealed repo, and the hint says so", () => {
    const linux = new FakeLinux();
    makeRepo(linux);
    const readFile: typeof linux.files.readFile = (path) => {
      throw systemCallError({ verb: "open", path }, "ENOTSUP");
    };
    const machine = { files: { ...linux.files, readFile }, clock: linux.clock };
    expect(() => openRepo(machine, repoPath, { access: "read", wait: false })).toThrow(
      expect.objectContaining({
        code: "unsupported",
        message: 'Cannot open repo "/repo": it is sealed with fs-verity, which this kernel does not have',
        facts: expect.objectContaining({ hint: "Start a system whose kernel has fs-verity (CONFIG_FS_VERITY)" }),
      }),
    );
    expect(linux.openPaths).toEqual([]);
  });

  test("openRepo: nothing there, and a directory that is no repo, are not-found", () => {
    const linux = new FakeLinux();
    expect(() => open(linux, "read")).toThrow(expect.objectContaining({ code: "not-found" }));
    linux.files.makeDirectory(repoPath, 0o755);
    expect(() => open(linux, "read")).toThrow(/it has neither meta.json nor objects/);
    linux.files.makeDirectory(fromText("/repo/objects"), 0o755);
    expect(() => open(linux, "read")).toThrow(/an init that stopped in the middle leaves this/);
    expect(linux.openPaths).toEqual([]);
  });

  test("openRepo: other errors than a missing directory stay what they are", () => {
    const linux = new FakeLinux();
    makeRepo(linux);
    expect(() => openRepo(linux, fromText("/repo/meta.json"), { access: "read", wait: false })).toThrow();
    replaceMeta(linux, "{}");
    expect(() => open(linux, "read")).toThrow(
      expect.objectContaining({
        code: "bad-format",
        message: 'Cannot open repo "/repo": Cannot read meta.json: it has no version',
        facts: { repo: "/repo" },
      }),
    );
    expect(linux.openPaths).toEqual([]);
  });

  test("openRepo: a repo of a newer version is named", () => {
    const linux = new FakeLinux();
    makeRepo(linux);
    replaceMeta(linux, '{"version":7,"algorithm":"fsverity-sha512-12"}');
    expect(() => open(linux, "read")).toThrow(
      expect.objectContaining({ code: "unsupported", facts: { repo: "/repo", version: 7, known: 1 } }),
    );
  });

  test("openRepo: an unknown read-only feature allows reading only", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure: false });
    replaceMeta(
      linux,
      '{"version":1,"algorithm":"fsverity-sha512-12","features":{"read-only-compatible":["v1_erofs","v9"]}}',
    );
    open(linux, "read").close();
    for (const access of ["write", "exclusive"] as const) {
      expect(() => open(linux, access)).toThrow(
        expect.objectContaining({ code: "unsupported", facts: { repo: "/repo", feature: "v9" } }),
      );
    }
  });

  test("openRepo: a read-only file system allows reading only", () => {
    const linux = new FakeLinux();
    makeRepo(linux);
    const { files } = linux;
    const frozen = {
      clock: linux.clock,
      files: { ...files, space: (path: typeof repoPath) => ({ ...files.space(path), readOnly: true }) },
    };
    openRepo(frozen, repoPath, { access: "read", wait: false }).close();
    expect(() => openRepo(frozen, repoPath, { access: "write", wait: false })).toThrow(
      expect.objectContaining({ code: "permission-denied" }),
    );
  });

  test.each([true, false])(
    "openRepo: reads an old repo as it is, and upgrades it when it is to be written (sealed: %j)",
    (sealed) => {
      const linux = new FakeLinux();
      makeOldFormat(linux, sealed);
      const before = linux.trace.length;
      const reader = open(linux, "read");
      expect(reader).toMatchObject({ oldFormat: true, secure: sealed, meta: newRepoMeta("sha512", 2) });
      reader.close();
      expect(linux.trace.slice(before).map(({ call }) => call)).not.toContain("rename");
      open(linux, "write").close();
      expect(withRepo(linux, "read", ({ oldFormat, secure, meta }) => ({ oldFormat, secure, meta }))).toEqual({
        oldFormat: false,
        secure: sealed,
        meta: newRepoMeta("sha512", 2),
      });
    },
  );

  test("openRepo: an old repo of sha256 is told by the length of its names", () => {
    const linux = new FakeLinux();
    for (const path of ["/repo", "/repo/objects", "/repo/objects/ab"]) linux.files.makeDirectory(fromText(path), 0o755);
    linux.files.writeNewFile(fromText(`/repo/objects/ab/${"c".repeat(62)}`), content(70), 0o644);
    expect(withRepo(linux, "read", ({ algorithm }) => algorithm)).toBe("sha256");
  });

  test("openRepo: to write removes what a dead run left, and nothing of a living one", () => {
    const linux = new FakeLinux();
    makeRepo(linux);
    const names = ["/repo/staging", "/repo/staging/dead", "/repo/staging/dead/0", "/repo/staging/alive"];
    for (const path of names) linux.files.makeDirectory(fromText(path), 0o700);
    linux.files.writeNewFile(fromText("/repo/staging/dead/0/1"), content(10), 0o644);
    const fd = linux.files.open(fromText("/repo/staging/alive"), "directory");
    linux.files.lock(fd, "exclusive", { wait: false });
    open(linux, "read").close();
    expect(linux.files.readDirectory(fromText("/repo/staging"))).toEqual(["alive", "dead"]);
    open(linux, "write").close();
    expect(linux.files.readDirectory(fromText("/repo/staging"))).toEqual(["alive"]);
  });

  test("Repo: unusedPath passes over a name that is taken", () => {
    const linux = new FakeLinux();
    makeRepo(linux);
    withRepo(linux, "write", (repo) => {
      const names = ["aa", "aa", "bb"];
      const clock = { now: () => 0, randomName: () => fromText(names.shift() ?? "") };
      linux.files.writeNewFile(fromText("/repo/streams/.tmp-aa"), content(1), 0o644);
      const fixed = openRepo({ files: linux.files, clock }, repoPath, { access: "write", wait: false });
      expect(fixed.unusedPath(fromText("/repo/streams"), ".tmp-")).toBe("/repo/streams/.tmp-bb");
      fixed.close();
      expect(stageAndPublish(repo, () => undefined)).toEqual({ addedObjects: 0, addedBytes: 0, repaired: [] });
    });
  });
});
