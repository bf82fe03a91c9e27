import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { buildChunkedImage, buildChunkedLayer, noise } from "../builders/chunked-layer.ts";
import type { BuiltImage } from "../builders/oci-image.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { expectInOrder, machineFor, pullOn } from "../builders/registry-machine.ts";
import { SlowLink } from "../fakes/slow-link.ts";
import { type DockerRegistry, hasDockerRegistry, pushLayout, startDockerRegistry } from "../tools/docker-registry.ts";

const directory = mkdtempSync(join(tmpdir(), "link-decision-"));
const timeouts = { connectMs: 5_000, headersMs: 5_000, idleMs: 5_000 };
/** Every second file is new in the second version. */
const filesInLayer = 40;
let registry: DockerRegistry;
let link: SlowLink | undefined;
const images = new Map<string, BuiltImage>();

/** The name of an image: how many layers it has, and how large its files are. */
const nameOf = (layers: number, kilobytes: number, version: number) => `l${layers}-k${kilobytes}-v${version}`;
const kinds = [
  [1, 20],
  [1, 200],
  [8, 20],
] as const;

async function layer(number: number, kilobytes: number, version: number) {
  const content = (at: number) => noise(kilobytes * 1000, 1000 * number + at + (at % 2 === 0 ? 0 : 100_000 * version));
  const files = Array.from({ length: filesInLayer }, (_, at) => ({
    path: `usr/${number}-${at}`,
    content: content(at),
  }));
  const few = Array.from({ length: 500 }, (_, at) => ({ path: `usr/few-${number}-${at}`, content: noise(100, at) }));
  return buildChunkedLayer([{ path: "usr/", mtime: version }, ...files, ...few]);
}

beforeAll(async () => {
  if (!hasDockerRegistry) return;
  registry = await startDockerRegistry(join(directory, "registry"));
  for (const [layers, kilobytes] of kinds) {
    for (const version of [1, 2]) {
      const name = nameOf(layers, kilobytes, version);
      const built = await Promise.all(Array.from({ length: layers }, (_, at) => layer(at, kilobytes, version)));
      const image = buildChunkedImage(built);
      images.set(name, image);
      mkdirSync(join(directory, name));
      writeLayout(join(directory, name), [{ image }]);
      await pushLayout(join(directory, name), `${registry.host}/lab/os:${name}`);
    }
  }
}, 120_000);

afterEach(() => link?.stop());
afterAll(async () => {
  await registry?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** What is asked for when the second version comes over such a link. */
async function upgradeOver(options: SlowLink["options"], layers: number, kilobytes: number) {
  link = await SlowLink.start(registry.host);
  const linux = await machineFor(link.host, "");
  // That of the fake stands still.
  Object.assign(linux.clock, { now: () => performance.now() });
  await pullOn(linux, link.host, { tag: nameOf(layers, kilobytes, 1), timeouts });
  link.options = options;
  const before = link.asked.length;
  await pullOn(linux, link.host, { tag: nameOf(layers, kilobytes, 2), timeouts });
  await expectInOrder(linux);
  const digests = images.get(nameOf(layers, kilobytes, 2))?.layers.map(({ digest }) => digest) ?? [];
  const asked = link.asked.slice(before).filter(({ path }) => digests.some((digest) => path.endsWith(digest)));
  return {
    // One request for each layer's tables comes before there is anything to decide.
    ranges: asked.filter(({ range }) => range !== undefined).length - layers,
    whole: asked.filter(({ range }) => range === undefined).length,
  };
}

const laggy = { delayMs: 300, bytesPerSecond: 50e6 };
const narrow = { delayMs: 20, bytesPerSecond: 5e6 };

describe.skipIf(!hasDockerRegistry)(
  `an upgrade over a link from a real registry${hasDockerRegistry ? "" : " (skipped: needs docker-registry and skopeo)"}`,
  () => {
    test.each([20, 200])(
      "laggy and wide: one layer with files of %i kB comes in one turn of requests, for twenty would wait for four",
      async (kilobytes) => {
        // Which of the ways that take one turn is chosen, depends on what else the machine does.
        const { ranges, whole } = await upgradeOver(laggy, 1, kilobytes);
        expect(ranges + whole).toBeGreaterThanOrEqual(1);
        expect(ranges + whole).toBeLessThanOrEqual(6);
      },
    );

    test("laggy and wide: eight layers come in no more requests than can wait together", async () => {
      const { ranges, whole } = await upgradeOver(laggy, 8, 20);
      expect(ranges + whole).toBeGreaterThanOrEqual(8);
      expect(ranges + whole).toBeLessThanOrEqual(24);
    });

    test.each([
      [1, 200],
      [8, 20],
    ])("narrow: only what is new comes, of %i layers with files of %i kB", async (layers, kilobytes) => {
      const { ranges, whole } = await upgradeOver(narrow, layers, kilobytes);
      expect(ranges).toBeGreaterThanOrEqual((layers * filesInLayer) / 4);
      expect(whole).toBeLessThanOrEqual(layers - 1);
    });
  },
);
