import { describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import type { Path } from "../../src/linux/linux.ts";
import { checkRepo } from "../../src/repo/fsck.ts";
import { collectGarbage } from "../../src/repo/gc.ts";
import { resolveTag, tagImage, untagImage } from "../../src/repo/references.ts";
import { objectPath } from "../../src/repo/repo-paths.ts";
import { content, idOf, makeRepo, modes, repoPath, stageAndPublish, withRepo } from "../builders/repos.ts";
import { stageImage } from "../builders/stored-images.ts";
import { type CrashOptions, FakeLinux, SimulatedCrash } from "../fakes/fake-linux.ts";

/** What can be left on the disk after the machine stopped. */
const outcomes: readonly (readonly [string, CrashOptions])[] = [
  ["the process was killed", { keepUnsynced: true }],
  ["the power went, new names are lost", { keepUnsynced: false, names: "lost" }],
  ["the power went, new names are kept without their bytes", { keepUnsynced: false, names: "kept" }],
];

/** Every state that a crash within `operate` on a copy of `base` can leave, at every mutating call. */
function* crashes(
  base: FakeLinux,
  operate: (linux: FakeLinux) => void,
): IterableIterator<readonly [string, FakeLinux]> {
  for (let failAt = 1; ; failAt++) {
    const linux = base.crash({ keepUnsynced: true }, { failAt });
    try {
      operate(linux);
      expect(failAt, "the operation makes calls that can fail").toBeGreaterThan(3);
      return;
    } catch (error) {
      if (!(error instanceof SimulatedCrash)) throw error;
    }
    const at = linux.trace.at(-1);
    for (const [outcome, survives] of outcomes) {
      yield [`call ${failAt} (${at?.call} ${at?.path}), ${outcome}`, linux.crash(survives)];
    }
  }
}

/** Everything in the repo but empty directories of objects, one line for each name. */
function snapshot(linux: FakeLinux, path: Path = repoPath): readonly string[] {
  return linux.files.readDirectory(path).flatMap((name) => {
    const entry = fromText(`${path}/${name}`);
    const stat = linux.files.lstat(entry);
    if (stat.kind === "symlink") return [`${entry} -> ${linux.files.readLink(entry)}`];
    if (stat.kind !== "directory") return [`${entry} ${idOf(linux.files.readFile(entry, 100_000)).slice(0, 16)}`];
    const isPrefix = /^\/repo\/objects\/..$/.test(entry);
    return isPrefix ? snapshot(linux, entry) : [entry, ...snapshot(linux, entry)];
  });
}

/** I3: everything that a name reaches is there and right. */
function expectWhole(linux: FakeLinux, when: string): void {
  const report = withRepo(linux, "read", (repo) => checkRepo(repo, { metadataOnly: false, deployments: new Map() }));
  expect({ when, problems: report.problems.filter(({ severity }) => severity === "error") }).toEqual({
    when,
    problems: [],
  });
}

/** I5: what a crash leaves is collected. The staging directory itself stays once it was made. */
function expectCollected(linux: FakeLinux, states: readonly (readonly string[])[], when: string): void {
  withRepo(linux, "exclusive", (repo) => collectGarbage(repo, { keepImages: [] }));
  const report = withRepo(linux, "read", (repo) => checkRepo(repo, { metadataOnly: false, deployments: new Map() }));
  expect({ when, problems: report.problems }).toEqual({ when, problems: [] });
  const left = snapshot(linux);
  if (!states.some((state) => state.join("\n") === left.join("\n")))
    expect({ when, left }).toEqual({ when, left: states });
}

function addImage(linux: FakeLinux, name: string, seed: number): void {
  withRepo(linux, "write", (repo) => {
    const manifests = new Set<Parameters<typeof tagImage>[2]>();
    stageAndPublish(repo, (staging) => {
      const image = stageImage(staging, name, [content(300, 77), content(100, seed)]);
      manifests.add(image.manifest);
      return { streams: image.streams, rootImages: [image.rootImage] };
    });
    for (const manifest of manifests) tagImage(repo, name, manifest);
  });
}

function withImages(secure: boolean, names: readonly string[]): FakeLinux {
  const linux = new FakeLinux();
  makeRepo(linux, { secure });
  names.forEach((name, index) => {
    addImage(linux, name, index * 10);
  });
  return linux.crash({ keepUnsynced: true });
}

function stateAfter(base: FakeLinux, operate: (linux: FakeLinux) => void): readonly string[] {
  const linux = base.crash({ keepUnsynced: true });
  operate(linux);
  return snapshot(linux);
}

function isMissing(error: unknown): boolean {
  return error instanceof OsdeployError && error.code === "not-found";
}

describe.each(modes)("a crash at every call, in a $mode repo", ({ secure }) => {
  test("init: leaves no repo or all of it, and works the second time", () => {
    const operate = (linux: FakeLinux) => makeRepo(linux, { secure });
    const wanted = stateAfter(new FakeLinux(), operate);
    for (const [when, linux] of crashes(new FakeLinux(), operate)) {
      try {
        expect(
          withRepo(linux, "read", (repo) => repo.secure),
          when,
        ).toBe(secure);
      } catch (error) {
        if (!isMissing(error)) throw error;
      }
      operate(linux);
      withRepo(linux, "exclusive", (repo) => collectGarbage(repo, { keepImages: [] }));
      expect({ when, left: snapshot(linux) }).toEqual({ when, left: wanted });
    }
  });

  test("publish, add streams, tag: leaves whole images only, and works the second time", () => {
    const base = withImages(secure, ["one"]);
    const operate = (linux: FakeLinux) => addImage(linux, "two", 10);
    const states = [snapshot(base), stateAfter(base, operate)];
    for (const [when, linux] of crashes(base, operate)) {
      expectWhole(linux, when);
      expect(withRepo(linux, "read", (repo) => resolveTag(repo, "one"))).toBeDefined();
      expectCollected(linux.crash({ keepUnsynced: true }), states, when);
      operate(linux);
      expectCollected(linux, states.slice(1), when);
    }
  });

  test("move a tag: names the old image or the new one", () => {
    const base = withImages(secure, ["one", "two"]);
    const [one, two] = withRepo(base, "read", (repo) => ["one", "two"].map((tag) => resolveTag(repo, tag)));
    if (one === undefined || two === undefined) throw new Error("no images");
    const operate = (linux: FakeLinux) => withRepo(linux, "write", (repo) => tagImage(repo, "one", two));
    let seen = 0;
    for (const [when, linux] of crashes(base, (copy) => {
      operate(copy);
      untag(copy, "two");
    })) {
      seen++;
      expectWhole(linux, when);
      expect([one, two]).toContain(withRepo(linux, "read", (repo) => resolveTag(repo, "one")));
      operate(linux);
      expect(withRepo(linux, "read", (repo) => resolveTag(repo, "one"))).toBe(two);
    }
    expect(seen).toBeGreaterThan(9);
  });

  test("gc: leaves no name that reaches nothing, and ends the same the second time", () => {
    const base = withImages(secure, ["one", "two"]);
    untag(base, "one");
    base.files.writeNewFile(fromText("/repo/objects/.tmp-object-1"), content(5), 0o644);
    const settled = base.crash({ keepUnsynced: true });
    const operate = (linux: FakeLinux) =>
      void withRepo(linux, "exclusive", (repo) => collectGarbage(repo, { keepImages: [] }));
    const wanted = stateAfter(settled, operate);
    for (const [when, linux] of crashes(settled, operate)) {
      expectWhole(linux, when);
      operate(linux);
      expect({ when, left: snapshot(linux) }).toEqual({ when, left: wanted });
    }
  });

  test("repair of a damaged object: the name is never gone, and the second time repairs", () => {
    const base = withImages(secure, ["one"]);
    const object = objectPath(repoPath, idOf(content(300, 77)));
    base.damage(object);
    const operate = (linux: FakeLinux) => addImage(linux, "two", 10);
    for (const [when, linux] of crashes(base, operate)) {
      expect(linux.files.lstatIfExists(object)?.sizeBytes, when).toBe(300);
      operate(linux);
      expectWhole(linux, when);
    }
  });
});

function untag(linux: FakeLinux, tag: string): void {
  withRepo(linux, "write", (repo) => untagImage(repo, tag));
}

test("a full disk at every call of a publish leaves the repo as it was, but for garbage", () => {
  const base = withImages(true, ["one"]);
  const calls = base.crash({ keepUnsynced: true });
  addImage(calls, "two", 10);
  const states = [snapshot(base), snapshot(calls)];
  for (let failAt = 1; failAt <= calls.trace.length; failAt++) {
    const linux = base.crash({ keepUnsynced: true }, { failAt, fault: "ENOSPC", halfWritten: true });
    expect(() => addImage(linux, "two", 10), `call ${failAt}`).toThrow(expect.objectContaining({ code: "no-space" }));
    expect(linux.openPaths).toEqual([]);
    expectWhole(linux, `call ${failAt}`);
    expectCollected(linux, states, `call ${failAt}`);
  }
});
