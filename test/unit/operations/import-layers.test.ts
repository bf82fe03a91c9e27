import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { assert, OsdeployError } from "../../../src/core/errors.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import type { ImageSource } from "../../../src/image-source/image-source.ts";
import { openImageSource } from "../../../src/image-source/open-image-source.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { checkRepo } from "../../../src/operations/check-repo.ts";
import { importLayers } from "../../../src/operations/import-layers.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { type BuiltImage, buildImage, json } from "../../builders/oci-image.ts";
import { sha256 } from "../../builders/oci-layer.ts";
import { writeLayout } from "../../builders/oci-layout.ts";
import {
  layoutReference,
  linuxAmd64,
  machineWithRepo,
  pullTag,
  repoOfSysroot,
  systemOn,
} from "../../builders/operation-machine.ts";
import { buildOsImage, content } from "../../builders/os-images.ts";

/** Workers are started from a file beside the code, so what is tested is what was built. */
const built = new URL("../../../dist/operations/pull.js", import.meta.url);
const isBuilt = existsSync(built);
const without = isBuilt ? "" : " (skipped: dist is not built)";

const directory = mkdtempSync(join(tmpdir(), "import-layers-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What the child process prints: of a pull that succeeded, or of its error. */
interface ChildResult {
  readonly rawImage?: string;
  readonly addedObjects?: number;
  readonly layers?: number;
  readonly kinds?: readonly string[];
  readonly code?: string;
  readonly message?: string;
}

/** Runs in a process of its own, from the built files; prints what happened as one JSON value. */
const script = `
const [dist, threads, layout, repo, abortAt] = process.argv.slice(2);
const load = (path) => import(new URL(path, dist).href);
const { fromText } = await load("core/bytes/byte-string.js");
const { parseImageReference } = await load("core/oci/reference.js");
const { openLinux } = await load("linux/live-linux.js");
const { initRepo } = await load("operations/init-repo.js");
const { pull } = await load("operations/pull.js");
const controller = new AbortController();
const kinds = new Set();
const progress = (event) => {
  kinds.add(event.kind);
  if (event.kind === abortAt) controller.abort();
};
const system = { linux: openLinux(), progress, signal: controller.signal, importThreads: Number(threads) };
await initRepo(system, { repo: fromText(repo), algorithm: "sha512", insecure: true });
const request = {
  image: parseImageReference("oci:" + layout),
  repo: fromText(repo),
  platform: { os: "linux", architecture: "amd64" },
  source: { environment: { variables: {}, userId: 0 } },
  bootable: false,
};
try {
  const { rawImage, addedObjects, layers } = await pull(system, request);
  console.log(JSON.stringify({ rawImage, addedObjects, layers: layers.length, kinds: [...kinds] }));
} catch (error) {
  console.log(JSON.stringify({ code: error.code, message: error.message }));
}
`;

function pullInChild(name: string, threads: number, image: BuiltImage, abortAt = ""): ChildResult {
  const layout = join(directory, `${name}-layout`);
  const repo = join(directory, `${name}-${threads}`);
  mkdirSync(layout, { recursive: true });
  writeLayout(layout, [{ image }]);
  const dist = new URL("../../../dist/", import.meta.url).href;
  // In a file: what node is given as text, its workers would be given too.
  const program = join(directory, "pull.mjs");
  writeFileSync(program, script);
  const output = execFileSync(process.execPath, [program, dist, String(threads), layout, repo, abortAt], {
    encoding: "utf8",
    timeout: 50_000,
  });
  return JSON.parse(output);
}

async function expectHealthy(name: string): Promise<void> {
  const repo = join(directory, name);
  const report = await checkRepo(systemOn(openLinux()), { repo: fromText(repo), metadataOnly: false });
  expect(report.problems).toEqual([]);
  const staging = join(repo, "staging");
  expect(existsSync(staging) ? readdirSync(staging) : []).toEqual([]);
}

describe.skipIf(!isBuilt)(`importLayers in worker threads${without}`, () => {
  let image: BuiltImage;
  beforeAll(async () => {
    image = await buildImage({
      layers: Array.from({ length: 5 }, (_, layer) => [
        { path: "usr" },
        ...Array.from({ length: 40 }, (_, index) => ({
          path: `usr/${layer}-${index}`,
          content: content(`${layer} ${index} `, 60 + index * 3000),
        })),
      ]),
    });
  });

  test("gives the same image with no thread, with two, and with more threads than layers", async () => {
    const [none, two, many] = [0, 2, 8].map((threads) => pullInChild("same", threads, image));
    expect(none).toMatchObject({ rawImage: expect.stringMatching(/^[0-9a-f]{128}$/), layers: 5 });
    expect([two, many].map((result) => [result?.rawImage, result?.addedObjects])).toEqual([
      [none?.rawImage, none?.addedObjects],
      [none?.rawImage, none?.addedObjects],
    ]);
    expect(two?.kinds).toEqual(expect.arrayContaining(["layer-started", "layer-finished", "done"]));
    await expectHealthy("same-2");
    await expectHealthy("same-8");
  });

  test("hands on the error of a worker, and keeps only layers that are as promised", async () => {
    const layers = image.layers.map((layer, index) =>
      index === 2 ? { ...layer, diffId: `sha256:${"00".repeat(32)}` } : layer,
    );
    const config = JSON.parse(Buffer.from(image.config).toString());
    config.rootfs.diff_ids = layers.map(({ diffId }) => diffId);
    const bad = withConfig(image, config);
    expect(pullInChild("bad", 2, bad)).toMatchObject({
      code: "digest-mismatch",
      message: expect.stringContaining("00".repeat(32)),
    });
    const kept = namesIn("bad-2");
    expect(kept.filter((name) => !name.startsWith("oci-layer-"))).toEqual([]);
    expect(kept.filter((name) => name.includes("00".repeat(32)))).toEqual([]);
    await expectHealthy("bad-2");
  });

  test("stops all workers when it is interrupted", async () => {
    expect(pullInChild("stop", 2, image, "layer-started")).toMatchObject({ code: "interrupted" });
    expect(namesIn("stop-2").filter((name) => !name.startsWith("oci-layer-"))).toEqual([]);
    await expectHealthy("stop-2");
  });
});

function namesIn(repo: string): readonly string[] {
  return ["streams", "images"].flatMap((folder) =>
    readdirSync(join(directory, repo, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => !entry.isDirectory())
      .map((entry) => entry.name),
  );
}

/** `image` with another config document. */
function withConfig(image: BuiltImage, config: unknown): BuiltImage {
  const configBytes = json(config);
  const manifest = JSON.parse(Buffer.from(image.manifest).toString());
  manifest.config = { ...manifest.config, digest: sha256(configBytes), size: configBytes.length };
  const manifestBytes = json(manifest);
  const blobs = new Map([...image.blobs, [sha256(configBytes), configBytes], [sha256(manifestBytes), manifestBytes]]);
  return {
    ...image,
    config: configBytes,
    configDigest: sha256(configBytes),
    manifest: manifestBytes,
    manifestDigest: sha256(manifestBytes),
    blobs,
  };
}

describe("importLayers on the calling thread", () => {
  test("takes the largest layer first, whatever their order in the image", async () => {
    const v1 = await buildOsImage("v1");
    const linux = await machineWithRepo({ v1 });
    const order: string[] = [];
    await pullTag(linux, "v1", {
      system: {
        progress: (event) => {
          if (event.kind === "layer-started") order.push(event.digest);
        },
      },
    });
    const largestFirst = [...v1.layers].sort((a, b) => b.blob.length - a.blob.length).map(({ digest }) => digest);
    expect(order).toEqual(largestFirst);
  });
});

/** Imports the layers of an image on this thread, each after 50 ms; checks that nothing stays open. */
async function importSlowly(options: {
  /** The position, by size, of a layer that fails at once in place of that. */
  readonly failing?: number;
  readonly meanwhile?: () => void;
  readonly ask?: () => Promise<unknown>;
  readonly signal?: AbortSignal;
  /** Nothing of any layer comes, and no end. */
  readonly endless?: boolean;
}): Promise<{ readonly error: unknown; readonly imported: readonly number[] }> {
  const linux = await machineWithRepo({ os: await buildOsImage("v1") });
  const reference = parseImageReference(layoutReference("os"));
  const layout = openImageSource(reference, linux, { environment: { variables: {}, userId: 0 } });
  const { layers } = await layout.resolve(linuxAmd64);
  const bySize = [...layers].sort((a, b) => b.sizeBytes - a.sizeBytes).map(({ diffId }) => diffId);
  assert(bySize.length === 2, "the image has two layers");
  const failing = options.failing === undefined ? undefined : bySize[options.failing];
  let fetching = 0;
  const source: ImageSource = {
    ...{ describe: () => "slow", reference: () => reference, registry: () => undefined, bundle: () => undefined },
    ...{ resolve: (platform) => layout.resolve(platform), close: async () => {} },
    resolveIndex: async () => undefined,
    locateBlob: () => undefined,
    readBlobRange: (blob, range) => layout.readBlobRange(blob, range),
    async *openBlob(blob) {
      const { diffId } = layers.find(({ digest }) => digest === blob.digest) ?? {};
      if (diffId !== undefined && diffId === failing) throw new OsdeployError("network", "the link is gone");
      fetching++;
      try {
        do {
          await new Promise((resolve) => setTimeout(resolve, 50));
          yield new Uint8Array();
        } while (options.endless);
        yield* layout.openBlob(blob);
      } finally {
        fetching--;
      }
    },
  };
  const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
  const run = new StagingRun(repo);
  const imported: number[] = [];
  const { ask, meanwhile = () => {} } = options;
  const request = { source, layers, run, findKnown: () => undefined, meanwhile, ...(ask && { asked: ask() }) };
  const system = systemOn(linux, options.signal && { signal: options.signal });
  const importing = importLayers(system, request, ({ diffId }) => imported.push(bySize.indexOf(diffId)));
  const error = await importing.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(fetching).toBe(0);
  run.close();
  repo.close();
  expect(linux.openPaths).toEqual([]);
  return { error, imported };
}

test("importLayers: a layer whose fetch failed before its turn is told as that failure, not passed over", async () => {
  const { error, imported } = await importSlowly({ failing: 1 });
  expect(error).toMatchObject({ code: "network", message: "the link is gone" });
  expect(imported).toEqual([0]);
});

test("importLayers: begins nothing where somebody wanted an end before", async () => {
  const { error, imported } = await importSlowly({ signal: AbortSignal.abort() });
  expect([error, imported]).toEqual([expect.objectContaining({ code: "interrupted" }), []]);
});

test("importLayers: what goes wrong meanwhile is the import's own error", async () => {
  const meanwhile = () => {
    throw new OsdeployError("damaged", "a layer that is here cannot be read");
  };
  expect((await importSlowly({ meanwhile })).error).toMatchObject({ code: "damaged" });
});

describe("importLayers: a question that was asked when the import began", () => {
  const refused = new OsdeployError("limit-exceeded", "there are too many");

  test("is waited for, also when all layers are there", async () => {
    let isAnswered = false;
    const ask = async () => {
      await new Promise((resolve) => setTimeout(resolve, 400));
      isAnswered = true;
    };
    expect(await importSlowly({ ask })).toEqual({ error: undefined, imported: [0, 1] });
    expect(isAnswered).toBe(true);
  });

  test("ends the import by its failure, before another layer is begun", async () => {
    expect(await importSlowly({ ask: () => Promise.reject(refused) })).toEqual({ error: refused, imported: [] });
  });

  test("ends by its failure what is on its way, however slowly that comes", async () => {
    const ask = () => new Promise((_, reject) => setTimeout(() => reject(refused), 100));
    expect(await importSlowly({ ask, endless: true })).toEqual({ error: refused, imported: [] });
  });

  test("fails what has brought all layers", async () => {
    const ask = () => new Promise((_, reject) => setTimeout(() => reject(refused), 400));
    expect(await importSlowly({ ask })).toEqual({ error: refused, imported: [0, 1] });
  });

  test("is not waited for when a layer failed", async () => {
    const { error } = await importSlowly({ failing: 0, ask: () => new Promise(() => {}) });
    expect(error).toMatchObject({ code: "network" });
  });
});
