import { beforeEach, expect, test } from "vitest";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { deploymentTag } from "../../../src/operations/deployment-tag.ts";
import { listImages } from "../../../src/operations/list-images.ts";
import { untagImages } from "../../../src/operations/untag-image.ts";
import { tagImage } from "../../../src/repo/references.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { failureOf, layoutReference, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { storeOs } from "../../builders/stored-os.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const { linux: stored, images } = await storeOs({ verity: false });
let linux: FakeLinux;
beforeEach(() => {
  linux = stored.crash({ keepUnsynced: true });
});

const untag = (...names: readonly string[]) => untagImages(systemOn(linux), { repo: repoOfSysroot, images: names });
const tags = async () => (await listImages(systemOn(linux), { repo: repoOfSysroot })).map(({ tag }) => tag);

function tag(name: string): void {
  const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
  tagImage(repo, name, parseManifestDigest(images.v1.manifestDigest));
  repo.close();
}

test("untagImages: takes the names away, each once, and leaves all others", async () => {
  tag("other");
  expect(await untag(layoutReference("v1"), "other", "other")).toEqual([
    { tag: layoutReference("v1"), manifestDigest: images.v1.manifestDigest },
    { tag: "other", manifestDigest: images.v1.manifestDigest },
  ]);
  expect(await tags()).toEqual([layoutReference("data"), layoutReference("v2")]);
});

test("untagImages: knows an image by the reference that was pulled, and a short name", async () => {
  tag("localhost:5000/os:v1");
  tag("quay.io/lab/other:v1");
  await untag("docker://localhost:5000/os:v1", "other:v1");
  expect(await tags()).not.toContain("localhost:5000/os:v1");
  expect(await tags()).not.toContain("quay.io/lab/other:v1");
});

test("untagImages: takes nothing away when one of the names is not there", async () => {
  const before = await tags();
  expect(await failureOf(untag(layoutReference("v1"), "absent"))).toMatchObject({
    code: "not-found",
    message: expect.stringMatching(/^Cannot find image "absent": the repo holds /),
  });
  expect(await tags()).toEqual(before);
});

test("untagImages: leaves the tag alone that keeps a deployment", async () => {
  const name = deploymentTag(images.v1.manifestDigest);
  tag(name);
  expect(await failureOf(untag(layoutReference("v2"), name))).toMatchObject({
    code: "usage",
    message: `Cannot take the tag "${name}" away: it keeps a deployment`,
  });
  expect(await tags()).toContain(layoutReference("v2"));
});

test("untagImages: is durable when it returns", async () => {
  await untag(layoutReference("v1"));
  linux = linux.crash({ keepUnsynced: false });
  expect(await tags()).toEqual([layoutReference("data"), layoutReference("v2")]);
});
