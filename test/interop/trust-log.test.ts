import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OsdeployError } from "../../src/core/errors.ts";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { checkTrust, type TrustRecord } from "../../src/image-source/check-trust.ts";
import { openImageSource } from "../../src/image-source/open-image-source.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { type BuiltImage, buildImage } from "../builders/oci-image.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { putReferrer } from "../builders/registry-referrer.ts";
import {
  type BundleLogOptions,
  bundle,
  certifiedKey,
  derOf,
  makeKey,
  type SigningKey,
  signStatement,
  trustVector,
} from "../builders/signatures.ts";
import { logIdOf } from "../builders/transparency-log.ts";
import { FakeRekor } from "../fakes/fake-rekor.ts";
import { type DockerRegistry, pushLayout, startDockerRegistry } from "../tools/docker-registry.ts";
import { findTool } from "../tools/find-tool.ts";

const tools = {
  skopeo: findTool("skopeo"),
  "docker-registry": findTool("docker-registry"),
  cosign: findTool("cosign"),
};
const missing = Object.entries(tools).flatMap(([name, path]) => (path === undefined ? [name] : []));

const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json";
/** While the certificates of the vectors were valid. */
const inside = 1_781_525_000;

describe.skipIf(missing.length > 0)(`bundles in a log, with cosign (missing: ${missing.join(", ") || "none"})`, () => {
  const directory = mkdtempSync(join(tmpdir(), "interop-trust-log-"));
  const log = makeKey();
  const key = makeKey();
  let registry: DockerRegistry;
  let rekor: FakeRekor;
  let made = 0;

  const file = (name: string) => join(directory, name);
  const environment = { variables: { HOME: directory }, userId: 0 };
  const cosign = async (...words: readonly string[]) => {
    const env = { ...process.env, HOME: directory, COSIGN_PASSWORD: "", LC_ALL: "C" };
    await promisify(execFile)(String(tools.cosign), words, { cwd: directory, env });
  };
  const registryWords = ["--allow-insecure-registry", "--allow-http-registry"];

  beforeAll(async () => {
    mkdirSync(file(".config/containers/registries.d"), { recursive: true });
    writeFileSync(
      file(".config/containers/registries.d/a.yaml"),
      `default-docker:\n  lookaside: file://${directory}/none\n  use-sigstore-attachments: true\n`,
    );
    registry = await startDockerRegistry(file("registry"));
    rekor = await FakeRekor.start(log);
    writeFileSync(file("key.pub"), key.pem);
    writeFileSync(file("log.pub"), log.pem);
    writeFileSync(file("root.pem"), trustVector("root.pem"));
    writeFileSync(file("trusted-root.json"), JSON.stringify(trustedRoot()));
    await cosign("generate-key-pair");
  });

  afterAll(async () => {
    await rekor?.stop();
    await registry?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  /** What cosign has to know of the log and the authority. */
  function trustedRoot(): object {
    const validFor = { start: "2020-01-01T00:00:00Z" };
    const certificates = ["between.pem", "root.pem"].map((name) => ({ rawBytes: derOf(trustVector(name)) }));
    return {
      mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
      tlogs: [
        {
          baseUrl: rekor.url,
          hashAlgorithm: "SHA2_256",
          publicKey: { rawBytes: derOf(log.pem), keyDetails: "PKIX_ECDSA_P256_SHA_256", validFor },
          logId: { keyId: logIdOf(log).toString("base64") },
        },
      ],
      certificateAuthorities: [
        {
          subject: { organization: "example", commonName: "root" },
          uri: "https://ca.example",
          certChain: { certificates },
          validFor,
        },
      ],
    };
  }

  /** A new image in the registry. */
  async function newImage(): Promise<{ readonly image: BuiltImage; readonly name: string }> {
    const number = String(made++);
    const image = await buildImage({ layers: [[{ path: "usr/" }]], labels: { number } });
    writeLayout(file(`layout-${number}`), [{ image, tag: "v1" }]);
    const name = `${registry.host}/os${number}:v1`;
    await pushLayout(`${file(`layout-${number}`)}:v1`, name);
    return { image, name };
  }

  /** What osdeploy says of an image under one requirement. */
  async function check(name: string, requirement: object): Promise<TrustRecord | string> {
    const signedIdentity = { type: "matchRepository" };
    const policy = { default: [{ type: "sigstoreSigned", signedIdentity, ...requirement }] };
    writeFileSync(file(".config/containers/policy.json"), JSON.stringify(policy));
    const linux = openLinux();
    const source = openImageSource(parseImageReference(name), linux, { environment });
    try {
      const image = await source.resolve(parsePlatform("amd64"));
      const found = {
        reference: source.reference(),
        registry: source.registry(),
        manifestDigest: image.manifest.digest,
      };
      return await checkTrust(linux, found, { environment, readAddress: async () => undefined });
    } catch (error) {
      if (!(error instanceof OsdeployError)) throw error;
      return `${error.code}: ${error.message} ${error.facts["signatures"] ?? ""}`;
    } finally {
      await source.close();
    }
  }

  const accepts = async (...words: readonly string[]) => {
    try {
      await cosign("verify", "--trusted-root", "trusted-root.json", ...registryWords, ...words);
      return "accepted";
    } catch (error) {
      return String(error instanceof Error ? error.message : error);
    }
  };

  /** A new image, with a bundle of ours that refers to it. */
  async function withBundle(
    signer: SigningKey,
    logged: Omit<BundleLogOptions, "log"> & { readonly log?: SigningKey },
    { material = {}, subject }: { readonly material?: object; readonly subject?: string } = {},
  ): Promise<string> {
    const { image, name } = await newImage();
    const found = bundle(signer, signStatement(subject ?? image.manifestDigest), {
      logged: { log, ...logged },
      material,
    });
    if (found.kind !== "bundle") throw new Error("A bundle is one");
    await putReferrer(name, image.manifestDigest, {
      artifactType: bundleType,
      content: found.bytes,
      mediaType: bundleType,
    });
    return name;
  }

  const keyed = { keyPath: file("key.pub"), rekorPublicKeyPath: file("log.pub") };
  const flipped = Buffer.alloc(32).toString("base64");

  test.each<readonly [string, boolean, Omit<BundleLogOptions, "log"> & { readonly log?: SigningKey }]>([
    ["dsse", true, {}],
    ["intoto", true, { kind: "intoto" }],
    ["a large tree", true, { size: 1000 }],
    ["only a proof", true, { without: "promise" }],
    ["a path that leads elsewhere", false, { proof: { hashes: [flipped, flipped, flipped] } }],
    ["another index", false, { proof: { logIndex: "1" } }],
    ["another root", false, { proof: { rootHash: flipped } }],
    ["a checkpoint of nobody", false, { checkpoint: { hint: Buffer.alloc(4) } }],
    ["another log", false, { log: makeKey() }],
    ["no proof", false, { without: "proof" }],
    ["another statement in the log", false, { spec: { payloadHash: { algorithm: "sha256", value: "0".repeat(64) } } }],
  ])("our bundle with a key: cosign and osdeploy agree on %s (%s)", async (_name, good, logged) => {
    const integratedTime = Math.floor(Date.now() / 1000);
    const name = await withBundle(key, { integratedTime, ...logged });
    const said = await accepts("--key", "key.pub", name);
    expect(said === "accepted", said).toBe(good);
    const verdict = await check(name, keyed);
    expect(typeof verdict === "object", JSON.stringify(verdict)).toBe(good);
    // A policy without a log does not look at it.
    expect(await check(name, { keyPath: file("key.pub") })).toMatchObject({ kind: "verified" });
  });

  const identity = [
    "--certificate-identity",
    "builder@example.com",
    "--certificate-oidc-issuer",
    "https://login.example",
  ];
  const fulcio = { oidcIssuer: "https://login.example", subjectEmail: "builder@example.com" };

  test.each<readonly [string, boolean, Omit<BundleLogOptions, "log"> & { readonly subject?: string }, string]>([
    ["dsse", true, {}, "leaf.pem"],
    ["intoto", true, { kind: "intoto" }, "leaf.pem"],
    ["the wrong time", false, { integratedTime: inside + 1000 }, "leaf.pem"],
    ["no time", false, { without: "promise" }, "leaf.pem"],
    ["another certificate in the log", false, {}, "leaf-raw.pem"],
    ["another image", false, { subject: `sha256:${"e".repeat(64)}` }, "leaf.pem"],
  ])(
    "our bundle with a certificate: cosign and osdeploy agree on %s (%s)",
    async (_name, good, { subject, ...logged }, pem) => {
      const signer = { ...certifiedKey(), pem: trustVector(pem) };
      const certificate = { rawBytes: derOf(trustVector("leaf.pem")) };
      const material = { publicKey: undefined, certificate };
      const name = await withBundle(
        signer,
        { integratedTime: inside, ...logged },
        { material, ...(subject && { subject }) },
      );
      const said = await accepts("--insecure-ignore-sct", ...identity, name);
      expect(said === "accepted", said).toBe(good);
      writeFileSync(file("between.pem"), trustVector("between.pem"));
      const policy = { fulcio: { caPath: file("between.pem"), ...fulcio }, rekorPublicKeyPath: file("log.pub") };
      const verdict = await check(name, policy);
      expect(typeof verdict === "object", JSON.stringify(verdict)).toBe(good);
    },
  );

  test("cosign's own bundle, of a key and with an entry of a log: accepted, and not with another log", async () => {
    const { image, name } = await newImage();
    const validFor = { start: "2020-01-01T00:00:00Z" };
    const config = {
      mediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json",
      rekorTlogUrls: [{ url: rekor.url, majorApiVersion: 1, validFor, operator: "example" }],
      rekorTlogConfig: { selector: "ANY" },
    };
    writeFileSync(file("signing.json"), JSON.stringify(config));
    const signed = `${name.replace(":v1", "")}@${image.manifestDigest}`;
    const words = ["--signing-config", "signing.json", "--trusted-root", "trusted-root.json", ...registryWords];
    await cosign("sign", "--yes", "--key", "cosign.key", ...words, signed);
    expect(rekor.entries).toBe(1);
    expect(await accepts("--key", "cosign.pub", name)).toBe("accepted");
    const own = { keyPath: file("cosign.pub"), rekorPublicKeyPath: file("log.pub") };
    expect(await check(name, own)).toMatchObject({ kind: "verified" });
    writeFileSync(file("other.pub"), makeKey().pem);
    expect(await check(name, { ...own, rekorPublicKeyPath: file("other.pub") })).toMatch(/^untrusted: .*no log that/);
  });
});
