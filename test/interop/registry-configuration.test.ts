import { execFile } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BlobHasher } from "../../src/core/digest/blob-hasher.ts";
import { parseManifestDigest } from "../../src/core/digest/oci-digest.ts";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { ResolvedRegistry } from "../../src/image-source/image-source.ts";
import { openImageDestination } from "../../src/image-source/open-image-destination.ts";
import { openImageSource } from "../../src/image-source/open-image-source.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { type BuiltImage, buildImage } from "../builders/oci-image.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { FakeRegistry } from "../fakes/fake-registry.ts";
import {
  type DockerRegistry,
  hasDockerRegistry,
  pushLayout,
  registryUser,
  startDockerRegistry,
} from "../tools/docker-registry.ts";
import { findTool } from "../tools/find-tool.ts";

const directory = mkdtempSync(join(tmpdir(), "registry-configuration-"));
const running: DockerRegistry[] = [];
let image: BuiltImage;

beforeAll(async () => {
  image = await buildImage({ layers: [[{ path: "usr/" }, { path: "usr/a", content: "a".repeat(50_000) }]] });
  writeLayout(join(directory, "layout"), [{ image, tag: "v1" }]);
});

afterAll(async () => {
  for (const registry of running) await registry.stop();
  rmSync(directory, { recursive: true });
});

async function start(name: string, options: Parameters<typeof startDockerRegistry>[1] = {}): Promise<DockerRegistry> {
  const registry = await startDockerRegistry(join(directory, name), options);
  running.push(registry);
  return registry;
}

const push = (registry: DockerRegistry, options: { readonly login?: boolean } = {}) =>
  pushLayout(`${join(directory, "layout")}:v1`, `${registry.host}/lab/os:v1`, options);

/** A home directory with these files, and the variables that lead to it. */
function home(name: string, files: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const path = join(directory, name);
  for (const [file, content] of Object.entries(files)) {
    mkdirSync(join(path, file, ".."), { recursive: true });
    writeFileSync(join(path, file), content);
  }
  return { HOME: path, XDG_RUNTIME_DIR: join(path, "run") };
}

/** Reads all of an image with the live Linux; its digests fit or the test fails. Says who delivered it. */
async function readImage(
  reference: string,
  variables: Readonly<Record<string, string>>,
): Promise<ResolvedRegistry | undefined> {
  const environment = { variables, userId: 4_000_000 };
  const source = openImageSource(parseImageReference(reference), openLinux(), { environment });
  try {
    const resolved = await source.resolve(parsePlatform("amd64"));
    expect(resolved.manifest.digest).toBe(image.manifestDigest);
    for (const layer of resolved.layers) {
      const hasher = new BlobHasher("sha256");
      for await (const piece of source.openBlob(layer)) hasher.update(piece);
      expect(hasher.measured()).toBe(layer.digest);
    }
    return source.registry();
  } finally {
    await source.close();
  }
}

/** Waits until a cache has all of the image: it goes on storing when it has answered. */
async function untilCached(name: string): Promise<void> {
  const blobs = join(directory, name, "files/docker/registry/v2/blobs/sha256");
  const isThere = (digest: string) => existsSync(join(blobs, digest.slice(7, 9), digest.slice(7), "data"));
  while (![...image.blobs.keys()].every(isThere)) await new Promise((done) => setTimeout(done, 50));
}

const skopeo = findTool("skopeo");

describe.skipIf(skopeo === undefined)("registries.conf as skopeo reads it (needs skopeo)", () => {
  const main = `[[registry]]\nprefix = "quay.internal"\nlocation = "MAIN"\ninsecure = true\n`;
  const tied = (...prefixes: readonly string[]) =>
    prefixes
      .map(
        (prefix) =>
          `[[registry]]\nprefix = "${prefix}"\nlocation = "${prefix[0] === "*" ? "MAIN" : "MIRROR"}"\ninsecure = true\n`,
      )
      .join("");
  const mirror = (more = "") => `[[registry.mirror]]\nlocation = "MIRROR"\ninsecure = true\n${more}`;

  test.each([
    ["no mirror, a new location", main, "quay.internal/os:v1"],
    ["a mirror", main + mirror(), "quay.internal/os:v1"],
    ["a mirror for digests, a tag", main + mirror('pull-from-mirror = "digest-only"\n'), "quay.internal/os:v1"],
    ["a mirror for digests, a digest", main + mirror('pull-from-mirror = "digest-only"\n'), "quay.internal/os@DIGEST"],
    ["a mirror for tags, a digest", main + mirror('pull-from-mirror = "tag-only"\n'), "quay.internal/os@DIGEST"],
    ["mirror-by-digest-only, a tag", `${main}mirror-by-digest-only = true\n${mirror()}`, "quay.internal/os:v1"],
    ["a mirror that lacks the tag", main + mirror(), "quay.internal/os:only"],
    ["blocked", `[[registry]]\nprefix = "quay.internal"\nlocation = "MAIN"\nblocked = true\n`, "quay.internal/os:v1"],
    [
      "a blocked mirror",
      `${main}${mirror()}[[registry]]\nlocation = "MIRROR"\nblocked = true\n`,
      "quay.internal/os:v1",
    ],
    [
      "a blocked place behind a new location",
      `${main}[[registry]]\nlocation = "MAIN/os"\nblocked = true\n`,
      "quay.internal/os:v1",
    ],
    ["a wildcard", `[[registry]]\nprefix = "*.internal"\nlocation = "MAIN"\ninsecure = true\n`, "quay.internal/os:v1"],
    ["equally long prefixes", tied("*.internal", "q.internal"), "q.internal/os:v1"],
    ["equally long prefixes in another order", tied("q.internal", "*.internal"), "q.internal/os:v1"],
    ["no host to search", `unqualified-search-registries = ["a.b/n"]\n${main}`, "quay.internal/os:v1"],
    ["an alias for no full name", `${main}[aliases]\nos = "team/os"\n`, "quay.internal/os:v1"],
    [
      "the longest prefix",
      `${main}[[registry]]\nprefix = "quay.internal/os"\nlocation = "MIRROR/os"\ninsecure = true\n`,
      "quay.internal/os:v1",
    ],
  ])("%s: the manifest comes from the same place", async (_, text, name) => {
    const [first, second] = [await FakeRegistry.start(), await FakeRegistry.start()];
    for (const fake of [first, second]) fake.add(image, "v1");
    first.add(image, "only");
    const conf = text.replaceAll("MAIN", first.host).replaceAll("MIRROR", second.host);
    const reference = name.replace("DIGEST", image.manifestDigest);
    const variables = home(`judge-${first.host}`, { "registries.conf": conf });
    const file = join(directory, `judge-${first.host}`, "registries.conf");
    const delivered = () => {
      const hosts = [first, second].map(({ requests }, index) =>
        requests.some(({ path }) => path.includes("/manifests/")) ? ["main", "mirror"][index] : "",
      );
      for (const { requests } of [first, second]) requests.length = 0;
      return hosts;
    };
    const theirs = await promisify(execFile)(String(skopeo), [
      ...["--registries-conf", file, "inspect", "--raw", `docker://${reference}`],
    ]).then(
      () => "found",
      () => "refused",
    );
    const theirWay = delivered();
    const environment = { variables: { ...variables, CONTAINERS_REGISTRIES_CONF: file }, userId: 4_000_000 };
    const resolve = async () => {
      const source = openImageSource(parseImageReference(reference), openLinux(), { environment });
      await source.resolve(parsePlatform("amd64")).finally(() => source.close());
    };
    const ours = await resolve().then(
      () => "found",
      () => "refused",
    );
    expect([ours, delivered()]).toEqual([theirs, theirWay]);
    for (const each of [first, second]) await each.stop();
  });

  test("what is written goes to the registry that is named: locations and mirrors are for reading", async () => {
    const [named, other] = [await FakeRegistry.start(), await FakeRegistry.start()];
    const conf = `[[registry]]\nprefix = "${named.host}"\nlocation = "${other.host}"\ninsecure = true\n${mirror().replace("MIRROR", other.host)}`;
    const variables = home("write", { "registries.conf": conf });
    const file = join(directory, "write/registries.conf");
    const asked = () =>
      [named, other].map(({ requests }) => requests.splice(0).some(({ method }) => method !== undefined));
    // The fake takes no uploads in chunks: whom skopeo asks before it gives up tells enough.
    const words = ["--registries-conf", file, "--insecure-policy", "copy", "--quiet", `oci:${directory}/layout:v1`];
    const copy = promisify(execFile)(String(skopeo), [...words, `docker://${named.host}/os:v1`]);
    await expect(copy).rejects.toThrow("uploading layer chunked");
    expect(asked()).toEqual([true, false]);
    const environment = { variables: { ...variables, CONTAINERS_REGISTRIES_CONF: file }, userId: 4_000_000 };
    const reference = parseImageReference(`docker://${named.host}/os:v1`);
    const destination = await openImageDestination(reference, openLinux(), { environment });
    const { manifest: bytes, manifestType: mediaType, manifestDigest } = image;
    const manifest = { bytes, mediaType, digest: parseManifestDigest(manifestDigest) };
    await destination.commit({ manifest, platform: parsePlatform("amd64") });
    await destination.close();
    expect(asked()).toEqual([true, false]);
    for (const each of [named, other]) await each.stop();
  });
});

describe.skipIf(!hasDockerRegistry)("real registries (needs docker-registry and skopeo)", () => {
  test("a pull-through cache serves a machine, also when the registry behind it is gone", async () => {
    const origin = await start("origin");
    await push(origin);
    const cache = await start("cache", { remote: `http://${origin.host}` });
    // The mirror of docs/guides/mirrors.md.
    const conf = `
[[registry]]
prefix = "quay.internal"
location = "${origin.host}"

[[registry.mirror]]
location = "${cache.host}"
`;
    const first = home("first", { ".config/containers/registries.conf": conf });
    expect((await readImage("quay.internal/lab/os:v1", first))?.physical.host).toBe(cache.host);
    await untilCached("cache");
    await origin.stop();
    const second = home("second", { ".config/containers/registries.conf": conf });
    const delivering = await readImage(`quay.internal/lab/os@${image.manifestDigest}`, second);
    expect(delivering).toMatchObject({ logical: { host: "quay.internal" }, physical: { host: cache.host } });
    await readImage("quay.internal/lab/os:v1", second);
  });

  test("a cache that is away: the registry behind it serves", async () => {
    const origin = await start("origin2");
    await push(origin);
    const cache = await start("cache2", { remote: `http://${origin.host}` });
    await cache.stop();
    const conf = `[[registry]]\nlocation = "${origin.host}"\n[[registry.mirror]]\nlocation = "${cache.host}"\n`;
    const variables = home("third", { ".config/containers/registries.conf": conf });
    expect((await readImage(`${origin.host}/lab/os:v1`, variables))?.physical.host).toBe(origin.host);
  });

  test("a login that a program keeps is asked for, and taken by the registry", async () => {
    const registry = await start("private", { login: true });
    await push(registry, { login: true });
    const config = JSON.stringify({ credHelpers: { [registry.host]: "lab" } });
    const variables = { ...home("helper", { ".docker/config.json": config }), PATH: join(directory, "bin") };
    await expect(readImage(`${registry.host}/lab/os:v1`, variables)).rejects.toMatchObject({
      code: "not-found",
      message: "Cannot run docker-credential-lab: there is no such program",
    });
    mkdirSync(join(directory, "bin"));
    const program = join(directory, "bin/docker-credential-lab");
    const asked = join(directory, "asked");
    const answer = JSON.stringify({ ServerURL: "", Username: registryUser.user, Secret: registryUser.password });
    writeFileSync(program, `#!/bin/sh\nread -r host || :\necho "$1 $host" >>${asked}\necho '${answer}'\n`);
    chmodSync(program, 0o755);
    await readImage(`${registry.host}/lab/os:v1`, variables);
    expect(readFileSync(asked, "utf8")).toBe(`get ${registry.host}\n`);
  });
});

test("a program that keeps logins and answers nobody is ended at once when the pull is", async () => {
  const registry = await FakeRegistry.start();
  const bin = join(directory, "hanging");
  mkdirSync(bin);
  const [program, began] = [join(bin, "docker-credential-hanging"), join(directory, "began")];
  writeFileSync(program, `#!/bin/sh\ntrap '' TERM INT\necho $$ >${began}\nsleep 25\nsleep 25\n`);
  chmodSync(program, 0o755);
  const config = JSON.stringify({ credHelpers: { [registry.host]: "hanging" } });
  const { PATH = "" } = process.env;
  const variables = { ...home("hang", { ".docker/config.json": config }), PATH: `${bin}:${PATH}` };
  const abort = new AbortController();
  const options = { environment: { variables, userId: 4_000_000 }, signal: abort.signal };
  const source = openImageSource(parseImageReference(`${registry.host}/os:v1`), openLinux(), options);
  const resolving = source.resolve(parsePlatform("amd64"));
  resolving.catch(() => {});
  while (!existsSync(began)) await new Promise((done) => setTimeout(done, 20));
  const start = performance.now();
  abort.abort();
  await expect(resolving).rejects.toMatchObject({ code: "interrupted" });
  expect(performance.now() - start).toBeLessThan(5_000);
  await source.close();
  await registry.stop();
});
