import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { Path } from "../../src/linux/linux.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { bundleImage } from "../../src/operations/bundle.ts";
import { type CopyImageResult, copyImage } from "../../src/operations/copy-image.ts";
import type { LayerFormat } from "../../src/operations/layer-packing.ts";
import { type BuiltImage, buildImage, buildIndex } from "../builders/oci-image.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { SeenProgress, systemOn } from "../builders/operation-machine.ts";
import { putReferrer } from "../builders/registry-referrer.ts";
import { type DockerRegistry, pushLayout, startDockerRegistry } from "../tools/docker-registry.ts";
import { findTool } from "../tools/find-tool.ts";

const tools = {
  // Debian's own was built without sigstore.
  "new-skopeo": findTool("new-skopeo"),
  skopeo: findTool("skopeo"),
  gpg: findTool("gpg"),
  "docker-registry": findTool("docker-registry"),
  cosign: findTool("cosign"),
};
const missing = Object.entries(tools).flatMap(([name, path]) => (path === undefined ? [name] : []));

describe.skipIf(missing.length > 0)(`signatures that are copied (missing: ${missing.join(", ") || "none"})`, () => {
  const directory = mkdtempSync(join(tmpdir(), "interop-trust-copy-"));
  let from: DockerRegistry;
  let to: DockerRegistry;
  let image: BuiltImage;

  const file = (name: string) => join(directory, name);
  const run = async (program: string | undefined, ...words: readonly string[]) => {
    const env = { ...process.env, HOME: directory, GNUPGHOME: file("gnupg"), COSIGN_PASSWORD: "", LC_ALL: "C" };
    return promisify(execFile)(String(program), words, { cwd: directory, env });
  };
  const registryWords = ["--allow-insecure-registry", "--allow-http-registry"];

  beforeAll(async () => {
    mkdirSync(file(".config/containers/registries.d"), { recursive: true });
    mkdirSync(file("gnupg"), { mode: 0o700 });
    [from, to] = await Promise.all([startDockerRegistry(file("from")), startDockerRegistry(file("to"))]);
    const [here, there] = ["here", "there"].map((name) => `file://${file(name)}`);
    writeFileSync(
      file(".config/containers/registries.d/a.yaml"),
      `default-docker:\n  use-sigstore-attachments: true\n  lookaside: ${here}\n  lookaside-staging: ${here}\n` +
        `docker:\n  ${to.host}:\n    lookaside: file:///nowhere\n    lookaside-staging: ${there}\n` +
        `  ${to.host}/team:\n    lookaside: file://${file("team")}\n`,
    );
    mkdirSync(file("reading.d"));
    writeFileSync(file("reading.d/a.yaml"), `default-docker:\n  lookaside: ${there}\n`);
    image = await buildImage({ layers: [[{ path: "usr/" }]] });
    writeLayout(file("layout"), [{ image, tag: "v1" }]);
    await pushLayout(`${file("layout")}:v1`, `${from.host}/os:v1`);
    const digest = `${from.host}/os@${image.manifestDigest}`;
    for (const name of ["old", "new"]) await run(tools.cosign, "generate-key-pair", "--output-key-prefix", name);
    const words = ["sign", "--yes", ...registryWords, "--tlog-upload=false", "--use-signing-config=false"];
    await run(tools.cosign, ...words, "--key", "old.key", "--new-bundle-format=false", digest);
    await run(tools.cosign, ...words, "--key", "new.key", digest);
    const mediaType = "application/vnd.example.sbom";
    await putReferrer(`${from.host}/os:v1`, image.manifestDigest, {
      ...{ artifactType: mediaType, mediaType, content: Buffer.from("{}") },
      annotations: { "org.example": "yes" },
    });
  });

  afterAll(async () => {
    await from?.stop();
    await to?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function copy(
    name: string,
    format?: LayerFormat,
    what = "os:v1",
    more: { readonly all?: boolean; readonly source?: { readonly signaturePolicy: Path } } = {},
  ): Promise<Pick<CopyImageResult, "companions"> & { warnings: readonly string[] }> {
    const environment = { variables: { HOME: directory, TMPDIR: directory }, userId: 0 };
    const seen = new SeenProgress();
    const copied = await copyImage(systemOn(openLinux(), { progress: seen.report }), {
      image: parseImageReference(`${from.host}/${what}`),
      platform: parsePlatform("linux/amd64"),
      source: { environment, ...more.source },
      destination: parseImageReference(`docker://${to.host}/${name}`),
      destinationOptions: { environment },
      ...{ format, level: undefined, removeSignatures: false, all: more.all ?? false },
    });
    return { ...copied, warnings: seen.warnings };
  }

  const verify = (key: string, name: string, ...words: readonly string[]) =>
    run(tools.cosign, "verify", "--key", key, "--insecure-ignore-tlog", ...registryWords, ...words, name);

  test("cosign and skopeo find at the destination what they found at the source, however often it is copied", async () => {
    for (const _again of [1, 2]) {
      expect(await copy("os:v1")).toMatchObject({ companions: { copied: 3, leftBehind: 0 } });
    }
    const name = `${to.host}/os:v1`;
    await verify("new.pub", name);
    await verify("old.pub", name, "--new-bundle-format=false");
    await expect(verify("old.pub", name)).rejects.toThrow();
    const { stdout } = await run(tools.cosign, "tree", ...registryWords, name);
    expect(stdout).toContain("application/vnd.example.sbom");
    const signedIdentity = { type: "matchRepository" };
    const keyed = { type: "sigstoreSigned", keyPath: file("old.pub"), signedIdentity };
    const policy = (requirement: object) =>
      writeFileSync(file("policy.json"), JSON.stringify({ default: [requirement] }));
    const words = ["--policy", "policy.json", "copy", "--quiet", "--src-tls-verify=false", "--remove-signatures"];
    const exactly = { type: "exactRepository", dockerRepository: `${from.host}/os` };
    policy({ ...keyed, signedIdentity: exactly });
    await run(tools["new-skopeo"], ...words, `docker://${name}`, "oci:accepted:v1");
    policy({ ...keyed, signedIdentity: exactly, keyPath: file("new.pub") });
    await expect(run(tools["new-skopeo"], ...words, `docker://${name}`, "oci:refused:v1")).rejects.toThrow();
  });

  test("a signature of gpg goes to the place for new ones, where skopeo finds it", async () => {
    await run(tools.gpg, "--batch", "--passphrase", "", "--quick-gen-key", "ann@example.com", "default", "sign");
    writeFileSync(file("ann.asc"), (await run(tools.gpg, "--armor", "--export", "ann@example.com")).stdout);
    const target = `docker://${from.host}/gpg:v1`;
    const words = ["--insecure-policy", "--registries.d", file(".config/containers/registries.d"), "copy", "--quiet"];
    const more = ["--dest-tls-verify=false", "--preserve-digests", "--sign-by", "ann@example.com"];
    await run(tools.skopeo, ...words, ...more, `oci:${file("layout")}:v1`, target);
    expect(await copy("gpg:v1", undefined, "gpg:v1")).toMatchObject({ companions: { copied: 1, leftBehind: 0 } });
    const identity = { type: "exactRepository", dockerRepository: `${from.host}/gpg` };
    const requirement = { type: "signedBy", keyType: "GPGKeys", keyPath: file("ann.asc"), signedIdentity: identity };
    writeFileSync(file("policy.json"), JSON.stringify({ default: [requirement] }));
    const reading = ["--policy", "policy.json", "--registries.d", file("reading.d"), "copy", "--src-tls-verify=false"];
    const accept = (name: string) =>
      run(
        tools.skopeo,
        ...reading,
        "--remove-signatures",
        `docker://${to.host}/${name}`,
        `oci:${name.replace(":", "-")}`,
      );
    await accept("gpg:v1");
    await expect(accept("os:v1")).rejects.toThrow();
    // Of a section with a lookaside alone that is the place, whatever a wider section has for new ones.
    await copy("team/gpg:v1", undefined, "gpg:v1");
    const left = (name: string) => readdirSync(file(name), { recursive: true }).length;
    const ours = left("team");
    rmSync(file("team"), { recursive: true });
    const unsecured = ["--src-tls-verify=false", "--dest-tls-verify=false", "--preserve-digests"];
    await run(tools.skopeo, ...words, ...unsecured, `docker://${from.host}/gpg:v1`, `docker://${to.host}/team/gpg:v1`);
    expect([ours, left("team")]).toEqual([3, 3]);
  });

  test("all that an index names is put to the policy, as skopeo does it", async () => {
    const arm64 = await buildImage({ layers: [[{ path: "usr/" }]], architecture: "arm64" });
    const index = buildIndex([image, arm64]);
    writeLayout(file("index"), [{ image: index, tag: "v1" }]);
    await pushLayout(`${file("index")}:v1`, `${from.host}/all:v1`);
    const keyed = { type: "sigstoreSigned", keyPath: file("old.pub"), signedIdentity: { type: "matchRepository" } };
    writeFileSync(file("policy.json"), JSON.stringify({ default: [keyed] }));
    const words = ["sign", "--yes", ...registryWords, "--tlog-upload=false", "--use-signing-config=false"];
    const sign = (...more: readonly string[]) =>
      run(tools.cosign, ...words, "--key", "old.key", "--new-bundle-format=false", ...more);
    const byUs = () =>
      copy("all:v1", undefined, "all:v1", { all: true, source: { signaturePolicy: fromText(file("policy.json")) } });
    const reading = ["--policy", "policy.json", "copy", "--all", "--quiet", "--src-tls-verify=false"];
    const bySkopeo = () =>
      run(tools["new-skopeo"], ...reading, "--remove-signatures", `docker://${from.host}/all:v1`, "oci:all-by-skopeo");
    for (const digest of [index.indexDigest, image.manifestDigest, arm64.manifestDigest]) {
      await sign(`${from.host}/all@${digest}`);
    }
    await expect(byUs()).rejects.toMatchObject({ code: "untrusted" });
    await expect(bySkopeo()).rejects.toThrow(/copying image 2.4.*Source image rejected/);
    await sign("--recursive", `${from.host}/all@${index.indexDigest}`);
    await expect(byUs()).resolves.toMatchObject({ companions: { leftBehind: 0 } });
    await bySkopeo();
  });

  test("a bundle has none, and tells how many stay behind", async () => {
    const environment = { variables: { HOME: directory, TMPDIR: directory }, userId: 0 };
    const seen = new SeenProgress();
    const { companions } = await bundleImage(systemOn(openLinux(), { progress: seen.report }), {
      image: parseImageReference(`${from.host}/os:v1`),
      platform: parsePlatform("linux/amd64"),
      ...{ source: { environment }, hosts: [], bases: [], repo: undefined, output: fromText(file("bundle.tar")) },
    });
    expect(companions).toEqual({ copied: 0, leftBehind: 3 });
    expect(seen.warnings).toEqual(["Left behind 2 signatures and 1 other artifacts: only registries keep them"]);
  });

  test("a copy that is compressed in another way has none, and it is told", async () => {
    const { warnings, companions } = await copy("packed:v1", "zstd");
    expect(companions).toEqual({ copied: 0, leftBehind: 3 });
    expect(warnings[0]).toMatch(/^Left behind 2 signatures and 1 other artifacts: they are about sha256:/);
    await expect(verify("new.pub", `${to.host}/packed:v1`)).rejects.toThrow();
  });
});
