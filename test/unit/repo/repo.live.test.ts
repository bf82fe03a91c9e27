import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseDiffId, parseLayerDigest } from "../../../src/core/digest/oci-digest.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { checkRepo } from "../../../src/repo/fsck.ts";
import { collectGarbage } from "../../../src/repo/gc.ts";
import { defaultInitOptions, initRepo } from "../../../src/repo/init-repo.ts";
import { LayerImport } from "../../../src/repo/layer-import.ts";
import { ObjectStaging } from "../../../src/repo/object-staging.ts";
import { publish } from "../../../src/repo/publish.ts";
import { openRepo, type RepoAccess } from "../../../src/repo/repo.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { readLayer } from "../../../src/repo/streams.ts";
import { buildLayer } from "../../builders/oci-layer.ts";
import { content } from "../../builders/repos.ts";

let directory = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "osdeploy-repo-"));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

test("a repo on this machine's file system: import, check, collect", async () => {
  const linux = openLinux();
  const path = fromText(join(directory, "repo"));
  const open = <Access extends RepoAccess>(access: Access) => openRepo(linux, path, { access, wait: false });
  initRepo(linux, path, { ...defaultInitOptions, secure: false });
  const layer = await buildLayer(
    [
      { path: "a", content: content(3_000_000) },
      { path: "b", content: content(900) },
    ],
    "zstd",
  );
  const diffId = parseDiffId(layer.diffId);
  const writer = open("write");
  const run = new StagingRun(writer);
  const work = new LayerImport(writer.files, new ObjectStaging(writer.files, run.newStagingOptions()), {
    digest: parseLayerDigest(layer.digest),
    sizeBytes: layer.blob.length,
    diffId,
    compression: "zstd",
  });
  work.write(layer.blob);
  const { objects, stream } = work.finish();
  work.close();
  expect(() => open("exclusive")).toThrow(expect.objectContaining({ code: "busy" }));
  expect(publish(writer, { objects, streams: [stream], rootImages: [] }).addedObjects).toBe(3);
  run.close();
  expect(readLayer(writer, diffId).map((entry) => entry.path)).toEqual(["a", "b"]);
  expect(checkRepo(writer, { metadataOnly: false, deployments: new Map() })).toMatchObject({ ok: true, objects: 3 });
  writer.close();
  const exclusive = open("exclusive");
  expect(collectGarbage(exclusive, { keepImages: [] }).objects).toHaveLength(3);
  expect(checkRepo(exclusive, { metadataOnly: false, deployments: new Map() })).toMatchObject({ ok: true, objects: 0 });
  exclusive.close();
});
