import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { buildChunkedImage, buildChunkedLayer, noise } from "../builders/chunked-layer.ts";
import type { BuiltImage } from "../builders/oci-image.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { machineWithRepo } from "../builders/operation-machine.ts";
import { expectHealthy, layerStreams, pullFrom, registryWith, stopRegistries } from "../builders/partial-pull.ts";
import { SlowLink } from "../fakes/slow-link.ts";
import { hasDockerRegistry, pushLayout, startDockerRegistry } from "../tools/docker-registry.ts";
import { osdeploy, osdeployCommand } from "../tools/run-cli.ts";

const isBuilt = existsSync(new URL("../../dist/repo/kept-ranges.js", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "partial-links-"));
const links: SlowLink[] = [];
afterEach(async () => {
  for (const link of links.splice(0)) await link.stop();
  await stopRegistries();
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

async function linkTo(target: string): Promise<SlowLink> {
  const link = await SlowLink.start(target);
  links.push(link);
  return link;
}

/** Tables of contents large enough to tell the bandwidth. */
const few = Array.from({ length: 2000 }, (_, i) => ({ path: `usr/few-${i}`, content: noise(100, 10_000 + i) }));

/** One layer of many files; in the second version every second of the larger ones is new. */
async function image(version: number, bytes: { readonly old: number; readonly new: number }): Promise<BuiltImage> {
  const files = Array.from({ length: 60 }, (_, i) => ({
    path: `usr/${i}`,
    content: i % 2 === 0 ? noise(bytes.old, i) : noise(bytes.new, i + 1000 * version),
  }));
  return buildChunkedImage([await buildChunkedLayer([{ path: "usr/", mtime: version }, ...files, ...few])]);
}

describe("partial pull: by what the link is like", () => {
  async function upgradeOver(options: SlowLink["options"]) {
    // What is old lies between what is new, a little more than is fetched in any case to save a request.
    const bytes = { old: 17_500, new: 5_000 };
    const images = { v1: await image(1, bytes), v2: await image(2, bytes) };
    const registry = await registryWith(images);
    const linux = await machineWithRepo({});
    // That of the fake stands still.
    Object.assign(linux.clock, { now: () => performance.now() });
    await pullFrom(linux, registry, "v1");
    const link = await linkTo(registry.host);
    link.options = options;
    const pulled = await pullFrom(linux, registry, "v2", { host: link.host });
    await expectHealthy(linux);
    const digest = images.v2.layers[0]?.digest ?? "";
    const ranges = link.asked.filter(({ path }) => path.endsWith(digest)).map(({ range }) => range);
    return { pulled, ranges, isWhole: ranges.includes(undefined) };
  }

  test("a layer comes in parts over a narrow link", async () => {
    const { isWhole, pulled, ranges } = await upgradeOver({ delayMs: 5, bytesPerSecond: 500_000 });
    expect(isWhole).toBe(false);
    expect(ranges.length).toBeGreaterThan(20);
    expect(pulled.layerBytes).toBeLessThan(30 * 5_000 + 250_000);
  }, 60_000);
});

/** Four layers, half of whose contents are new in the second version. */
async function layered(version: number): Promise<BuiltImage> {
  const layers = [0, 1, 2, 3].map((layer) => {
    const files = Array.from({ length: 20 }, (_, i) => ({
      path: `usr/${layer}-${i}`,
      content: noise(20_000, 100 * layer + i + (i % 2 === 0 ? 0 : 10_000 * version)),
    }));
    return buildChunkedLayer([{ path: "usr/", mtime: version }, ...files]);
  });
  return buildChunkedImage(await Promise.all(layers));
}

describe("partial pull: several layers over a link with a delay", () => {
  test("parts of the next are asked for before the first is there, and all give the same image as whole ones", async () => {
    const images = { v1: await layered(1), v2: await layered(2) };
    const registry = await registryWith(images);
    const linux = await machineWithRepo({});
    Object.assign(linux.clock, { now: () => performance.now() });
    await pullFrom(linux, registry, "v1");
    const link = await linkTo(registry.host);
    link.options = { delayMs: 60, bytesPerSecond: 2_000_000 };
    const digests = images.v2.layers.map(({ digest }) => digest);
    const layerOf = (path: string) => digests.findIndex((digest) => path.endsWith(digest));
    const blobs = () => link.asked.filter(({ path }) => layerOf(path) >= 0);
    let askedAtFirst: ReadonlySet<number> | undefined;
    const onFinished = () => {
      // The tables of each layer come first.
      askedAtFirst ??= new Set(
        blobs()
          .slice(digests.length)
          .map(({ path }) => layerOf(path)),
      );
    };
    const pulled = await pullFrom(linux, registry, "v2", { host: link.host, onFinished });
    expect(askedAtFirst?.size).toBeGreaterThan(1);
    expect(blobs().filter(({ range }) => range === undefined)).toEqual([]);
    expect(pulled.warnings).toEqual([]);
    const other = await machineWithRepo({});
    expect(pulled.rawImage).toBe((await pullFrom(other, registry, "v2")).rawImage);
    expect(layerStreams(linux)).toEqual(expect.arrayContaining([...layerStreams(other)]));
    await expectHealthy(linux);
  }, 60_000);
});

describe.skipIf(!isBuilt || !hasDockerRegistry)(
  `partial pull from a real registry${isBuilt && hasDockerRegistry ? "" : " (skipped: needs dist, docker-registry and skopeo)"}`,
  () => {
    test("killed again and again it goes on where it was, and fetches next to nothing twice", async () => {
      const registry = await startDockerRegistry(join(directory, "registry"));
      const link = await linkTo(registry.host);
      const tags = [1, 2].map((version) => `v${version}`);
      for (const [i, tag] of tags.entries()) {
        mkdirSync(join(directory, tag));
        writeLayout(join(directory, tag), [{ image: await image(i + 1, { old: 30_000, new: 30_000 }) }]);
        await pushLayout(join(directory, tag), `${registry.host}/os:${tag}`);
      }
      const [killed = "", other = ""] = ["killed", "other"].map((name) => join(directory, name));
      for (const repo of [killed, other]) osdeploy("repo", "init", "--insecure", "--repo", repo);
      const words = (repo: string, host: string, tag: string) =>
        ["--json", "pull", "--tls-verify=false", "--repo", repo, `${host}/os:${tag}`] as const;
      osdeploy(...words(killed, registry.host, "v1"));
      link.options = { delayMs: 1, bytesPerSecond: 1_000_000 };
      const counts = new Map<string, number>();
      let kill = () => {};
      let left = 0;
      link.onPiece = (path, offset, length) => {
        for (let at = offset; at < offset + length; at++)
          counts.set(`${path} ${at}`, (counts.get(`${path} ${at}`) ?? 0) + 1);
        left -= length;
        if (left < 0) kill();
      };
      let ends = 0;
      let answer = "";
      for (let run = 0; ; run++) {
        left = run < 3 ? 200_000 : Number.POSITIVE_INFINITY;
        const [program, ...rest] = osdeployCommand(...words(killed, link.host, "v2"));
        const child = spawn(program, rest, { stdio: ["ignore", "pipe", "ignore"] });
        kill = () => child.kill("SIGKILL");
        let output = "";
        child.stdout.on("data", (bytes: Buffer) => {
          output += bytes.toString();
        });
        const status = await new Promise((done) => child.on("exit", done));
        if (status === 0) answer = output;
        if (status === 0) break;
        ends++;
        expect(run).toBeLessThan(3);
      }
      expect(ends).toBe(3);
      const repeated = [...counts.values()].reduce((sum, count) => sum + count - 1, 0);
      // What was on its way for each of six requests at each of three ends; a frame has some 30 kB.
      expect(repeated).toBeLessThanOrEqual(3 * 6 * 30_000);
      expect(repeated).toBeLessThan(counts.size / 2);
      const undisturbed = osdeploy(...words(other, registry.host, "v2"));
      expect(JSON.parse(answer).rawImage).toBe(JSON.parse(undisturbed).rawImage);
      expect(osdeploy("repo", "fsck", "--repo", killed)).toContain("all is well");
      await registry.stop();
    }, 120_000);
  },
);
