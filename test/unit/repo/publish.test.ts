import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { ObjectStaging } from "../../../src/repo/object-staging.ts";
import { publish } from "../../../src/repo/publish.ts";
import { objectPath } from "../../../src/repo/repo-paths.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { content, idOf, makeRepo, modes, repoPath, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const one = content(100);
const two = content(5000, 1);

describe.each(modes)("publish in a $mode repo", ({ secure }) => {
  test("publish: objects get their names, sealed where they have to be", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure });
    const report = withRepo(linux, "write", (repo) =>
      stageAndPublish(repo, (staging) => {
        staging.add(one);
        staging.add(two);
        return undefined;
      }),
    );
    expect(report).toEqual({ addedObjects: 2, addedBytes: 5100, repaired: [] });
    for (const bytes of [one, two]) {
      const path = objectPath(repoPath, idOf(bytes));
      expect(linux.files.readFile(path, 10_000)).toEqual(bytes);
      expect(linux.files.measureVerity(path, "sha512")).toBe(secure ? idOf(bytes) : undefined);
      expect(linux.files.lstat(path).permissions).toBe(0o644);
    }
  });

  test("publish: streams and root images get relative links", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure });
    withRepo(linux, "write", (repo) =>
      stageAndPublish(repo, (staging) => ({
        streams: [{ name: "oci-blob-sha256:aa", id: staging.add(one) }],
        rootImages: [staging.add(two)],
      })),
    );
    const link = (id: string) => `../objects/${id.slice(0, 2)}/${id.slice(2)}`;
    expect(linux.files.readLink(fromText("/repo/streams/oci-blob-sha256:aa"))).toBe(link(idOf(one)));
    expect(linux.files.readLink(fromText(`/repo/images/${idOf(two)}`))).toBe(link(idOf(two)));
  });

  test("publish: a link to another object is replaced, an equal one is left", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure });
    const name = "oci-config-sha256:aa";
    const add = (bytes: Uint8Array) =>
      withRepo(linux, "write", (repo) =>
        stageAndPublish(repo, (staging) => ({ streams: [{ name, id: staging.add(bytes) }] })),
      );
    add(one);
    add(two);
    expect(linux.files.readLink(fromText(`/repo/streams/${name}`))).toContain(idOf(two).slice(2));
    const before = linux.trace.length;
    add(two);
    expect(linux.trace.slice(before).map(({ call }) => call)).not.toContain("symlink");
    expect(linux.files.readDirectory(fromText("/repo/streams"))).toEqual([name, "refs"]);
  });

  test("publish: a damaged object is replaced and reported", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure });
    const add = () =>
      withRepo(linux, "write", (repo) =>
        stageAndPublish(repo, (staging) => {
          staging.add(one);
          return undefined;
        }),
      );
    add();
    linux.damage(objectPath(repoPath, idOf(one)));
    expect(add()).toEqual({ addedObjects: 0, addedBytes: 0, repaired: [idOf(one)] });
    expect(linux.files.readFile(objectPath(repoPath, idOf(one)), 1000)).toEqual(one);
    expect(add()).toEqual({ addedObjects: 0, addedBytes: 0, repaired: [] });
  });

  test("publish: two runs at once publish the same object once, and a damaged first one is repaired by the second", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure });
    withRepo(linux, "write", (repo) => {
      const runs = [new StagingRun(repo), new StagingRun(repo), new StagingRun(repo)];
      const staged = runs.map((run) => {
        const staging = new ObjectStaging(repo.files, run.newStagingOptions());
        staging.add(one);
        return staging.take();
      });
      const reports = staged.map((objects, index) => {
        if (index === 2) linux.damage(objectPath(repoPath, idOf(one)));
        return publish(repo, { objects, streams: [], rootImages: [] });
      });
      expect(reports).toEqual([
        { addedObjects: 1, addedBytes: 100, repaired: [] },
        { addedObjects: 0, addedBytes: 0, repaired: [] },
        { addedObjects: 0, addedBytes: 0, repaired: [idOf(one)] },
      ]);
      for (const run of runs) run.close();
    });
  });

  test("publish: the same object of two workers is published once", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure });
    withRepo(linux, "write", (repo) => {
      const run = new StagingRun(repo);
      const objects = [0, 1].flatMap(() => {
        const staging = new ObjectStaging(repo.files, run.newStagingOptions());
        staging.add(one);
        return staging.take();
      });
      expect(objects).toHaveLength(2);
      const report = publish(repo, { objects, streams: [], rootImages: [] });
      expect(report).toEqual({ addedObjects: 1, addedBytes: 100, repaired: [] });
      run.close();
    });
  });
});

test("publish: bytes are synced before names, names before links, links before it returns", () => {
  const linux = new FakeLinux();
  makeRepo(linux);
  const before = linux.trace.length;
  withRepo(linux, "write", (repo) =>
    stageAndPublish(repo, (staging) => ({ streams: [{ name: "s", id: staging.add(one) }] })),
  );
  const calls = linux.trace.slice(before).map(({ call }) => call);
  expect(calls.filter((call) => !["makeDirectory", "removeDirectory"].includes(call))).toEqual([
    "writeNewFile",
    "syncFileSystem",
    "enableVerity",
    "syncFileSystem",
    "rename",
    "syncFileSystem",
    "symlink",
    "rename",
    "syncFileSystem",
  ]);
});

test("publish: a link to what is not in the repo is a bug", () => {
  const linux = new FakeLinux();
  makeRepo(linux);
  withRepo(linux, "write", (repo) => {
    const nothing = { objects: [], streams: [], rootImages: [] };
    expect(() => publish(repo, { ...nothing, streams: [{ name: "s", id: idOf(one) }] })).toThrow(/always be true/);
    expect(() => publish(repo, { ...nothing, rootImages: [idOf(one)] })).toThrow(/always be true/);
  });
});

test("publish: an object whose bytes change before it is sealed is not published", () => {
  const linux = new FakeLinux();
  makeRepo(linux);
  withRepo(linux, "write", (repo) => {
    const run = new StagingRun(repo);
    const staging = new ObjectStaging(repo.files, run.newStagingOptions());
    staging.add(one);
    const objects = staging.take();
    linux.damage(objects[0]?.path ?? repoPath);
    expect(() => publish(repo, { objects, streams: [], rootImages: [] })).toThrow(
      expect.objectContaining({ code: "damaged" }),
    );
    run.close();
    expect(linux.files.readDirectory(fromText("/repo/objects"))).toEqual([]);
  });
});

test("publish: a secure repo on a file system that lost fs-verity refuses", () => {
  const linux = new FakeLinux();
  makeRepo(linux);
  withRepo(linux, "write", (repo) => {
    const run = new StagingRun(repo);
    const staging = new ObjectStaging(repo.files, run.newStagingOptions());
    staging.add(one);
    repo.files.enableVerity = () => false;
    expect(() => publish(repo, { objects: staging.take(), streams: [], rootImages: [] })).toThrow(
      expect.objectContaining({ code: "unsupported" }),
    );
    run.close();
  });
});

test("publish: another error than a taken name is not hidden", () => {
  const linux = new FakeLinux();
  makeRepo(linux, { secure: false });
  withRepo(linux, "write", (repo) => {
    const object = { id: idOf(one), path: fromText("/repo/staging/none"), sizeBytes: 1, replaces: false };
    expect(() => publish(repo, { objects: [object], streams: [], rootImages: [] })).toThrow(
      expect.objectContaining({ code: "not-found" }),
    );
  });
});
