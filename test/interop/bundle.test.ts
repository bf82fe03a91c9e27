import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { bundleImage } from "../../src/operations/bundle.ts";
import { initRepo } from "../../src/operations/init-repo.ts";
import { pull } from "../../src/operations/pull.ts";
import { buildChunkedImage, buildChunkedLayer, noise } from "../builders/chunked-layer.ts";
import type { BuiltImage } from "../builders/oci-image.ts";
import { sha256 } from "../builders/oci-layer.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { linuxAmd64, systemOn } from "../builders/operation-machine.ts";
import { type DockerRegistry, hasDockerRegistry, pushLayout, startDockerRegistry } from "../tools/docker-registry.ts";
import { run } from "../tools/run-cli.ts";

const directory = mkdtempSync(join(tmpdir(), "bundle-"));
const environment = { variables: { HOME: directory, TMPDIR: directory }, userId: 0 };
const source = { environment, tlsVerify: false };

/** Two layers: one that stays, and one with twenty files of which those with a number below `version` are new. */
async function image(version: number): Promise<BuiltImage> {
  const files = Array.from({ length: 20 }, (_, i) => ({
    path: `usr/${i}`,
    content: noise(30_000, i + (i < version ? 100 * version : 0)),
  }));
  const stays = await buildChunkedLayer([{ path: "usr/" }, { path: "usr/same", content: noise(300_000, 77) }]);
  return buildChunkedImage([stays, await buildChunkedLayer(files)]);
}

const skopeo = (...words: readonly string[]) => run("skopeo", ["--insecure-policy", ...words]);

describe.skipIf(!hasDockerRegistry)("bundle, from docker-registry (Debian's) and judged by skopeo", () => {
  let registry: DockerRegistry;
  const images: BuiltImage[] = [];
  beforeAll(async () => {
    registry = await startDockerRegistry(join(directory, "registry"));
    for (const version of [1, 2, 3]) {
      const built = await image(version);
      images.push(built);
      writeLayout(join(directory, `v${version}`), [{ image: built }]);
      await pushLayout(join(directory, `v${version}`), `${registry.host}/lab/os:v${version}`);
    }
  });
  afterAll(async () => {
    await registry.stop();
    rmSync(directory, { recursive: true });
  });

  const inRegistry = (version: number) => parseImageReference(`docker://${registry.host}/lab/os:v${version}`);

  async function bundle(version: number, name: string, hosts: readonly string[]) {
    const output = fromText(join(directory, name));
    const request = { image: inRegistry(version), platform: linuxAmd64, source, bases: [], repo: undefined };
    return bundleImage(systemOn(openLinux()), { ...request, hosts: hosts.map(fromText), output });
  }

  /** What a host that has this image deployed says of it. */
  function statusOf(version: number): string {
    const { manifestDigest, layers } = images[version - 1] ?? { manifestDigest: "", layers: [] };
    const held = layers.map(({ digest, diffId }) => ({ digest, diffId }));
    const path = join(directory, `host-${version}.json`);
    writeFileSync(path, JSON.stringify({ schemaVersion: 1, deployments: [{ manifestDigest, layers: held }] }));
    return path;
  }

  async function pullInto(repo: string, reference: string): Promise<string> {
    const image = parseImageReference(reference);
    const request = { image, repo: fromText(repo), platform: linuxAmd64, source, bootable: false };
    return (await pull(systemOn(openLinux()), request)).rawImage;
  }

  test("hosts with v1 or v2 make of it what a pull from the registry gives, and skopeo reads its manifest", async () => {
    const bundled = await bundle(3, "v3.tar", [statusOf(1), statusOf(2)]);
    expect(bundled.layers.map(({ kind }) => kind)).toEqual(["absent", "parts"]);
    expect(statSync(join(directory, "v3.tar")).size).toBe(bundled.archiveBytes);
    // Three files of 30 kB each, of nearly a megabyte.
    expect(bundled.archiveBytes).toBeLessThan(110_000);
    const raw = skopeo("inspect", "--raw", `oci-archive:${join(directory, "v3.tar")}`);
    expect([raw.status, sha256(Buffer.from(raw.stdout))]).toEqual([0, images[2]?.manifestDigest]);
    for (const version of [1, 2]) {
      const repos = ["bundled", "fetched"].map((name) => join(directory, `${name}-${version}`));
      const made: string[] = [];
      for (const [at, repo] of repos.entries()) {
        await initRepo(systemOn(openLinux()), { repo: fromText(repo), algorithm: "sha512", insecure: true });
        await pullInto(repo, `docker://${registry.host}/lab/os:v${version}`);
        const from = at === 0 ? `oci-archive:${join(directory, "v3.tar")}` : `docker://${registry.host}/lab/os:v3`;
        made.push(await pullInto(repo, from));
      }
      expect(made[0]).toBe(made[1]);
    }
  });

  test("without hosts skopeo copies it whole, and back into the registry with the same digest", async () => {
    await bundle(2, "whole.tar", []);
    const back = `docker://${registry.host}/lab/back:v2`;
    const copied = skopeo(
      "copy",
      "--quiet",
      "--dest-tls-verify=false",
      `oci-archive:${join(directory, "whole.tar")}`,
      back,
    );
    expect([copied.status, copied.status === 0 ? "" : copied.stderr]).toEqual([0, ""]);
    const raw = skopeo("inspect", "--raw", "--tls-verify=false", back);
    expect(sha256(Buffer.from(raw.stdout))).toBe(images[1]?.manifestDigest);
  });

  test("what it leaves out skopeo misses, and does not invent", async () => {
    await bundle(3, "rest.tar", [statusOf(1)]);
    const copied = skopeo("copy", "--quiet", `oci-archive:${join(directory, "rest.tar")}`, `oci:${directory}/none:t`);
    expect(copied.status).not.toBe(0);
  });
});
