import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { content, makeRepo, repoPath, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const staging = fromText("/repo/staging");

test("StagingRun: each worker gets a directory of its own, and options that can be cloned", () => {
  const linux = new FakeLinux();
  makeRepo(linux);
  withRepo(linux, "write", (repo) => {
    stageAndPublish(repo, (objects) => {
      objects.add(content(100));
      return undefined;
    });
    const run = new StagingRun(repo);
    const first = run.newStagingOptions();
    const second = run.newStagingOptions();
    expect(structuredClone(first)).toEqual({
      repoPath,
      algorithm: "sha512",
      secure: true,
      directory: expect.stringMatching(/^\/repo\/staging\/[0-9a-f]{16}\/0$/),
      isFresh: false,
    });
    expect(second.directory).toBe(first.directory.replace(/0$/, "1"));
    linux.files.writeNewFile(fromText(`${second.directory}/0`), content(3), 0o644);
    run.close();
    expect(linux.files.readDirectory(staging)).toEqual([]);
  });
});

test("StagingRun: a repo is fresh as long as it has no object", () => {
  const linux = new FakeLinux();
  makeRepo(linux);
  withRepo(linux, "write", (repo) => {
    const run = new StagingRun(repo);
    expect(run.newStagingOptions().isFresh).toBe(true);
    run.close();
  });
});

test("StagingRun: another handle that opens for writing leaves a living run alone", () => {
  const linux = new FakeLinux();
  makeRepo(linux);
  withRepo(linux, "write", (repo) => {
    const run = new StagingRun(repo);
    openRepo(linux, repoPath, { access: "write", wait: false }).close();
    expect(linux.files.readDirectory(staging)).toHaveLength(1);
    run.close();
  });
});

/** Files where somebody removes each new staging directory `times` times, before it is opened or before it is locked. */
function withEagerCleaner(linux: FakeLinux, when: "before-open" | "before-lock", times: number) {
  const { files } = linux;
  let left = times;
  const clean = (): void => {
    if (left-- <= 0) return;
    for (const name of files.readDirectory(staging)) files.removeDirectory(fromText(`${staging}/${name}`));
  };
  return {
    clock: linux.clock,
    files: {
      ...files,
      open: (path: typeof staging, mode: "read" | "create" | "append" | "directory", permissions?: number) => {
        if (when === "before-open" && path.startsWith(`${staging}/`)) clean();
        return files.open(path, mode, permissions);
      },
      lock: (...call: Parameters<typeof files.lock>) => {
        if (when === "before-lock" && call[2].wait) clean();
        return files.lock(...call);
      },
    },
  };
}

test.each(["before-open", "before-lock"] as const)(
  "StagingRun: makes another directory when a cleaner was faster (%s)",
  (when) => {
    const linux = new FakeLinux();
    makeRepo(linux);
    const repo = openRepo(withEagerCleaner(linux, when, 2), repoPath, { access: "write", wait: false });
    const run = new StagingRun(repo);
    expect(linux.files.readDirectory(staging)).toHaveLength(1);
    run.close();
    repo.close();
    expect(linux.openPaths).toEqual([]);
  },
);

test("StagingRun: gives up when its directories always vanish", () => {
  const linux = new FakeLinux();
  makeRepo(linux);
  const repo = openRepo(withEagerCleaner(linux, "before-lock", 100), repoPath, { access: "write", wait: false });
  expect(() => new StagingRun(repo)).toThrow(expect.objectContaining({ code: "busy" }));
});
