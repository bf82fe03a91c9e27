import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import type { ObjectId } from "../../../src/core/digest/object-id.ts";
import { SplitstreamWriter } from "../../../src/core/splitstream/splitstream-writer.ts";
import { systemCallError } from "../../../src/linux/errno.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { compressZstd } from "../../../src/linux/zstd-encoder.ts";
import { checkRepo, type FsckOptions } from "../../../src/repo/fsck.ts";
import type { FsckReport } from "../../../src/repo/fsck-report.ts";
import { tagImage } from "../../../src/repo/references.ts";
import { objectPath } from "../../../src/repo/repo-paths.ts";
import { content, idOf, makeRepo, modes, repoPath, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { imageContents, type StoredImage, stageImage } from "../../builders/stored-images.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

function withImage(secure: boolean): { readonly linux: FakeLinux; readonly image: StoredImage } {
  const linux = new FakeLinux();
  makeRepo(linux, { secure });
  return withRepo(linux, "write", (repo) => {
    const images: StoredImage[] = [];
    stageAndPublish(repo, (staging) => {
      const image = stageImage(staging, "one", imageContents(0));
      images.push(image);
      return { streams: image.streams, rootImages: [image.rootImage] };
    });
    const [image] = images;
    if (image === undefined) throw new Error("no image");
    tagImage(repo, "os/one", image.manifest);
    return { linux, image };
  });
}

function check(linux: FakeLinux, options: Partial<FsckOptions> = {}): FsckReport {
  return withRepo(linux, "read", (repo) =>
    checkRepo(repo, { metadataOnly: false, deployments: new Map(), ...options }),
  );
}

function kinds(report: FsckReport): readonly string[] {
  return report.problems.map(({ kind, severity }) => `${severity} ${kind}`);
}

function path(id: ObjectId | undefined) {
  return objectPath(repoPath, id ?? idOf(content(0)));
}

function replace(linux: FakeLinux, id: ObjectId | undefined, bytes: Uint8Array): void {
  linux.files.unlink(path(id));
  linux.files.writeNewFile(path(id), bytes, 0o644);
}

describe.each(modes)("checkRepo of a $mode repo", ({ secure }) => {
  test("checkRepo: a whole repo has no problem, and is counted", () => {
    const { linux } = withImage(secure);
    const report = check(linux);
    expect(report).toEqual({
      ok: true,
      objects: 9,
      objectBytes: expect.any(Number),
      streams: 3,
      images: 1,
      problems: [],
    });
    expect(JSON.parse(JSON.stringify(report))).toEqual(report);
    expect(linux.openPaths).toEqual([]);
  });

  test("checkRepo: what a pull brings while it runs is not missing", () => {
    const { linux } = withImage(secure);
    let brought = false;
    const report = check(linux, {
      onObject: () => {
        if (brought) return;
        brought = true;
        withRepo(linux, "write", (repo) => {
          const images: StoredImage[] = [];
          stageAndPublish(repo, (staging) => {
            const image = stageImage(staging, "two", imageContents(7));
            images.push(image);
            return { streams: image.streams, rootImages: [image.rootImage] };
          });
          for (const { manifest } of images) tagImage(repo, "os/two", manifest);
        });
      },
    });
    expect(report).toMatchObject({ ok: true, images: 2, problems: [] });
  });

  test("checkRepo: a damaged object is named, with everybody whom it hits", () => {
    const { linux, image } = withImage(secure);
    const [, file] = image.files;
    linux.damage(path(file));
    const report = check(linux, { deployments: new Map([["deployment 7", image.rootImage]]) });
    expect(report.ok).toBe(false);
    expect(report.problems).toEqual([
      {
        kind: secure ? "object-unreadable" : "object-damaged",
        severity: "error",
        path: `objects/${file?.slice(0, 2)}/${file?.slice(2)}`,
        object: file,
        message: expect.any(String),
        hits: ["os/one", `images/${image.rootImage}`, "deployment 7"],
        files: ["/file1"],
      },
    ]);
  });

  test("checkRepo: a missing object is one problem, however many need it", () => {
    const { linux, image } = withImage(secure);
    linux.files.unlink(path(image.files[0]));
    const report = check(linux);
    expect(kinds(report)).toEqual(["error object-missing"]);
    expect(report.problems[0]?.hits).toEqual(["os/one", `images/${image.rootImage}`]);
  });

  test("checkRepo: an object that was replaced by something else is damaged", () => {
    const { linux, image } = withImage(secure);
    replace(linux, image.files[0], content(99));
    if (secure) linux.files.enableVerity(path(image.files[0]), "sha512");
    linux.files.unlink(path(image.files[1]));
    linux.files.symlink(fromText("/etc/passwd"), path(image.files[1]));
    const report = check(linux);
    expect([...kinds(report)].sort()).toEqual(["error object-damaged", "error object-damaged"]);
    expect(report.problems.map(({ message }) => message).join()).toContain("it is a symlink");
  });

  test("checkRepo: streams and root images that cannot be read do not end it", () => {
    const { linux, image } = withImage(secure);
    replace(linux, image.rootImage, content(5000));
    replace(linux, image.streams[0]?.id, content(500));
    const report = check(linux);
    expect(kinds(report)).toContain("error image-unreadable");
    expect(kinds(report)).toContain("error stream-unreadable");
    expect(report.problems.find(({ kind }) => kind === "stream-unreadable")?.hits).toEqual(["os/one"]);
  });
});

describe("checkRepo", () => {
  test("checkRepo: a seal so damaged that its file cannot be opened does not end it", () => {
    const { linux, image } = withImage(true);
    const [file] = image.files;
    const measureVerity: LinuxFiles["measureVerity"] = (each, algorithm) => {
      if (each === path(file)) throw systemCallError({ verb: "open", path: each }, "EINVAL");
      return linux.files.measureVerity(each, algorithm);
    };
    const machine = { files: { ...linux.files, measureVerity }, clock: linux.clock };
    const report = withRepo(machine, "read", (repo) => checkRepo(repo, { metadataOnly: true, deployments: new Map() }));
    expect(report).toMatchObject({ ok: false, objects: 9 });
    expect(report.problems).toMatchObject([{ kind: "object-unreadable", object: file }]);
    expect(report.problems[0]?.hits).toContain("os/one");
  });

  test("checkRepo: an object of a secure repo that lost its seal, though its bytes are right", () => {
    const { linux, image } = withImage(true);
    replace(linux, image.files[0], imageContents(0)[0] ?? content(0));
    const report = check(linux);
    expect(kinds(report)).toEqual(["error object-unsealed"]);
  });

  test("checkRepo: an object that is sealed, but as another one, is seen without its bytes", () => {
    const { linux, image } = withImage(true);
    const [file] = image.files;
    replace(linux, file, content(5));
    linux.files.enableVerity(path(file), "sha512");
    for (const metadataOnly of [true, false]) {
      expect(check(linux, { metadataOnly }).problems).toMatchObject([
        { kind: "object-damaged", object: file, message: `the kernel measures ${idOf(content(5))}` },
      ]);
    }
  });

  test("checkRepo: what streams refer to that no tag and no root image keeps is looked for, too", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure: false });
    const image = withRepo(linux, "write", (repo) => {
      const images: StoredImage[] = [];
      stageAndPublish(repo, (staging) => {
        images.push(stageImage(staging, "one", imageContents(0)));
        return { streams: images.flatMap(({ streams }) => streams), rootImages: [] };
      });
      return images[0];
    });
    expect(check(linux).problems).toEqual([]);
    linux.files.unlink(path(image?.files[0]));
    expect(check(linux, { metadataOnly: true }).problems).toMatchObject([
      { kind: "object-missing", object: image?.files[0], hits: [] },
    ]);
  });

  test("checkRepo: of many files with one content 20 are told, also where another name keeps the root image", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure: false });
    const shared = content(3000, 9);
    const rootImage = withRepo(linux, "write", (repo) => {
      const images: StoredImage[] = [];
      stageAndPublish(repo, (staging) => {
        const image = stageImage(staging, "many", [content(100, 40), ...Array<Uint8Array>(25).fill(shared)]);
        images.push(image);
        return { streams: image.streams, rootImages: [image.rootImage] };
      });
      return images[0]?.rootImage;
    });
    linux.files.symlink(fromText(`../${rootImage}`), fromText("/repo/images/refs/mine"));
    linux.damage(path(idOf(shared)));
    const { problems } = check(linux);
    expect(problems.map(({ hits, files }) => [hits, files.length])).toEqual([
      [["images/refs/mine", `images/${rootImage}`], 20],
    ]);
  });

  test("checkRepo: without reading objects, names and streams are checked all the same", () => {
    const { linux, image } = withImage(false);
    linux.damage(path(image.files[0]));
    expect(check(linux, { metadataOnly: true }).problems).toEqual([]);
    linux.files.unlink(path(image.files[1]));
    expect(kinds(check(linux, { metadataOnly: true }))).toEqual(["error object-missing"]);
  });

  test("checkRepo: meta.json that was changed after it was sealed", () => {
    const { linux } = withImage(true);
    const meta = fromText("/repo/meta.json");
    linux.files.unlink(meta);
    linux.files.writeNewFile(meta, new TextEncoder().encode('{"version":1,"algorithm":"fsverity-sha512-12"}'), 0o644);
    linux.files.enableVerity(meta, "sha256");
    expect(kinds(check(linux))).toEqual(["error meta-damaged"]);
  });

  test("checkRepo: a repo of the old format is no error", () => {
    const { linux } = withImage(true);
    linux.files.unlink(fromText("/repo/meta.json"));
    const report = check(linux);
    expect(report.ok).toBe(true);
    expect(kinds(report)).toEqual(["note meta-missing"]);
  });

  test("checkRepo: links that lead nowhere, elsewhere, or to another object", () => {
    const { linux, image } = withImage(false);
    const { files } = linux;
    const absent = idOf(content(1));
    const link = (id: ObjectId) => fromText(`../objects/${id.slice(0, 2)}/${id.slice(2)}`);
    files.symlink(link(absent), fromText("/repo/streams/oci-blob-x"));
    files.symlink(link(image.rootImage), fromText(`/repo/images/${absent}`));
    files.symlink(fromText("/etc"), fromText("/repo/streams/etc"));
    files.symlink(fromText("../../oci-manifest-gone"), fromText("/repo/streams/refs/oci/gone"));
    files.symlink(fromText("/etc"), fromText("/repo/streams/refs/oci/odd"));
    const found = check(linux).problems.map(({ kind, path: where, hits }) => ({ kind, where, hits }));
    expect(found).toEqual(
      [
        { kind: "stray-file", where: "streams/etc", hits: [] },
        { kind: "link-dangling", where: "streams/oci-blob-x", hits: [] },
        { kind: "link-wrong", where: `images/${absent}`, hits: ["os/one", `images/${image.rootImage}`] },
        { kind: "reference-dangling", where: "streams/refs/oci/gone", hits: ["gone"] },
        { kind: "stray-file", where: "streams/refs/oci/odd", hits: [] },
      ].sort(
        (a, b) => found.findIndex(({ where }) => where === a.where) - found.findIndex(({ where }) => where === b.where),
      ),
    );
  });

  test("checkRepo: a stream under another's name, and one that breaks off", () => {
    const { linux } = withImage(false);
    const other = `sha256:${"0".repeat(64)}`;
    withRepo(linux, "write", (repo) => {
      const inline = new SplitstreamWriter("sha512", "layer");
      inline.addInline(content(100));
      const cut = new SplitstreamWriter("sha512", "layer");
      stageAndPublish(repo, (staging) => ({
        streams: [
          { name: `oci-layer-${other}`, id: staging.add(inline.finish(compressZstd)) },
          { name: `oci-blob-${other}`, id: staging.add(cut.finish(() => compressZstd(new Uint8Array(3)))) },
          { name: "of-another-program", id: staging.add(new SplitstreamWriter("sha512", "blob").finish(compressZstd)) },
        ],
      }));
    });
    const found = check(linux).problems.map(({ kind, path: where }) => `${kind} ${where}`);
    expect(found).toContain(`stream-mismatch streams/oci-layer-${other}`);
    expect(found.filter((line) => line.startsWith("stream-unreadable"))).toHaveLength(1);
    expect(found).toHaveLength(2);
  });

  test("checkRepo: a bug is not taken for damage", () => {
    const { linux } = withImage(false);
    withRepo(linux, "read", (repo) => {
      const { read } = repo.files;
      let calls = 0;
      repo.files.read = (...call) => {
        if (++calls > 25) throw new TypeError("a bug");
        return read(...call);
      };
      expect(() => checkRepo(repo, { metadataOnly: false, deployments: new Map() })).toThrow("a bug");
    });
  });

  test("checkRepo: strays and leftovers are notes", () => {
    const { linux } = withImage(false);
    const files = ["objects/README", "objects/.tmp-object-1", "streams/.symlink-1", "streams/refs/oci/.symlink-2"];
    for (const name of files) linux.files.writeNewFile(fromText(`/repo/${name}`), content(1), 0o644);
    linux.files.makeDirectory(fromText("/repo/staging/dead"), 0o700);
    const report = check(linux);
    expect(report.ok).toBe(true);
    expect(report.problems.map(({ kind, path: where }) => `${kind} ${where}`).sort()).toEqual([
      "leftover objects/.tmp-object-1",
      "leftover staging/dead",
      "leftover streams/.symlink-1",
      "leftover streams/refs/oci/.symlink-2",
      "stray-file objects/README",
    ]);
  });

  test("checkRepo: a deployment whose root image is gone", () => {
    const { linux } = withImage(false);
    const absent = idOf(content(1));
    const report = check(linux, { deployments: new Map([["deployment 3", absent]]) });
    expect(report.problems).toMatchObject([{ kind: "object-missing", object: absent, hits: ["deployment 3"] }]);
  });

  test("checkRepo: a deployment whose root image has lost its name, by which a boot finds it", () => {
    const { linux, image } = withImage(false);
    const deployments = new Map([["deployment 7", image.rootImage]]);
    expect(check(linux, { deployments }).problems).toEqual([]);
    linux.files.unlink(fromText(`/repo/images/${image.rootImage}`));
    expect(check(linux, { deployments }).problems).toMatchObject([
      {
        ...{
          kind: "reference-dangling",
          severity: "error",
          path: `images/${image.rootImage}`,
          object: null,
        },
        ...{ message: "a deployment starts from it, and the link is not there", hits: ["deployment 7"] },
      },
    ]);
  });

  test("checkRepo: tells its progress", () => {
    const { linux } = withImage(false);
    const steps: string[] = [];
    check(linux, { onObject: (done, total) => steps.push(`${done}/${total}`) });
    expect(steps).toEqual(Array.from({ length: 9 }, (_, done) => `${done}/9`));
  });
});
