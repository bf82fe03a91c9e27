import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { systemCallError } from "../../../src/linux/errno.ts";
import { listDeadStaging, removeDeadStaging } from "../../../src/repo/staging-leftovers.ts";
import { content, makeRepo, repoPath } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const dead = fromText("/repo/staging/dead");

function withDeadRun(): FakeLinux {
  const linux = new FakeLinux();
  makeRepo(linux);
  for (const path of ["/repo/staging", dead, `${dead}/0`]) linux.files.makeDirectory(fromText(path), 0o700);
  linux.files.writeNewFile(fromText(`${dead}/0/1`), content(10), 0o644);
  return linux;
}

/** Files where opening the staging directory fails with `errno`. */
function failing(linux: FakeLinux, errno: string): FakeLinux["files"] {
  const { open } = linux.files;
  return {
    ...linux.files,
    open: (path, ...rest) => {
      if (path === dead) throw systemCallError({ verb: "open", path }, errno);
      return open(path, ...rest);
    },
  };
}

test("removeDeadStaging: removes what is in it, and says which", () => {
  const linux = withDeadRun();
  expect(listDeadStaging(linux.files, repoPath)).toEqual([dead]);
  expect(removeDeadStaging(linux.files, repoPath)).toEqual([dead]);
  expect(removeDeadStaging(linux.files, repoPath)).toEqual([]);
  expect(linux.openPaths).toEqual([]);
});

test("removeDeadStaging: somebody who was faster is fine, another error is not hidden", () => {
  const linux = withDeadRun();
  expect(removeDeadStaging(failing(linux, "ENOENT"), repoPath)).toEqual([]);
  expect(() => removeDeadStaging(failing(linux, "EIO"), repoPath)).toThrow(expect.objectContaining({ code: "system" }));
});
