import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { ensureDirectory, hasObjects, listObjects, readDirectoryIfExists } from "../../../src/repo/object-listing.ts";
import { content, idOf, makeRepo, repoPath, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

test("listObjects: names of objects, and everything else apart", () => {
  const linux = new FakeLinux();
  makeRepo(linux);
  const ids = [content(100), content(200)].map(idOf);
  withRepo(linux, "write", (repo) =>
    stageAndPublish(repo, (staging) => {
      for (const sizeBytes of [100, 200]) staging.add(content(sizeBytes));
      return undefined;
    }),
  );
  const prefix = ids[0]?.slice(0, 2);
  const strays = ["/repo/objects/README", `/repo/objects/${prefix}/short`, "/repo/objects/zz"];
  for (const path of strays) linux.files.writeNewFile(fromText(path), content(1), 0o644);
  const { ids: found, strays: foundStrays } = listObjects(linux.files, repoPath, "sha512");
  expect([...found].sort()).toEqual([...ids].sort());
  expect([...foundStrays].sort()).toEqual([...strays].sort());
  expect(listObjects(linux.files, repoPath, "sha256").ids.size).toBe(0);
});

test("hasObjects: a directory that is empty has none", () => {
  const linux = new FakeLinux();
  makeRepo(linux);
  expect(hasObjects(linux.files, repoPath)).toBe(false);
  linux.files.makeDirectory(fromText("/repo/objects/00"), 0o755);
  expect(hasObjects(linux.files, repoPath)).toBe(false);
  linux.files.writeNewFile(fromText("/repo/objects/00/1"), content(1), 0o644);
  expect(hasObjects(linux.files, repoPath)).toBe(true);
  linux.files.unlink(fromText("/repo/objects/00/1"));
  linux.files.writeNewFile(fromText("/repo/objects/01"), content(1), 0o644);
  expect(hasObjects(linux.files, repoPath)).toBe(true);
});

test("readDirectoryIfExists, ensureDirectory: only the expected error is no error", () => {
  const linux = new FakeLinux();
  expect(readDirectoryIfExists(linux.files, fromText("/none"))).toEqual([]);
  const { files } = linux;
  const failing = {
    ...files,
    readDirectory: () => {
      throw new Error("disk");
    },
  };
  expect(() => readDirectoryIfExists(failing, fromText("/"))).toThrow("disk");
  ensureDirectory(files, fromText("/a"), 0o755);
  ensureDirectory(files, fromText("/a"), 0o755);
  expect(() => ensureDirectory(files, fromText("/b/c"), 0o755)).toThrow(expect.objectContaining({ code: "not-found" }));
});
