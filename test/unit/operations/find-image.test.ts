import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { removeTree } from "../../../src/linux/remove-tree.ts";
import { findImage, tagOfReference } from "../../../src/operations/find-image.ts";
import { tagImage } from "../../../src/repo/references.ts";
import { openRepo, type RepoAccess } from "../../../src/repo/repo.ts";
import {
  layoutPath,
  layoutReference,
  machineWith,
  machineWithRepo,
  repoOfSysroot,
  switchTo,
} from "../../builders/operation-machine.ts";
import { placeLayout } from "../../builders/os-images.ts";
import { storeOs } from "../../builders/stored-os.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const { linux, images } = await storeOs();

function find(words: string, machine: FakeLinux = linux) {
  return withRepo(machine, "read", (repo) => findImage(repo, words));
}

function withRepo<Access extends RepoAccess, T>(
  machine: FakeLinux,
  access: Access,
  use: (repo: ReturnType<typeof openRepo<Access>>) => T,
): T {
  const repo = openRepo(machine, repoOfSysroot, { access, wait: false });
  try {
    return use(repo);
  } finally {
    repo.close();
  }
}

describe("findImage", () => {
  test("finds an image by its tag, and all that was made of it", () => {
    const found = find(layoutReference("v1"));
    expect(found.manifestDigest).toBe(images.v1.manifestDigest);
    expect(Buffer.compare(found.manifestBytes, images.v1.manifest)).toBe(0);
    expect(Buffer.compare(found.configBytes, images.v1.config)).toBe(0);
    expect(found.layers.map(({ digest, diffId }) => ({ digest, diffId }))).toEqual(
      images.v1.layers.map(({ digest, diffId }) => ({ digest, diffId })),
    );
    expect(found.rawImage).toMatch(/^[0-9a-f]{128}$/);
    expect(found.bootImage).toMatch(/^[0-9a-f]{128}$/);
    expect(find(layoutReference("data")).bootImage).toBeUndefined();
  });

  test("finds it by its manifest's digest", () => {
    expect(find(images.v2.manifestDigest).manifestDigest).toBe(images.v2.manifestDigest);
  });

  test("finds one from a registry with and without transport, and with the tag left out", () => {
    withRepo(linux, "write", (repo) => {
      tagImage(repo, "registry.example/os:latest", find(images.v1.manifestDigest).manifestDigest);
      tagImage(repo, "docker.io/library/debian:12", find(images.v2.manifestDigest).manifestDigest);
    });
    for (const words of ["registry.example/os:latest", "docker://registry.example/os:latest", "registry.example/os"]) {
      expect(find(words).manifestDigest).toBe(images.v1.manifestDigest);
    }
    expect(find("docker://debian:12").manifestDigest).toBe(images.v2.manifestDigest);
  });

  test("names what there is when it finds nothing", () => {
    expect(() => find("oci:/layout:v9")).toThrow(
      expect.objectContaining({
        code: "not-found",
        message: expect.stringMatching(
          /^Cannot find image "oci:\/layout:v9": the repo holds .*oci:\/layout:data, oci:\/layout:v1, oci:\/layout:v2/,
        ),
        facts: { image: "oci:/layout:v9" },
      }),
    );
    expect(() => find(`sha256:${"00".repeat(32)}`)).toThrow(expect.objectContaining({ code: "not-found" }));
  });

  test("finds it by the beginning of that digest, as tables show it", () => {
    const manifestDigest: string = images.v2.manifestDigest;
    for (const words of [manifestDigest.slice(0, 19), manifestDigest.slice("sha256:".length, 19)]) {
      expect(find(words).manifestDigest).toBe(manifestDigest);
    }
    expect(() => find(`sha512:${manifestDigest.slice("sha256:".length, 19)}`)).toThrow(/^Cannot find image "sha512:/);
  });

  test("a tag comes before the digest that begins like it", () => {
    const machine = linux.crash({ keepUnsynced: true });
    const words = images.v2.manifestDigest.slice("sha256:".length, 19);
    withRepo(machine, "write", (repo) => tagImage(repo, words, find(layoutReference("v1")).manifestDigest));
    expect(find(words, machine).manifestDigest).toBe(images.v1.manifestDigest);
  });

  test("asks for more digits where several digests begin so", () => {
    const machine = linux.crash({ keepUnsynced: true });
    const digests = ["a", "b"].map((digit) => `sha256:cafe${digit.repeat(60)}`);
    for (const digest of digests) {
      const tags = "/target/composefs/streams/refs/oci";
      machine.files.symlink(fromText(`../../oci-manifest-${digest}`), fromText(`${tags}/${digest}`));
    }
    expect(() => find("cafe", machine)).toThrow(
      expect.objectContaining({
        code: "usage",
        message: `Cannot choose an image of "cafe": it may be ${digests.join(" or ")}`,
      }),
    );
  });

  test.each(["sha256:123", "sha256:1234z", `sha256:${"1".repeat(65)}`])("refuses %s, which is no digest", (words) => {
    expect(() => find(words)).toThrow(
      expect.objectContaining({
        code: "usage",
        message: `Cannot find image "${words}": a digest is sha256: and 64 lower-case hex digits, or sha512: and 128, of which the first 4 may be enough`,
      }),
    );
  });

  test("says so when the repo is empty", async () => {
    const empty = await machineWithRepo({});
    expect(() => find("os", empty)).toThrow('Cannot find image "os": the repo holds no image');
  });
});

describe("findImage, in the repo of a sysroot", async () => {
  const deployed = machineWith(images);
  await switchTo(deployed, "v1");
  await switchTo(deployed, "v2");

  test("finds an image by what its deployment follows, also from the directory of a relative path", () => {
    expect(find(layoutReference("v1"), deployed).manifestDigest).toBe(images.v1.manifestDigest);
    expect(find(layoutReference("v2").replace(":/", ":"), deployed).manifestDigest).toBe(images.v2.manifestDigest);
  });

  test("names what the deployments follow when it finds nothing", () => {
    expect(() => find("oci:/layout:v9", deployed)).toThrow(
      expect.objectContaining({
        code: "not-found",
        message: expect.stringMatching(
          /^Cannot find image "oci:\/layout:v9": the repo holds oci:\/layout:v[12], oci:\/layout:v[12]$/,
        ),
      }),
    );
  });

  test("asks for a digest where deployments of two images follow the same tag", async () => {
    const moved = machineWith(images);
    await switchTo(moved, "v1");
    removeTree(moved.files, layoutPath);
    placeLayout(moved.files, layoutPath, { v1: images.v2 });
    await switchTo(moved, "v1");
    expect(() => find(layoutReference("v1"), moved)).toThrow(
      expect.objectContaining({ code: "usage", message: expect.stringContaining("several deployments follow it") }),
    );
    expect(find(images.v1.manifestDigest, moved).manifestDigest).toBe(images.v1.manifestDigest);
  });
});

test.each([
  ["docker://registry.example/os:1", "registry.example/os:1"],
  ["oci:/layout:v1", "oci:/layout:v1"],
])("tagOfReference: %s is tagged %s", (reference, tag) => {
  expect(tagOfReference(parseImageReference(reference))).toBe(tag);
});
