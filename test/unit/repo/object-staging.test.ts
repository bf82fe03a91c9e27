import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import type { ObjectId } from "../../../src/core/digest/object-id.ts";
import { systemCallError } from "../../../src/linux/errno.ts";
import { ObjectStaging, type StagingOptions } from "../../../src/repo/object-staging.ts";
import { objectPath } from "../../../src/repo/repo-paths.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { content, idOf, makeRepo, modes, repoPath, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const small = content(100);
const large = content(700_000, 1);

/** A staging in a new run on a repo that already has the `present` objects. */
function withStaging(
  options: { readonly secure?: boolean; readonly present?: readonly Uint8Array[]; readonly clone?: boolean },
  use: (staging: ObjectStaging, linux: FakeLinux, plain: StagingOptions) => void,
): void {
  const linux = new FakeLinux({ clone: options.clone ?? false });
  makeRepo(linux, { secure: options.secure ?? true });
  withRepo(linux, "write", (repo) => {
    stageAndPublish(repo, (staging) => {
      for (const bytes of options.present ?? []) staging.add(bytes);
      return undefined;
    });
    const run = new StagingRun(repo);
    const plain = run.newStagingOptions();
    use(new ObjectStaging(linux.files, plain), linux, plain);
    run.close();
  });
  expect(linux.openPaths).toEqual([]);
  expect(linux.files.readDirectory(fromText("/repo/staging"))).toEqual([]);
}

function stagedIds(staging: ObjectStaging): readonly ObjectId[] {
  return staging.take().map(({ id }) => id);
}

describe("ObjectStaging", () => {
  test("add: writes the content once, in its own directory, with the permissions of an object", () => {
    withStaging({}, (staging, linux, { directory }) => {
      expect(staging.add(small)).toBe(idOf(small));
      expect(staging.add(small)).toBe(idOf(small));
      const path = fromText(`${directory}/0`);
      expect(staging.take()).toEqual([{ id: idOf(small), path, sizeBytes: 100, replaces: false }]);
      expect(linux.files.readFile(path, 1000)).toEqual(small);
      expect(linux.files.lstat(path).permissions).toBe(0o644);
    });
  });

  test("addAwaited: small contents are staged together when one is asked for its id", () => {
    withStaging({ present: [content(300)] }, (staging, linux, { directory }) => {
      const awaited = [100, 200, 100, 300, 5000].map((sizeBytes) => staging.addAwaited(content(sizeBytes)));
      expect(linux.files.readDirectory(directory)).toEqual([]);
      expect(awaited[1]?.id).toBe(idOf(content(200)));
      expect(linux.files.readDirectory(directory)).toHaveLength(3);
      expect(awaited.map(({ id }) => id)).toEqual([100, 200, 100, 300, 5000].map((size) => idOf(content(size))));
      expect(stagedIds(staging)).toEqual([100, 200, 5000].map((size) => idOf(content(size))));
    });
  });

  test("addAwaited: what no one asks for is staged when there is no room for more, and at the end", () => {
    withStaging({}, (staging, linux, { directory }) => {
      for (let i = 0; i < 65; i++) staging.addAwaited(content(100 + i));
      expect(linux.files.readDirectory(directory)).toHaveLength(64);
      expect(stagedIds(staging)).toEqual(Array.from({ length: 65 }, (_, i) => idOf(content(100 + i))));
    });
  });

  test("addAwaited: a large content is staged at once", () => {
    withStaging({}, (staging, linux, { directory }) => {
      expect(staging.addAwaited(large).id).toBe(idOf(large));
      expect(linux.files.readDirectory(directory)).toHaveLength(1);
    });
  });

  test("discard: contents that wait are never staged", () => {
    withStaging({}, (staging, linux, { directory }) => {
      staging.addAwaited(small);
      staging.discard();
      expect(staging.take()).toEqual([]);
      expect(linux.files.readDirectory(directory)).toEqual([]);
    });
  });

  test("take: hands each object out once, also when it comes again later", () => {
    withStaging({}, (staging) => {
      staging.add(small);
      expect(stagedIds(staging)).toEqual([idOf(small)]);
      staging.add(small);
      staging.add(large);
      expect(stagedIds(staging)).toEqual([idOf(large)]);
    });
  });

  test("discard: removes what was not taken, so that it is staged anew when it comes again", () => {
    withStaging({}, (staging, linux, { directory }) => {
      staging.add(small);
      staging.take();
      staging.add(large);
      staging.discard();
      expect(linux.files.readDirectory(directory)).toEqual(["0"]);
      staging.add(large);
      expect(stagedIds(staging)).toEqual([idOf(large)]);
    });
  });

  test("begin: content in pieces gets the same name as in one", () => {
    withStaging({}, (staging, linux) => {
      const writer = staging.begin();
      for (let at = 0; at < large.length; at += 99_999) writer.write(large.subarray(at, at + 99_999));
      expect(writer.finish()).toEqual({ id: idOf(large), sizeBytes: large.length });
      const [object] = staging.take();
      expect(object).toMatchObject({ id: idOf(large), sizeBytes: large.length, replaces: false });
      expect(Buffer.compare(linux.files.readFile(object?.path ?? fromText(""), 1_000_000), large)).toBe(0);
    });
  });

  test("begin: what is staged already leaves no second file, and neither does what is abandoned", () => {
    withStaging({}, (staging, linux, { directory }) => {
      staging.add(large);
      const again = staging.begin();
      again.write(large);
      expect(again.finish().id).toBe(idOf(large));
      const abandoned = staging.begin();
      abandoned.write(small);
      abandoned.abandon();
      expect(linux.files.readDirectory(directory)).toEqual(["0"]);
      expect(stagedIds(staging)).toEqual([idOf(large)]);
    });
  });

  test.each([true, false])("addFile: shares or copies the blocks of a file (clone: %j)", (clone) => {
    withStaging({ clone }, (staging, linux) => {
      linux.files.writeNewFile(fromText("/source"), large, 0o600);
      expect(staging.addFile(fromText("/source"))).toEqual({ id: idOf(large), sizeBytes: large.length });
      const [object] = staging.take();
      const path = object?.path ?? fromText("");
      expect(Buffer.compare(linux.files.readFile(path, 1_000_000), large)).toBe(0);
      expect(linux.files.lstat(path).permissions).toBe(0o644);
      expect(linux.trace.some(({ call }) => call === "cloneFile")).toBe(true);
    });
  });

  test.each([true, false])("addFile: shows each byte once, in order (clone: %j)", (clone) => {
    withStaging({ clone }, (staging, linux) => {
      linux.files.writeNewFile(fromText("/source"), large, 0o600);
      const pieces: Uint8Array[] = [];
      staging.addFile(fromText("/source"), (piece) => pieces.push(piece.slice()));
      expect(Buffer.compare(Buffer.concat(pieces), large)).toBe(0);
    });
  });

  test("addFile: a file system that cannot clone is asked once", () => {
    withStaging({}, (staging, linux) => {
      linux.files.writeNewFile(fromText("/source"), large, 0o600);
      linux.files.writeNewFile(fromText("/other"), small, 0o600);
      expect([staging.addFile(fromText("/source")).id, staging.addFile(fromText("/other")).id]).toEqual([
        idOf(large),
        idOf(small),
      ]);
      expect(linux.trace.filter(({ call }) => call === "cloneFile")).toHaveLength(1);
    });
  });

  test("addFile: leaves nothing behind when the source cannot be read", () => {
    withStaging({}, (staging, linux, { directory }) => {
      linux.files.makeDirectory(fromText("/source"), 0o755);
      const failing = () => staging.addFile(fromText("/source"));
      expect(failing).toThrow();
      expect(linux.files.readDirectory(directory)).toEqual([]);
      expect(staging.take()).toEqual([]);
    });
  });
});

describe.each(modes)("ObjectStaging in a $mode repo", ({ secure }) => {
  test("add: a sound object of the repo is not staged", () => {
    withStaging({ secure, present: [small, large] }, (staging) => {
      expect(staging.add(small)).toBe(idOf(small));
      const writer = staging.begin();
      writer.write(large);
      expect(writer.finish().id).toBe(idOf(large));
      expect(staging.take()).toEqual([]);
    });
  });

  test("add: an object whose bytes are damaged is staged to replace it", () => {
    withStaging({ secure, present: [small, large] }, (staging, linux) => {
      linux.damage(objectPath(repoPath, idOf(small)), 50);
      linux.damage(objectPath(repoPath, idOf(large)), 650_000);
      staging.add(small);
      const writer = staging.begin();
      writer.write(large);
      writer.finish();
      expect(staging.take()).toMatchObject([
        { id: idOf(small), replaces: true },
        { id: idOf(large), replaces: true },
      ]);
    });
  });

  test("add: an object that is cut off, or is no file, is staged to replace it", () => {
    withStaging({ secure, present: [small] }, (staging, linux) => {
      linux.files.unlink(objectPath(repoPath, idOf(small)));
      linux.files.writeNewFile(objectPath(repoPath, idOf(small)), small.subarray(0, 90), 0o644);
      staging.add(small);
      expect(staging.take()).toMatchObject([{ id: idOf(small), replaces: true }]);
    });
    withStaging({ secure, present: [small] }, (staging, linux) => {
      linux.files.unlink(objectPath(repoPath, idOf(small)));
      linux.files.symlink(fromText("/etc/passwd"), objectPath(repoPath, idOf(small)));
      staging.add(small);
      expect(staging.take()).toMatchObject([{ id: idOf(small), replaces: true }]);
    });
  });

  test("add: an object that vanished since the repo was listed is staged", () => {
    withStaging({ secure, present: [small] }, (staging, linux) => {
      linux.files.unlink(objectPath(repoPath, idOf(small)));
      staging.add(small);
      expect(staging.take()).toMatchObject([{ id: idOf(small), replaces: false }]);
    });
  });

  test("add: an object without seal is sound only where no seal is asked for", () => {
    withStaging({ secure, present: [small] }, (staging, linux) => {
      linux.files.unlink(objectPath(repoPath, idOf(small)));
      linux.files.writeNewFile(objectPath(repoPath, idOf(small)), small, 0o644);
      staging.add(small);
      expect(staging.take()).toHaveLength(secure ? 1 : 0);
    });
  });

  test("has, comparablePath: an object for which the kernel vouches where it has to", () => {
    withStaging({ secure, present: [small] }, (staging, linux) => {
      const path = objectPath(repoPath, idOf(small));
      expect(staging.has(idOf(large))).toBe(false);
      expect(staging.has(idOf(small))).toBe(true);
      expect(staging.comparablePath(idOf(small))).toBe(path);
      linux.files.unlink(path);
      linux.files.writeNewFile(path, small, 0o644);
      expect(staging.has(idOf(small))).toBe(!secure);
      expect(staging.comparablePath(idOf(small))).toBe(secure ? undefined : path);
    });
  });

  test("has: a repo without any object is not asked for one", () => {
    withStaging({ secure }, (_, linux, plain) => {
      const asked = (): never => {
        throw new Error("asked");
      };
      const staging = new ObjectStaging({ ...linux.files, lstatIfExists: asked, measureVerity: asked }, plain);
      expect(staging.has(idOf(small))).toBe(false);
      expect(staging.add(small)).toBe(idOf(small));
    });
  });
});

test("ObjectStaging: an object that the disk cannot open is replaced, another error is not hidden", () => {
  withStaging({ secure: false, present: [small] }, (_, linux, plain) => {
    const path = objectPath(repoPath, idOf(small));
    const failing = (code: "EIO" | "EACCES") => ({
      ...linux.files,
      open: (opened: typeof path, ...rest: [Parameters<typeof linux.files.open>[1], number?]) => {
        if (opened === path) throw systemCallError({ verb: "open", path }, code);
        return linux.files.open(opened, ...rest);
      },
    });
    const staging = new ObjectStaging(failing("EIO"), plain);
    staging.add(small);
    expect(staging.take()).toMatchObject([{ replaces: true }]);
    expect(() => new ObjectStaging(failing("EACCES"), plain).add(small)).toThrow(
      expect.objectContaining({ code: "permission-denied" }),
    );
  });
});
