import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import type { ObjectId } from "../../../src/core/digest/object-id.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { readSplitstream } from "../../../src/core/splitstream/splitstream-reader.ts";
import type { FileContent } from "../../../src/core/tree/inode.ts";
import { decompressZstd } from "../../../src/linux/zstd-decoder.ts";
import type { KnownFiles } from "../../../src/repo/known-files.ts";
import { type LayerContent, idOf as objectIdOf } from "../../../src/repo/layer-contents.ts";
import { LayerSink } from "../../../src/repo/layer-sink.ts";
import { ObjectStaging, type StagedObject } from "../../../src/repo/object-staging.ts";
import { objectPath } from "../../../src/repo/repo-paths.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { content, idOf, makeRepo, modes, repoPath, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const old = content(700_000);
const path = fromText("usr/lib/big");

interface Outcome {
  /** The objects that the layer's splitstream names. */
  readonly named: readonly ObjectId[];
  readonly known: number;
  readonly staged: readonly StagedObject[];
}

/** Feeds `arriving` to a sink that knows `old` under {@link path}; `damage` happens to the old object before. */
function arrive(
  options: { readonly secure: boolean; readonly damage?: (linux: FakeLinux) => void; readonly known?: KnownFiles },
  arriving: Uint8Array,
  how: "whole" | "pieces",
): Outcome {
  const linux = new FakeLinux();
  makeRepo(linux, { secure: options.secure });
  return withRepo(linux, "write", (repo) => {
    stageAndPublish(repo, (staging) => {
      staging.add(old);
      return undefined;
    });
    options.damage?.(linux);
    const run = new StagingRun(repo);
    const staging = new ObjectStaging(repo.files, run.newStagingOptions());
    const known = options.known ?? new Map([[path, { id: idOf(old), sizeBytes: old.length }]]);
    const sink = new LayerSink(repo.files, staging, { known });
    if (how === "whole") sink.file(arriving, path);
    else feed(sink, arriving);
    const staged = staging.take();
    for (const object of staged) expect(idOf(linux.files.readFile(object.path, 1_000_000))).toBe(object.id);
    const { knownFiles } = sink.finish().stats;
    const outcome = { named: staging.take().flatMap((object) => namedBy(linux, object)), known: knownFiles, staged };
    run.close();
    expect(linux.openPaths).toEqual(["/repo"]);
    return outcome;
  });
}

function namedBy(linux: FakeLinux, { path: stream }: StagedObject): readonly ObjectId[] {
  return readSplitstream(linux.files.readFile(stream, 1_000_000), { decompress: decompressZstd }).objectRefs;
}

function feed(sink: LayerSink, bytes: Uint8Array): void {
  sink.beginFile(bytes.length, path);
  for (let at = 0; at < bytes.length; at += 100_000) sink.filePiece(bytes.subarray(at, at + 100_000));
  sink.endFile();
}

function changedAt(offset: number): Uint8Array {
  const bytes = Uint8Array.from(old);
  bytes[offset] = (bytes[offset] ?? 0) ^ 1;
  return bytes;
}

describe.each(modes)("LayerSink with known files in a $mode repo", ({ secure }) => {
  test.each(["whole", "pieces"] as const)(
    "LayerSink: a file that equals the old one is known by comparison (%s)",
    (how) => {
      const outcome = arrive({ secure }, old, how);
      expect(outcome).toMatchObject({ known: 1, staged: [], named: [idOf(old)] });
    },
  );

  test.each([
    ["whole", 0],
    ["whole", 699_999],
    ["pieces", 0],
    ["pieces", 350_000],
    ["pieces", 699_999],
  ] as const)("LayerSink: a file that differs is staged whole (%s, at byte %d)", (how, offset) => {
    const arriving = changedAt(offset);
    const outcome = arrive({ secure }, arriving, how);
    expect(outcome).toMatchObject({ known: 0, staged: [{ id: idOf(arriving), sizeBytes: 700_000, replaces: false }] });
    expect(outcome.named).toEqual([idOf(arriving)]);
  });

  test.each(["whole", "pieces"] as const)("LayerSink: a damaged old object is staged to be replaced (%s)", (how) => {
    const damage = (linux: FakeLinux) => linux.damage(objectPath(repoPath, idOf(old)), 300_000);
    const outcome = arrive({ secure, damage }, old, how);
    expect(outcome).toMatchObject({ known: 0, staged: [{ id: idOf(old), replaces: true }] });
  });

  test("LayerSink: an old object of the wrong size is not compared with", () => {
    const damage = ({ files }: FakeLinux) => {
      const object = objectPath(repoPath, idOf(old));
      files.unlink(object);
      files.writeNewFile(object, Buffer.concat([old, content(1)]), 0o644);
    };
    expect(arrive({ secure, damage }, old, "whole")).toMatchObject({ known: 0, staged: [{ replaces: true }] });
  });

  test("LayerSink: an old object that gets shorter while it is compared is an error, not other content", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure });
    withRepo(linux, "write", (repo) => {
      stageAndPublish(repo, (staging) => {
        staging.add(old);
        return undefined;
      });
      const run = new StagingRun(repo);
      const { read } = repo.files;
      let cut = false;
      const files = { ...repo.files, read: (...call: Parameters<typeof read>) => (cut ? 0 : read(...call)) };
      const known = new Map([[path, { id: idOf(old), sizeBytes: old.length }]]);
      const sink = new LayerSink(files, new ObjectStaging(files, run.newStagingOptions()), { known });
      sink.beginFile(old.length, path);
      sink.filePiece(old.subarray(0, 100_000));
      cut = true;
      expect(() => sink.filePiece(old.subarray(100_000, 200_000))).toThrow(
        expect.objectContaining({ code: "damaged" }),
      );
      sink.abandon();
      run.close();
      expect(linux.openPaths).toEqual(["/repo"]);
    });
  });

  test("LayerSink: a file that cannot be admitted is closed once", () => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure });
    withRepo(linux, "write", (repo) => {
      const run = new StagingRun(repo);
      const unlink = () => {
        throw new OsdeployError("system", "the disk cannot do that");
      };
      const files = { ...repo.files, unlink };
      const sink = new LayerSink(files, new ObjectStaging(files, run.newStagingOptions()));
      feed(sink, old);
      expect(() => feed(sink, old)).toThrow("the disk cannot do that");
      sink.abandon();
      run.close();
      expect(linux.openPaths).toEqual(["/repo"]);
    });
  });

  test.each([
    ["whole", old],
    ["pieces", old],
    ["whole", content(1000)],
  ] as const)("LayerSink: an object that a hint names and that is not there is staged (%s)", (how, arriving) => {
    const known: KnownFiles = new Map([[path, { id: idOf(arriving), sizeBytes: arriving.length }]]);
    const damage = (linux: FakeLinux) => linux.files.unlink(objectPath(repoPath, idOf(old)));
    const outcome = arrive({ secure, damage, known }, arriving, how);
    expect(outcome).toMatchObject({ known: 0, staged: [{ id: idOf(arriving), replaces: false }] });
    expect(outcome.named).toEqual([idOf(arriving)]);
  });

  test("LayerSink: a hint of another size, or of an object that is not there, is passed over", () => {
    const wrongSize: KnownFiles = new Map([[path, { id: idOf(old), sizeBytes: 1 }]]);
    expect(arrive({ secure, known: wrongSize }, old, "whole")).toMatchObject({ known: 0, staged: [] });
    const absent: KnownFiles = new Map([[path, { id: idOf(content(1)), sizeBytes: old.length }]]);
    expect(arrive({ secure, known: absent }, old, "pieces")).toMatchObject({ known: 0, staged: [] });
  });
});

test("LayerSink: hands on the contents of files in the order of the tar, but for empty ones", () => {
  const linux = new FakeLinux();
  makeRepo(linux);
  withRepo(linux, "write", (repo) => {
    const run = new StagingRun(repo);
    const staging = new ObjectStaging(repo.files, run.newStagingOptions());
    const contents: LayerContent[] = [];
    const sink = new LayerSink(repo.files, staging, { contents });
    const few = fromText("few bytes");
    const stat = { permissions: 0o644, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0 };
    const entry = (content: FileContent) => sink.entry({ kind: "regular", path, stat, xattrs: new Map(), content });
    entry(sink.file(old.subarray(0, 100), path));
    entry({ kind: "inline", bytes: few });
    entry({ kind: "inline", bytes: fromText("") });
    sink.entry({ kind: "directory", path, stat, xattrs: new Map() });
    feed(sink, old);
    const shown = contents.map((each) =>
      each.kind === "inline" ? each.bytes : [objectIdOf(each.object), each.sizeBytes],
    );
    expect(shown).toEqual([[idOf(old.subarray(0, 100)), 100], few, [idOf(old), old.length]]);
    sink.abandon();
    run.close();
  });
});
