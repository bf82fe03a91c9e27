import { describe, expect, test } from "vitest";
import { type ByteString, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { sha256Of } from "../../../src/core/digest/blob-hasher.ts";
import { parseDiffId, parseLayerDigest } from "../../../src/core/digest/oci-digest.ts";
import { paddingBytes } from "../../../src/core/tar/tar-header.ts";
import { tarEndBytes, writeEntryHeader } from "../../../src/core/tar/tar-writer.ts";
import type { Stat, Xattrs } from "../../../src/core/tree/inode.ts";
import type { LayerEntry } from "../../../src/core/tree/layer.ts";
import type { LinuxFiles, Path } from "../../../src/linux/linux.ts";
import { type ImportedLayer, LayerImport } from "../../../src/repo/layer-import.ts";
import { type FileEntry, LayerWriter } from "../../../src/repo/layer-writer.ts";
import { ObjectStaging } from "../../../src/repo/object-staging.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { concat } from "../../builders/layers.ts";
import { content, makeRepo, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const stat: Stat = { permissions: 0o644, uid: 1, gid: 2, mtimeSeconds: 1_000n, mtimeNanoseconds: 5 };
const xattrs: Xattrs = new Map();
const source = fromText("/source");
const bytes = content(700_001);

function fileEntry(sizeBytes: number): FileEntry {
  const external = {
    kind: "external",
    sizeBytes: BigInt(sizeBytes),
    backingPath: undefined,
    digest: undefined,
  } as const;
  return { kind: "regular", path: fromText("usr/big"), stat, xattrs, content: external };
}

const small: LayerEntry = {
  ...{ kind: "regular", path: fromText("usr/small"), stat, xattrs },
  content: { kind: "inline", bytes: fromText("small") },
};
const directory: LayerEntry = { kind: "directory", path: fromText("usr"), stat, xattrs };

/** A staging in a repo, on a machine with a file of {@link bytes} at {@link source}. */
function withStaging(clone: boolean, use: (files: LinuxFiles, newStaging: () => ObjectStaging) => void): void {
  const linux = new FakeLinux({ clone });
  makeRepo(linux);
  linux.files.writeNewFile(source, bytes, 0o600);
  linux.files.setTime(source, stat.mtimeSeconds, stat.mtimeNanoseconds);
  withRepo(linux, "write", (repo) => {
    const run = new StagingRun(repo);
    use(linux.files, () => new ObjectStaging(linux.files, run.newStagingOptions()));
    run.close();
  });
  expect(linux.openPaths).toEqual([]);
}

function importTar(files: LinuxFiles, staging: ObjectStaging, tar: Uint8Array): ImportedLayer {
  const digest = sha256Of(tar);
  const layer = { digest: parseLayerDigest(digest), sizeBytes: tar.length, diffId: parseDiffId(digest) };
  const layerImport = new LayerImport(files, staging, { ...layer, compression: "none" });
  layerImport.write(tar);
  const imported = layerImport.finish();
  layerImport.close();
  return imported;
}

const ids = ({ objects }: ImportedLayer) => objects.map(({ id, sizeBytes }) => ({ id, sizeBytes }));

describe.each([true, false])("LayerWriter where files can be cloned: %j", (clone) => {
  test("finish: the layer is the same as one imported from its tar", () => {
    withStaging(clone, (files, newStaging) => {
      const writer = new LayerWriter(files, newStaging());
      writer.addEntry(directory);
      writer.addFile(fileEntry(bytes.length), bytes.length, source);
      writer.addEntry(small);
      const written = writer.finish();
      const padding = (length: number) => new Uint8Array(paddingBytes(length));
      const imported = importTar(
        files,
        newStaging(),
        concat([
          ...[writeEntryHeader(directory), writeEntryHeader(fileEntry(bytes.length)), bytes, padding(bytes.length)],
          ...[writeEntryHeader(small), toBytes("small" as ByteString), padding(5), new Uint8Array(tarEndBytes)],
        ]),
      );
      expect(written).toMatchObject({ diffId: imported.diffId, stream: imported.stream, tarBytes: imported.tarBytes });
      expect(ids(written)).toEqual(ids(imported));
      expect(written.stats).toMatchObject({ entries: 3, files: 1, knownFiles: 0 });
      expect(written.stats.inlineBytes).toBe(imported.stats.inlineBytes);
      const [object] = written.objects;
      expect(Buffer.compare(files.readFile(object?.path ?? fromText("/"), 1_000_000), bytes)).toBe(0);
    });
  });

  test.each<readonly [string, (files: LinuxFiles) => void]>([
    ["its time is another", (files) => files.setTime(source, 1_000n, 6)],
    ["it is longer", (files) => append(files, source)],
    ["it is a symlink", (files) => replaceBySymlink(files)],
  ])("addFile: a file that changed since its metadata was read is refused: %s", (_state, change) => {
    withStaging(clone, (files, newStaging) => {
      const afterwards = (path: Path) => {
        change(files);
        return files.lstat(path);
      };
      const changing: LinuxFiles = { ...files, lstat: afterwards };
      const writer = new LayerWriter(changing, newStaging());
      expect(() => writer.addFile(fileEntry(bytes.length), bytes.length, source)).toThrow(
        expect.objectContaining({ code: "busy", message: 'Cannot read "/source": it changes while it is read' }),
      );
    });
  });

  test("addFile: a file that is shorter than its metadata said is refused", () => {
    withStaging(clone, (files, newStaging) => {
      const writer = new LayerWriter(files, newStaging());
      expect(() => writer.addFile(fileEntry(bytes.length + 1), bytes.length + 1, source)).toThrow(
        'Cannot read "/source": it changes while it is read',
      );
    });
  });
});

function append(files: LinuxFiles, path: Path): void {
  const fd = files.open(path, "append");
  files.write(fd, Uint8Array.of(1));
  files.close(fd);
}

function replaceBySymlink(files: LinuxFiles): void {
  files.unlink(source);
  files.symlink(fromText("elsewhere"), source);
  files.setTime(source, stat.mtimeSeconds, stat.mtimeNanoseconds);
}
