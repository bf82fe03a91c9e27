import { describe, expect, test } from "vitest";
import { type ByteString, fromText } from "../../../src/core/bytes/byte-string.ts";
import { type ManifestDigest, parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import {
  dropRootImageReference,
  listReferences,
  listTags,
  referRootImage,
  resolveTag,
  tagImage,
  untagImage,
} from "../../../src/repo/references.ts";
import { content, idOf, makeRepo, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const first = parseManifestDigest(`sha256:${"1".repeat(64)}`);
const second = parseManifestDigest(`sha256:${"2".repeat(64)}`);

function withManifests(): FakeLinux {
  const linux = new FakeLinux();
  makeRepo(linux);
  withRepo(linux, "write", (repo) =>
    stageAndPublish(repo, (staging) => ({
      streams: [first, second].map((digest: ManifestDigest, index) => ({
        name: `oci-manifest-${digest}`,
        id: staging.add(content(100, index)),
      })),
    })),
  );
  return linux;
}

describe("tags", () => {
  test("tagImage: makes the relative link of composefs-rs", () => {
    const linux = withManifests();
    withRepo(linux, "write", (repo) => tagImage(repo, "localhost/os:1", first));
    expect(linux.files.readLink(fromText("/repo/streams/refs/oci/localhost%2Fos:1"))).toBe(
      `../../oci-manifest-${first}`,
    );
  });

  test("tagImage: moves a tag, durably, and leaves no temporary name", () => {
    const linux = withManifests();
    withRepo(linux, "write", (repo) => {
      tagImage(repo, "os", first);
      tagImage(repo, "os", second);
      expect(resolveTag(repo, "os")).toBe(second);
      expect(linux.trace.at(-1)?.call).toBe("syncFileSystem");
    });
    expect(linux.files.readDirectory(fromText("/repo/streams/refs/oci"))).toEqual(["os"]);
  });

  test("tagImage: a tag in any language is found again, and lies on the disk in UTF-8 once", () => {
    const linux = withManifests();
    withRepo(linux, "write", (repo) => {
      tagImage(repo, "localhost/Bücher", first);
      expect(resolveTag(repo, "localhost/Bücher")).toBe(first);
      expect(listTags(repo)).toEqual([{ tag: "localhost/Bücher", manifest: first }]);
      expect(linux.files.readDirectory(fromText("/repo/streams/refs/oci"))).toEqual([fromText("localhost%2FBücher")]);
      expect(untagImage(repo, "localhost/Bücher")).toBe(true);
    });
  });

  test("tagImage: refuses an image that is not there", () => {
    const linux = withManifests();
    const absent = parseManifestDigest(`sha256:${"3".repeat(64)}`);
    expect(() => withRepo(linux, "write", (repo) => tagImage(repo, "os", absent))).toThrow(
      expect.objectContaining({ code: "not-found" }),
    );
  });

  test("untagImage: takes the tag away and says whether it was there", () => {
    const linux = withManifests();
    withRepo(linux, "write", (repo) => {
      tagImage(repo, "os", first);
      expect(untagImage(repo, "os")).toBe(true);
      expect(untagImage(repo, "os")).toBe(false);
      expect(resolveTag(repo, "os")).toBeUndefined();
    });
  });

  test("untagImage: an error that is not a missing tag is not hidden", () => {
    const linux = withManifests();
    linux.files.makeDirectory(fromText("/repo/streams/refs/oci"), 0o755);
    linux.files.makeDirectory(fromText("/repo/streams/refs/oci/os"), 0o755);
    expect(() => withRepo(linux, "write", (repo) => untagImage(repo, "os"))).toThrow();
  });

  test("listTags: lists them with their image, without what is no tag", () => {
    const linux = withManifests();
    withRepo(linux, "write", (repo) => {
      expect(listTags(repo)).toEqual([]);
      tagImage(repo, "b/c", second);
      tagImage(repo, "a%2F", first);
      const links = {
        ".symlink-01": `../../oci-manifest-${first}`,
        config: "../../oci-config-x",
        bad: "../../oci-manifest-x",
      };
      for (const [name, target] of Object.entries(links)) {
        linux.files.symlink(fromText(target), fromText(`/repo/streams/refs/oci/${name}`));
      }
      expect(listTags(repo)).toEqual([
        { tag: "a%2F", manifest: first },
        { tag: "b/c", manifest: second },
      ]);
    });
  });
});

describe("references to root images", () => {
  const image = content(5000);

  function withRootImage(): FakeLinux {
    const linux = new FakeLinux();
    makeRepo(linux);
    withRepo(linux, "write", (repo) => stageAndPublish(repo, (staging) => ({ rootImages: [staging.add(image)] })));
    return linux;
  }

  test("referRootImage: makes a link that climbs to the root image, and dropRootImageReference takes it away", () => {
    const linux = withRootImage();
    withRepo(linux, "write", (repo) => {
      referRootImage(repo, "a/b", idOf(image));
      expect(linux.files.readLink(fromText("/repo/images/refs/a%2Fb"))).toBe(`../../images/${idOf(image)}`);
      expect(listReferences(repo).map(({ kind, target }) => [kind, target])).toEqual([["image", idOf(image)]]);
      expect(dropRootImageReference(repo, "a/b")).toBe(true);
      expect(dropRootImageReference(repo, "a/b")).toBe(false);
      expect(listReferences(repo)).toEqual([]);
    });
  });

  test("referRootImage: refuses a root image that is not there", () => {
    const linux = withRootImage();
    expect(() => withRepo(linux, "write", (repo) => referRootImage(repo, "a", idOf(content(1))))).toThrow(
      expect.objectContaining({ code: "not-found" }),
    );
  });
});

test("listReferences: finds links at every depth, and what is none", () => {
  const linux = withManifests();
  const { files } = linux;
  withRepo(linux, "write", (repo) => tagImage(repo, "os", first));
  files.makeDirectory(fromText("/repo/streams/refs/a"), 0o755);
  files.makeDirectory(fromText("/repo/streams/refs/a/b"), 0o755);
  const links = {
    "streams/refs/a/b/c": "../../../oci-blob-x",
    "streams/refs/a/up": "../../..",
    "streams/refs/a/out": "/etc",
    "images/refs/one": "../../images/ab",
    "images/refs/two": "../cd",
    "images/refs/zero": "../sub/cd",
  };
  for (const [path, target] of Object.entries(links)) files.symlink(fromText(target), fromText(`/repo/${path}`));
  files.writeNewFile(fromText("/repo/images/refs/plain"), content(1), 0o644);
  const found = withRepo(linux, "read", listReferences).map(({ kind, name, target }) => [kind, name, target]);
  expect(found).toEqual([
    ["stream", "a/b/c", "oci-blob-x"],
    ["stream", "a/out", undefined],
    ["stream", "a/up", undefined],
    ["stream", "oci/os", `oci-manifest-${first}`],
    ["image", "one", "ab"],
    ["image", "plain", undefined],
    ["image", "two", "cd"],
    ["image", "zero", undefined],
  ]);
});

test("listReferences: a name that goes while it looks is no reference, and no error", () => {
  const linux = withManifests();
  withRepo(linux, "write", (repo) => {
    for (const tag of ["kept", "renamed", "untagged"]) tagImage(repo, tag, first);
  });
  const goesWith = (name: string, path: ByteString) => path.endsWith(`/${name}`) && linux.files.unlink(path);
  const machine = {
    clock: linux.clock,
    files: {
      ...linux.files,
      lstatIfExists: (path: ByteString) => {
        goesWith("renamed", path);
        return linux.files.lstatIfExists(path);
      },
      readLink: (path: ByteString) => {
        goesWith("untagged", path);
        return linux.files.readLink(path);
      },
    },
  };
  const found = withRepo(machine, "read", listReferences).map(({ name, target }) => [name, target]);
  expect(found).toEqual([
    ["oci/kept", `oci-manifest-${first}`],
    ["oci/untagged", undefined],
  ]);
});
