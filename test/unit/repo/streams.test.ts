import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { sha256Of } from "../../../src/core/digest/blob-hasher.ts";
import { parseConfigDigest, parseDiffId, parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { SplitstreamWriter } from "../../../src/core/splitstream/splitstream-writer.ts";
import { compressZstd } from "../../../src/linux/zstd-encoder.ts";
import { objectPath } from "../../../src/repo/repo-paths.ts";
import { stageDocument } from "../../../src/repo/stage-document.ts";
import {
  blobStreamName,
  findStream,
  layerStreamName,
  readBlob,
  readConfig,
  readManifest,
  readSplitstreamObject,
  readStream,
} from "../../../src/repo/streams.ts";
import { content, idOf, makeRepo, modes, repoPath, stageAndPublish, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const bytes = content(3000);
const digest = sha256Of(bytes);
const refs = new Map([
  [`sha256:${"a".repeat(64)}`, idOf(content(1))],
  ["composefs.image.v1", idOf(content(2))],
]);

function withDocument(kind: "config" | "manifest" | "blob", secure: boolean): FakeLinux {
  const linux = new FakeLinux();
  makeRepo(linux, { secure });
  withRepo(linux, "write", (repo) =>
    stageAndPublish(repo, (staging) => ({
      streams: [stageDocument(staging, { kind, digest: parseManifestDigest(digest), bytes, refs })],
    })),
  );
  return linux;
}

describe.each(modes)("documents in a $mode repo", ({ secure }) => {
  test("readManifest: the bytes and the names come back", () => {
    const linux = withDocument("manifest", secure);
    expect(withRepo(linux, "read", (repo) => readManifest(repo, parseManifestDigest(digest)))).toEqual({ bytes, refs });
  });

  test("readConfig: the stream has composefs-rs's name and one object, the document itself", () => {
    const linux = withDocument("config", secure);
    withRepo(linux, "read", (repo) => {
      expect(readConfig(repo, parseConfigDigest(digest)).bytes).toEqual(bytes);
      const stream = readStream(repo, `oci-config-${digest}`);
      expect(stream.content).toBe("config");
      expect([...stream.records()]).toEqual([{ kind: "object", id: idOf(bytes) }]);
      expect(stream.sizeBytes).toBe(3000n);
    });
  });

  test("readBlob: a damaged object is found before its bytes are used", () => {
    const linux = withDocument("blob", secure);
    const path = objectPath(repoPath, idOf(bytes));
    linux.files.unlink(path);
    linux.files.writeNewFile(path, content(3000, 9), 0o644);
    expect(() => withRepo(linux, "read", (repo) => readBlob(repo, parseManifestDigest(digest)))).toThrow(
      expect.objectContaining({ code: "damaged" }),
    );
  });
});

test("readStream: a name that is not there is not-found", () => {
  const linux = withDocument("blob", false);
  withRepo(linux, "read", (repo) => {
    const diffId = parseDiffId(`sha256:${"b".repeat(64)}`);
    expect(findStream(repo, layerStreamName(diffId))).toBeUndefined();
    expect(() => readStream(repo, layerStreamName(diffId))).toThrow(expect.objectContaining({ code: "not-found" }));
    expect(findStream(repo, blobStreamName(parseManifestDigest(digest)))).toBeDefined();
  });
});

test("readDocument: a stream whose bytes are another document's is damaged", () => {
  const linux = withDocument("blob", false);
  withRepo(linux, "write", (repo) => {
    const other = parseManifestDigest(`sha256:${"c".repeat(64)}`);
    repo.files.symlink(
      repo.files.readLink(fromText(`/repo/streams/oci-blob-${digest}`)),
      fromText(`/repo/streams/oci-blob-${other}`),
    );
    expect(() => readBlob(repo, other)).toThrow(/its bytes measure to sha256:/);
  });
});

test("readDocument: a document of inline bytes is read too, one that is too large is refused", () => {
  const linux = new FakeLinux();
  makeRepo(linux, { secure: false });
  withRepo(linux, "write", (repo) => {
    stageAndPublish(repo, (staging) => {
      const inline = new SplitstreamWriter("sha512", "blob");
      inline.addInline(bytes);
      const huge = new SplitstreamWriter("sha512", "blob");
      const piece = staging.add(new Uint8Array(17 * 1024 * 1024));
      for (let i = 0; i < 2; i++) huge.addObject(piece, 17n * 1024n * 1024n);
      return {
        streams: [
          { name: `oci-blob-${digest}`, id: staging.add(inline.finish(compressZstd)) },
          { name: `oci-blob-sha256:${"d".repeat(64)}`, id: staging.add(huge.finish(compressZstd)) },
        ],
      };
    });
    expect(readBlob(repo, parseManifestDigest(digest)).bytes).toEqual(bytes);
    expect(() => readBlob(repo, parseManifestDigest(`sha256:${"d".repeat(64)}`))).toThrow(
      expect.objectContaining({ code: "limit-exceeded" }),
    );
  });
});

test("readSplitstreamObject: a stream of another algorithm is damaged", () => {
  const linux = new FakeLinux();
  makeRepo(linux);
  withRepo(linux, "write", (repo) => {
    const stream = new SplitstreamWriter("sha256", "layer").finish(compressZstd);
    stageAndPublish(repo, (staging) => ({ streams: [{ name: "s", id: staging.add(stream) }] }));
    expect(() => readSplitstreamObject(repo, idOf(stream))).toThrow(/it names objects by sha256, the repo by sha512/);
  });
});

test("stageDocument: refuses bytes of another digest", () => {
  const linux = new FakeLinux();
  makeRepo(linux);
  withRepo(linux, "write", (repo) => {
    const wrong = parseManifestDigest(`sha512:${"a".repeat(128)}`);
    expect(() =>
      stageAndPublish(repo, (staging) => {
        stageDocument(staging, { kind: "manifest", digest: wrong, bytes, refs });
        return undefined;
      }),
    ).toThrow(expect.objectContaining({ code: "digest-mismatch" }));
  });
});
