import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import type { ObjectId } from "../../../src/core/digest/object-id.ts";
import { collectGarbage } from "../../../src/repo/gc.ts";
import { listObjects } from "../../../src/repo/object-listing.ts";
import { planGc } from "../../../src/repo/plan-gc.ts";
import { tagImage, untagImage } from "../../../src/repo/references.ts";
import { objectPath } from "../../../src/repo/repo-paths.ts";
import { content, idOf, makeRepo, modes, repoPath, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { imageContents, type StoredImage, stageImage } from "../../builders/stored-images.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

interface TwoImages {
  readonly linux: FakeLinux;
  readonly one: StoredImage;
  readonly two: StoredImage;
}

/** A repo with the images "one" and "two", which share a file and are both tagged. */
function withTwoImages(secure: boolean): TwoImages {
  const linux = new FakeLinux();
  makeRepo(linux, { secure });
  const shared = content(300, 77);
  const [one, two] = withRepo(linux, "write", (repo) =>
    ["one", "two"].map((name, index) => addImage(repo, name, [shared, ...imageContents(index * 10)])),
  );
  if (one === undefined || two === undefined) throw new Error("no images");
  return { linux, one, two };
}

function addImage(
  repo: Parameters<typeof stageAndPublish>[0],
  name: string,
  contents: readonly Uint8Array[],
): StoredImage | undefined {
  let image: StoredImage | undefined;
  stageAndPublish(repo, (staging) => {
    image = stageImage(staging, name, contents);
    return { streams: image.streams, rootImages: [image.rootImage] };
  });
  if (image !== undefined) tagImage(repo, name, image.manifest);
  return image;
}

function objects(linux: FakeLinux): ReadonlySet<ObjectId> {
  return listObjects(linux.files, repoPath, "sha512").ids;
}

function names(linux: FakeLinux, directory: string): readonly string[] {
  return linux.files.readDirectory(fromText(`/repo/${directory}`)).filter((name) => name !== "refs");
}

const nothing = { keepImages: [] };

describe.each(modes)("collectGarbage in a $mode repo", ({ secure }) => {
  test("collectGarbage: what tags reach is kept", () => {
    const { linux } = withTwoImages(secure);
    const before = objects(linux);
    const plan = withRepo(linux, "exclusive", (repo) => collectGarbage(repo, nothing));
    expect(plan).toMatchObject({ objects: [], links: [], danglingReferences: [], leftovers: [], strays: [] });
    expect(plan.keptObjects).toBe(before.size);
    expect(objects(linux)).toEqual(before);
  });

  test("collectGarbage: an untagged image goes, but not what another shares with it", () => {
    const { linux, one, two } = withTwoImages(secure);
    withRepo(linux, "write", (repo) => untagImage(repo, "one"));
    withRepo(linux, "exclusive", (repo) => collectGarbage(repo, nothing));
    const left = objects(linux);
    for (const id of [...two.files, two.rootImage, ...two.streams.map((stream) => stream.id)])
      expect(left).toContain(id);
    expect(one.files.filter((id) => left.has(id))).toEqual([idOf(content(300, 77))]);
    expect(names(linux, "streams")).toEqual(two.streams.map(({ name }) => name).sort());
    expect(names(linux, "images")).toEqual([two.rootImage]);
  });

  test("planGc: is what collectGarbage takes, with its size, and changes nothing", () => {
    const { linux } = withTwoImages(secure);
    withRepo(linux, "write", (repo) => untagImage(repo, "one"));
    const before = objects(linux);
    const calls = linux.trace.length;
    const plan = withRepo(linux, "read", (repo) => planGc(repo, nothing));
    expect(linux.trace.slice(calls).filter(({ call }) => call !== "lock")).toEqual([]);
    const taken = withRepo(linux, "exclusive", (repo) => collectGarbage(repo, nothing));
    expect(taken).toEqual(plan);
    const gone = [...before].filter((id) => !objects(linux).has(id));
    expect(plan.objects.map(({ id }) => id).sort()).toEqual(gone.sort());
    expect(plan.links).toHaveLength(4);
    expect(plan.objectBytes).toBe(plan.objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0));
    expect(plan.objects.find(({ sizeBytes }) => sizeBytes === 5000)).toBeDefined();
  });

  test("collectGarbage: a deployment keeps its root image and the files in it, not the streams", () => {
    const { linux, one } = withTwoImages(secure);
    withRepo(linux, "write", (repo) => untagImage(repo, "one"));
    withRepo(linux, "exclusive", (repo) => collectGarbage(repo, { keepImages: [one.rootImage] }));
    const left = objects(linux);
    for (const id of [...one.files, one.rootImage]) expect(left).toContain(id);
    for (const { id } of one.streams) expect(left).not.toContain(id);
    expect(names(linux, "images")).toContain(one.rootImage);
  });

  test("collectGarbage: a reference to a root image keeps it", () => {
    const { linux, one } = withTwoImages(secure);
    withRepo(linux, "write", (repo) => untagImage(repo, "one"));
    linux.files.symlink(fromText(`../../images/${one.rootImage}`), fromText("/repo/images/refs/mine"));
    withRepo(linux, "exclusive", (repo) => collectGarbage(repo, nothing));
    expect(objects(linux)).toContain(one.files[1]);
  });

  test("collectGarbage: names go before objects, with a sync between", () => {
    const { linux } = withTwoImages(secure);
    withRepo(linux, "write", (repo) => untagImage(repo, "one"));
    const calls = linux.trace.length;
    withRepo(linux, "exclusive", (repo) => collectGarbage(repo, nothing));
    const trace = linux.trace.slice(calls).map(({ call, path }) => `${call} ${path.split("/")[2] ?? ""}`);
    const sync = trace.findIndex((line) => line.startsWith("syncFileSystem"));
    const firstObject = trace.indexOf("unlink objects");
    expect(sync).toBeGreaterThan(trace.lastIndexOf("unlink streams"));
    expect(sync).toBeGreaterThan(trace.lastIndexOf("unlink images"));
    expect(firstObject).toBeGreaterThan(sync);
  });
});

describe("planGc", () => {
  test("planGc: strays are reported and left, leftovers are taken", () => {
    const { linux } = withTwoImages(false);
    const { files } = linux;
    const prefix = [...objects(linux)][0]?.slice(0, 2);
    const leftovers = ["/repo/.tmp-1", "/repo/objects/.tmp-object-abc", `/repo/objects/${prefix}/.tmp-2`];
    const strays = [
      "/repo/objects/README",
      `/repo/objects/${prefix}/what`,
      "/repo/streams/note",
      "/repo/images/refs/note",
    ];
    for (const path of [...leftovers, ...strays]) files.writeNewFile(fromText(path), content(3), 0o644);
    for (const path of ["/repo/streams/.symlink-1", "/repo/images/.symlink-3", "/repo/streams/refs/oci/.symlink-2"]) {
      files.symlink(fromText("../x"), fromText(path));
      leftovers.push(path);
    }
    files.symlink(fromText("/etc/passwd"), fromText("/repo/images/elsewhere"));
    strays.push("/repo/images/elsewhere");
    const odd = objectPath(repoPath, idOf(content(1)));
    files.makeDirectory(fromText(odd.slice(0, odd.lastIndexOf("/"))), 0o755);
    files.makeDirectory(odd, 0o755);
    strays.push(odd);
    const plan = withRepo(linux, "exclusive", (repo) => collectGarbage(repo, nothing));
    expect([...plan.leftovers].sort()).toEqual([...leftovers].sort());
    expect([...plan.strays].sort()).toEqual([...strays].sort());
    expect(plan.objects).toEqual([]);
    for (const path of leftovers) expect(files.lstatIfExists(fromText(path))).toBeUndefined();
    for (const path of strays) expect(files.lstatIfExists(fromText(path))).toBeDefined();
  });

  test("planGc: the staging directory of a dead run is a leftover", () => {
    const { linux } = withTwoImages(false);
    linux.files.makeDirectory(fromText("/repo/staging/dead"), 0o700);
    const plan = withRepo(linux, "read", (repo) => planGc(repo, nothing));
    expect(plan.leftovers).toEqual(["/repo/staging/dead"]);
  });

  test("planGc: a reference that reaches nothing goes, and so does a link to a missing object", () => {
    const { linux, one } = withTwoImages(false);
    const manifest = one.streams[2];
    linux.files.unlink(objectPath(repoPath, manifest?.id ?? one.rootImage));
    linux.files.symlink(fromText("../../oci-manifest-none"), fromText("/repo/streams/refs/oci/none"));
    const plan = withRepo(linux, "exclusive", (repo) => collectGarbage(repo, nothing));
    expect(plan.danglingReferences).toEqual(["/repo/streams/refs/oci/none", "/repo/streams/refs/oci/one"]);
    expect(plan.links).toContain(`/repo/streams/${manifest?.name}`);
    expect(names(linux, "streams/refs/oci")).toEqual(["two"]);
  });

  test("planGc: a deployment whose root image is missing is reported", () => {
    const { linux, one } = withTwoImages(false);
    const absent = idOf(content(1));
    const plan = withRepo(linux, "read", (repo) => planGc(repo, { keepImages: [absent, one.rootImage] }));
    expect(plan.missingImages).toEqual([absent]);
  });

  test.each([
    ["stream", (image: StoredImage) => image.streams[0]?.id, ""],
    ["image", (image: StoredImage) => image.rootImage, ""],
    ["stream", (image: StoredImage) => image.streams[2]?.id, ", named by one,"],
  ] as const)("collectGarbage: takes nothing while a %s that is kept cannot be read", (role, pick, by) => {
    const { linux, one } = withTwoImages(false);
    withRepo(linux, "write", (repo) => untagImage(repo, "two"));
    const before = objects(linux);
    const id = pick(one) ?? one.rootImage;
    linux.damage(objectPath(repoPath, id), 5);
    expect(() => withRepo(linux, "exclusive", (repo) => collectGarbage(repo, nothing))).toThrow(
      expect.objectContaining({
        code: "damaged",
        message: expect.stringContaining(`the ${role} ${id}${by} cannot be read`),
      }),
    );
    expect(objects(linux)).toEqual(before);
  });

  test("collectGarbage: a stream that is only somebody's file loses its name, because its objects go", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure: false });
    withRepo(linux, "write", (repo) => {
      const image = addImage(repo, "one", imageContents(0));
      const layer = image?.streams[0];
      if (layer === undefined) throw new Error("no layer");
      const stream = repo.files.readFile(objectPath(repo.path, layer.id), 100_000);
      addImage(repo, "other", [stream]);
      untagImage(repo, "one");
    });
    withRepo(linux, "exclusive", (repo) => collectGarbage(repo, nothing));
    // "other" has one layer of its own; the file that looks like the layer of "one" must not pass for that layer.
    expect(names(linux, "streams").filter((name) => name.startsWith("oci-layer"))).toHaveLength(1);
    expect(withRepo(linux, "read", (repo) => planGc(repo, nothing)).objects).toEqual([]);
  });
});
