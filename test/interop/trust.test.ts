import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OsdeployError } from "../../src/core/errors.ts";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { checkTrust, type TrustRecord } from "../../src/image-source/check-trust.ts";
import { openImageSource } from "../../src/image-source/open-image-source.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { type BuiltImage, buildImage } from "../builders/oci-image.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { type DockerRegistry, startDockerRegistry } from "../tools/docker-registry.ts";
import { findTool } from "../tools/find-tool.ts";

const tools = {
  skopeo: findTool("skopeo"),
  "docker-registry": findTool("docker-registry"),
  gpg: findTool("gpg"),
  cosign: findTool("cosign"),
};
const missing = Object.entries(tools).flatMap(([name, path]) => (path === undefined ? [name] : []));

describe.skipIf(missing.length > 0)(`signatures made by others (missing: ${missing.join(", ") || "none"})`, () => {
  const directory = mkdtempSync(join(tmpdir(), "interop-trust-"));
  const home = join(directory, "home");
  const lookaside = join(directory, "lookaside");
  let registry: DockerRegistry;
  let host = "";
  let v1: BuiltImage;
  let v2: BuiltImage;
  let fingerprints: readonly string[] = [];

  const environment = {
    ...process.env,
    HOME: home,
    GNUPGHOME: join(directory, "gnupg"),
    COSIGN_PASSWORD: "",
    LC_ALL: "C",
  };
  const run = (program: string, ...words: readonly string[]) =>
    execFileSync(program, words, {
      env: environment,
      cwd: directory,
      stdio: ["ignore", "pipe", "pipe"],
      encoding: "utf8",
    });
  const configuration = (name: string) => join(home, ".config/containers", name);

  function writePolicy(...requirements: readonly object[]): void {
    const policy = { default: [{ type: "reject" }], transports: { docker: { [`${host}/os`]: requirements } } };
    writeFileSync(configuration("policy.json"), JSON.stringify(policy));
  }

  /** What the policy that was written says of an image of the registry. */
  async function check(name: string, readAddress = neverRead): Promise<TrustRecord> {
    const own = { variables: { HOME: home }, userId: 0 };
    const linux = openLinux();
    const source = openImageSource(parseImageReference(`${host}/${name}`), linux, { environment: own });
    try {
      const image = await source.resolve(parsePlatform("amd64"));
      return await checkTrust(
        linux,
        { reference: source.reference(), registry: source.registry(), manifestDigest: image.manifest.digest },
        { environment: own, readAddress },
      );
    } finally {
      await source.close();
    }
  }

  const refusal = (name: string) =>
    check(name).then(
      () => "it was accepted",
      (error: unknown) => {
        if (!(error instanceof OsdeployError)) throw error;
        expect(error.code).toBe("untrusted");
        return `${error.message}; ${error.facts["signatures"] ?? "no signature"}`;
      },
    );

  const gpgPolicy = { type: "signedBy", keyType: "GPGKeys", keyPath: join(directory, "ann.asc") };

  beforeAll(async () => {
    for (const name of ["home/.config/containers/registries.d", "gnupg", "lookaside"]) {
      mkdirSync(join(directory, name), { recursive: true, mode: 0o700 });
    }
    registry = await startDockerRegistry(join(directory, "registry"));
    host = registry.host;
    [v1, v2] = (await Promise.all(
      ["1", "2"].map((version) => buildImage({ layers: [[{ path: "usr/" }]], labels: { version } })),
    )) as [BuiltImage, BuiltImage];
    writeLayout(join(directory, "layout"), [
      { image: v1, tag: "v1" },
      { image: v2, tag: "v2" },
    ]);
    writeFileSync(
      configuration("registries.d/default.yaml"),
      `default-docker:\n  lookaside: file://${lookaside}\n  use-sigstore-attachments: true\n`,
    );
    for (const [name, tag] of [
      ["os", "v1"],
      ["os", "v2"],
      ["other", "v1"],
      ["cosign2", "v1"],
    ])
      push(String(name), String(tag));
    fingerprints = ["ann", "eve"].map((name) => {
      run(
        String(tools.gpg),
        "--batch",
        "--quiet",
        "--passphrase",
        "",
        "--quick-gen-key",
        `${name}@example.com`,
        "default",
        "sign",
      );
      writeFileSync(
        join(directory, `${name}.asc`),
        run(String(tools.gpg), "--armor", "--export", `${name}@example.com`),
      );
      const listed = run(String(tools.gpg), "--with-colons", "--list-keys", `${name}@example.com`);
      return /^fpr:+([0-9A-F]+):/m.exec(listed)?.[1] ?? "";
    });
    run(String(tools.cosign), "generate-key-pair");
  });

  function push(name: string, tag: string, ...more: readonly string[]): void {
    const [from, to] = [`oci:${join(directory, "layout")}:${tag}`, `docker://${host}/${name}:${tag}`];
    run(
      String(tools.skopeo),
      ...[
        "--insecure-policy",
        "--registries.d",
        configuration("registries.d"),
        "copy",
        "--quiet",
        "--dest-tls-verify=false",
      ],
      ...["--preserve-digests", ...more, from, to],
    );
  }

  afterAll(async () => {
    await registry?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  test("skopeo and gpg: accepted for its own name, with the key as text or in binary", async () => {
    push("os", "v1", "--sign-by", "ann@example.com");
    writePolicy(gpgPolicy);
    const verified = { kind: "verified", scope: `docker ${host}/os`, by: [`OpenPGP key ${fingerprints[0]}`] };
    expect(await check("os:v1")).toEqual(verified);
    expect(await check(`os@${v1.manifestDigest}`)).toEqual(verified);
    const binary = execFileSync(String(tools.gpg), ["--export", "ann@example.com"], { env: environment });
    writePolicy({ ...gpgPolicy, keyPath: undefined, keyData: binary.toString("base64") });
    expect(await check("os:v1")).toEqual(verified);
    // the policy of another repository is the default one
    expect(await refusal("other:v1")).toMatch(/the policy refuses it/);
  });

  test("skopeo and gpg: another key, another image, another name, a changed or missing signature are refused", async () => {
    writePolicy(gpgPolicy);
    expect(await refusal("os:v2")).toMatch(/it has no signature of the kind/);
    const folder = (digest: string) => join(lookaside, `os@${digest.replace(":", "=")}`);
    const good = readFileSync(join(folder(v1.manifestDigest), "signature-1"));
    mkdirSync(folder(v2.manifestDigest));
    writeFileSync(join(folder(v2.manifestDigest), "signature-1"), good);
    expect(await refusal("os:v2")).toMatch(/it is for another image/);
    for (const at of [3, good.length >> 1, good.length - 4]) {
      const changed = Buffer.from(good);
      changed[at] = (changed[at] ?? 0) ^ 1;
      writeFileSync(join(folder(v2.manifestDigest), "signature-1"), changed);
      expect(await refusal("os:v2")).toMatch(/none of its signatures is good/);
    }
    rmSync(folder(v2.manifestDigest), { recursive: true });
    push("os", "v2", "--sign-by", "eve@example.com");
    expect(readdirSync(folder(v2.manifestDigest))).toEqual(["signature-1"]);
    expect(await refusal("os:v2")).toMatch(/no key of the policy made it/);
    writePolicy({ ...gpgPolicy, signedIdentity: { type: "exactRepository", dockerRepository: `${host}/renamed` } });
    expect(await refusal("os:v1")).toMatch(/does not take for this name/);
  });

  test("gpg: a message that has expired, or is only wrapped and not signed, is refused", async () => {
    const folder = join(lookaside, `os@${v1.manifestDigest.replace(":", "=")}`);
    const good = readFileSync(join(folder, "signature-1"));
    writePolicy(gpgPolicy);
    const statement = execFileSync(String(tools.gpg), ["--decrypt"], {
      env: environment,
      input: good,
      stdio: ["pipe", "pipe", "ignore"],
    });
    const make = (...words: readonly string[]) =>
      execFileSync(String(tools.gpg), ["--batch", "--quiet", "--local-user", "ann@example.com", ...words], {
        env: environment,
        input: statement,
      });
    try {
      writeFileSync(join(folder, "signature-1"), make("--store"));
      expect(await refusal("os:v1")).toMatch(/OpenPGP/);
      writeFileSync(join(folder, "signature-1"), make("--default-sig-expire", "seconds=1", "--sign"));
      await new Promise((resolve) => setTimeout(resolve, 2100));
      expect(await refusal("os:v1")).toMatch(/it has expired/);
      // not the last word: a good one beside it counts
      writeFileSync(join(folder, "signature-2"), good);
      expect(await check("os:v1")).toMatchObject({ kind: "verified" });
      rmSync(join(folder, "signature-2"));
    } finally {
      writeFileSync(join(folder, "signature-1"), good);
    }
  });

  const cosign = (digest: string, ...words: readonly string[]) =>
    run(
      String(tools.cosign),
      ...[
        "sign",
        "--yes",
        "--key",
        "cosign.key",
        "--allow-insecure-registry",
        "--allow-http-registry",
        "--tlog-upload=false",
      ],
      ...["--use-signing-config=false", ...words, `${host}/os@${digest}`],
    );
  const keyed = (more: object = {}) => ({
    type: "sigstoreSigned",
    keyPath: join(directory, "cosign.pub"),
    signedIdentity: { type: "matchRepository" },
    ...more,
  });

  test("cosign with a key, attached: accepted; with another key or a stricter name refused", async () => {
    writePolicy(keyed());
    expect(await refusal("os:v1")).toMatch(/no signature of the kind/);
    cosign(v1.manifestDigest, "--new-bundle-format=false");
    const by = [`sigstore key ${join(directory, "cosign.pub")}`];
    expect(await check("os:v1")).toEqual({ kind: "verified", scope: `docker ${host}/os`, by });
    writePolicy(keyed({ signedIdentity: undefined }));
    expect(await refusal("os:v1")).toMatch(/does not take for this name/);
    run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "other.key");
    run("openssl", "ec", "-in", "other.key", "-pubout", "-out", "other.pub");
    writePolicy(keyed({ keyPath: join(directory, "other.pub") }));
    expect(await refusal("os:v1")).toMatch(/no key of the policy made it/);
    writePolicy(gpgPolicy, keyed());
    expect(await check("os:v1")).toMatchObject({ by: [`OpenPGP key ${fingerprints[0]}`, ...by] });
  });

  test("cosign 3's bundles, which refer to the image: accepted, and for no other image", async () => {
    writePolicy(keyed());
    expect(await refusal("os:v2")).toMatch(/no signature of the kind/);
    cosign(v2.manifestDigest);
    expect(await check("os:v2")).toMatchObject({ kind: "verified" });
    writePolicy(keyed({ keyPath: join(directory, "other.pub") }));
    expect(await refusal("os:v2")).toMatch(/no key of the policy made it/);
    writePolicy(keyed({ rekorPublicKeyPath: join(directory, "other.pub") }));
    expect(await refusal("os:v2")).toMatch(/without an entry of the log/);
  });
});

const neverRead = async (address: URL): Promise<never> => {
  throw new Error(`Nobody should read ${address.href}`);
};
