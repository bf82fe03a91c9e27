import { describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { collectGarbage } from "../../src/repo/gc.ts";
import { tagImage, untagImage } from "../../src/repo/references.ts";
import { makeRepo, modes, stageAndPublish, withRepo } from "../builders/repos.ts";
import { imageContents, stageImage } from "../builders/stored-images.ts";
import { FakeLinux, type TraceEntry } from "../fakes/fake-linux.ts";

/*
 * A power cut may keep the names of one directory and lose those of another, in any mixture. Instead of all mixtures,
 * these tests check the law that makes every mixture right: nothing gets a name while something below it is not durable,
 * and nothing goes while a name above it is not durably gone.
 */

/** How high a path stands: contents, objects and meta.json, links to objects, references to links. */
function levelOf(path: string): number {
  if (/\/\.(symlink|tmp)-[^/]*$/.test(path)) return 0;
  if (/^\/repo\/(streams|images)\/refs\//.test(path)) return 3;
  if (/^\/repo\/(streams|images)\//.test(path)) return 2;
  return path.startsWith("/repo/objects/") || path === "/repo/meta.json" ? 1 : 0;
}

/** Making a directory names nothing, and a temporary symlink is all in its own name. */
const adding = new Set(["writeNewFile", "write", "enableVerity", "rename", "link", "cloneFile"]);

/** The calls that break the law. */
function violations(trace: readonly TraceEntry[]): readonly string[] {
  const found: string[] = [];
  const added = new Set<number>();
  const removed = new Set<number>();
  for (const { call, path, to = path } of trace) {
    const level = levelOf(to);
    if (call === "syncFileSystem") {
      added.clear();
      removed.clear();
    } else if (adding.has(call)) {
      if ([...added].some((other) => other < level)) found.push(`${call} ${to} before a sync`);
      added.add(level);
    } else if (call === "unlink" && level > 0) {
      if ([...removed].some((other) => other > level)) found.push(`${call} ${to} before a sync`);
      removed.add(level);
    }
  }
  // What an operation leaves for the next sync of somebody else was promised durable too early.
  return [
    ...found,
    ...[...added].filter((level) => level > 0).map((level) => `level ${level} is not synced at the end`),
  ];
}

function addImage(linux: FakeLinux, name: string, seed: number): void {
  withRepo(linux, "write", (repo) => {
    let tag = (): void => undefined;
    stageAndPublish(repo, (staging) => {
      const image = stageImage(staging, name, imageContents(seed));
      tag = () => tagImage(repo, name, image.manifest);
      return { streams: image.streams, rootImages: [image.rootImage] };
    });
    tag();
  });
}

describe.each(modes)("the order of calls in a $mode repo", ({ secure }) => {
  test("order: nothing is named before what it rests on is durable, nothing goes before its names", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure });
    addImage(linux, "one", 0);
    addImage(linux, "two", 10);
    withRepo(linux, "write", (repo) => untagImage(repo, "one"));
    withRepo(linux, "exclusive", (repo) => collectGarbage(repo, { keepImages: [] }));
    const unlinked = linux.trace.filter(({ call }) => call === "unlink").map(({ path }) => levelOf(path));
    expect(new Set(unlinked)).toEqual(new Set([1, 2, 3]));
    expect(violations(linux.trace)).toEqual([]);
  });
});

test("violations: sees a name without sync, an object that goes too early, and a missing last sync", () => {
  const entry = (call: string, path: string, to?: string): TraceEntry => ({
    call,
    path: fromText(path),
    ...(to === undefined ? {} : { to: fromText(to) }),
  });
  expect(
    violations([
      entry("writeNewFile", "/repo/staging/1/0"),
      entry("rename", "/repo/staging/1/0", "/repo/objects/ab/cd"),
      entry("unlink", "/repo/streams/a"),
      entry("unlink", "/repo/objects/ab/ef"),
    ]),
  ).toEqual([
    "rename /repo/objects/ab/cd before a sync",
    "unlink /repo/objects/ab/ef before a sync",
    "level 1 is not synced at the end",
  ]);
});
