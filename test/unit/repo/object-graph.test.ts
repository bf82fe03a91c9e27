import { expect, test } from "vitest";
import { writeErofs } from "../../../src/core/erofs/writer.ts";
import { SplitstreamWriter } from "../../../src/core/splitstream/splitstream-writer.ts";
import { compressZstd } from "../../../src/linux/zstd-encoder.ts";
import { imageObjects, ObjectGraph, readRootImage } from "../../../src/repo/object-graph.ts";
import { directory, objectFile, symlink } from "../../builders/file-trees.ts";
import { content, idOf, makeRepo, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { imageContents, rootImageOf, type StoredImage, stageImage } from "../../builders/stored-images.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

function withImage(): { readonly linux: FakeLinux; readonly image: StoredImage } {
  const linux = new FakeLinux();
  makeRepo(linux, { secure: false });
  const stored: StoredImage[] = [];
  withRepo(linux, "write", (repo) =>
    stageAndPublish(repo, (staging) => {
      const image = stageImage(staging, "one", imageContents(0));
      stored.push(image);
      return { streams: image.streams, rootImages: [image.rootImage] };
    }),
  );
  const [image] = stored;
  if (image === undefined) throw new Error("no image");
  return { linux, image };
}

test("ObjectGraph: a manifest reaches its config, layer and root image, each read in its role", () => {
  const { linux, image } = withImage();
  const [layer, config, manifest] = image.streams.map(({ id }) => id);
  withRepo(linux, "read", (repo) => {
    const graph = new ObjectGraph(repo);
    const roots = graph.reachable([{ role: "stream", id: manifest ?? idOf(content(1)) }]);
    expect(roots.map(({ role, id }) => `${role} ${id}`).sort()).toEqual(
      [`image ${image.rootImage}`, `stream ${config}`, `stream ${layer}`, `stream ${manifest}`].sort(),
    );
    expect(graph.references({ role: "stream", id: layer ?? image.rootImage })).toEqual({
      kind: "read",
      objects: image.files,
      roots: [],
    });
    const found = graph.references({ role: "image", id: image.rootImage });
    expect(found.kind === "read" ? [...found.objects].sort() : found).toEqual([...image.files].sort());
  });
});

test("ObjectGraph: what is missing and what cannot be read are told apart", () => {
  const { linux, image } = withImage();
  withRepo(linux, "read", (repo) => {
    const graph = new ObjectGraph(repo);
    expect(graph.references({ role: "image", id: idOf(content(1)) })).toEqual({ kind: "missing" });
    const [file] = image.files;
    for (const role of ["image", "stream"] as const) {
      const found = graph.references({ role, id: file ?? image.rootImage });
      expect(found).toMatchObject({ kind: "unreadable" });
      expect(graph.references({ role, id: file ?? image.rootImage })).toBe(found);
    }
  });
});

test("ObjectGraph: what a stream of another program names is followed by what it is", () => {
  const { linux, image } = withImage();
  const [layer] = image.streams;
  withRepo(linux, "write", (repo) => {
    const absent = idOf(content(1));
    const writer = new SplitstreamWriter("sha512", "blob");
    const named = [layer?.id, image.rootImage, image.files[0], absent];
    named.forEach((id, index) => {
      writer.addNamedRef(`ref ${index}`, id ?? absent);
    });
    const stream = writer.finish(compressZstd);
    stageAndPublish(repo, (staging) => ({ streams: [{ name: "other", id: staging.add(stream) }] }));
    const found = new ObjectGraph(repo).references({ role: "stream", id: idOf(stream) });
    expect(found).toEqual({
      kind: "read",
      objects: named,
      roots: [
        { role: "stream", id: layer?.id },
        { role: "image", id: image.rootImage },
      ],
    });
  });
});

test("ObjectGraph: an error that is not about the repo is not hidden", () => {
  const { linux, image } = withImage();
  withRepo(linux, "read", (repo) => {
    repo.files.readFile = () => {
      throw new TypeError("a bug");
    };
    expect(() => new ObjectGraph(repo).references({ role: "image", id: image.rootImage })).toThrow("a bug");
  });
});

test("imageObjects: each object once, also where a file has several names in deep directories", () => {
  const linux = new FakeLinux();
  makeRepo(linux, { secure: false });
  const file = objectFile(100n, idOf(content(100)));
  const other = objectFile(200n, idOf(content(200)));
  const root = directory({ usr: directory({ bin: directory({ a: file, b: other }), c: file }), link: symlink("usr") });
  const bytes = writeErofs({ root }, { version: 1 });
  withRepo(linux, "write", (repo) => {
    stageAndPublish(repo, (staging) => ({ rootImages: [staging.add(bytes)] }));
    expect([...imageObjects(repo, idOf(bytes))].sort()).toEqual([idOf(content(100)), idOf(content(200))].sort());
  });
});

test("readRootImage: gives the tree", () => {
  const { linux, image } = withImage();
  const tree = withRepo(linux, "read", (repo) => readRootImage(repo, image.rootImage));
  expect([...tree.root.entries.keys()]).toEqual(["file0", "file1", "file2"]);
  expect(idOf(rootImageOf(imageContents(0)))).toBe(image.rootImage);
});
