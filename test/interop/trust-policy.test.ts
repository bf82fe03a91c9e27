import { execFile, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { openImageSource } from "../../src/image-source/open-image-source.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { resolveTrusted } from "../../src/operations/offered-image.ts";
import { type BuiltImage, buildImage } from "../builders/oci-image.ts";
import { writeDockerArchive, writeLayout } from "../builders/oci-layout.ts";
import { putSignature } from "../builders/registry-signature.ts";
import { makeKey } from "../builders/signatures.ts";
import { FakeRegistry } from "../fakes/fake-registry.ts";
import { type DockerRegistry, startDockerRegistry } from "../tools/docker-registry.ts";
import { findTool } from "../tools/find-tool.ts";

const tools = {
  "new-skopeo": findTool("new-skopeo"),
  gpg: findTool("gpg"),
  "docker-registry": findTool("docker-registry"),
};
const missing = Object.entries(tools).flatMap(([name, path]) => (path === undefined ? [name] : []));

/** What a policy does: it lets an image pass, or not, or nobody can use it. */
type Verdict = "accepted" | "refused" | "unusable";

describe.skipIf(missing.length > 0)(`policies, as skopeo reads them (missing: ${missing.join(", ") || "none"})`, () => {
  const directory = mkdtempSync(join(tmpdir(), "interop-trust-policy-"));
  const file = (name: string) => join(directory, name);
  const layout = file("layout");
  let registry: DockerRegistry;
  let port = "";
  let built: BuiltImage;

  const run = async (program: string | undefined, ...words: readonly string[]) => {
    const env = { ...process.env, HOME: directory, GNUPGHOME: file("gnupg"), LC_ALL: "C" };
    return promisify(execFile)(String(program), words, { cwd: directory, env });
  };

  beforeAll(async () => {
    for (const name of [".config/containers/registries.d", "gnupg", "lookaside"]) {
      mkdirSync(file(name), { recursive: true, mode: 0o700 });
    }
    registry = await startDockerRegistry(file("registry"));
    port = registry.host.replace(/.*:/, "");
    writeFileSync(
      file(".config/containers/registries.d/a.yaml"),
      `default-docker: {lookaside: "file://${file("look")}", use-sigstore-attachments: true}`,
    );
    built = await buildImage({ layers: [[{ path: "usr/" }]] });
    writeLayout(layout, [{ image: built, tag: "v1" }]);
    await writeDockerArchive(file("archive.tar"), [{ image: built, names: ["quay.io/os:v1"] }]);
    await run(tools.gpg, "--batch", "--passphrase", "", "--quick-gen-key", "ann@example.com", "default", "sign");
    writeFileSync(file("ann.asc"), (await run(tools.gpg, "--armor", "--export", "ann@example.com")).stdout);
  });

  afterAll(async () => {
    await registry?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function ourVerdict(image: string): Promise<Verdict> {
    const environment = { variables: { HOME: directory, TMPDIR: directory }, userId: 0 };
    const options = {
      environment,
      tlsVerify: false,
      retry: { tries: 1, delayMs: 1 },
      signaturePolicy: fromText(file("policy.json")),
    };
    const source = openImageSource(parseImageReference(image), openLinux(), options);
    try {
      const system = { linux: openLinux(), signal: new AbortController().signal };
      await resolveTrusted(system, source, { platform: parsePlatform("linux/amd64"), source: options });
      return "accepted";
    } catch (error) {
      if (!(error instanceof OsdeployError)) throw error;
      expect(["untrusted", "bad-format"]).toContain(error.code);
      return error.code === "untrusted" ? "refused" : "unusable";
    } finally {
      await source.close();
    }
  }

  async function skopeosVerdict(image: string): Promise<Verdict> {
    const words = ["--policy", "policy.json", "copy", "--quiet", "--src-tls-verify=false", "--remove-signatures"];
    try {
      await run(tools["new-skopeo"], ...words, image, `dir:${file("copied")}`);
      return "accepted";
    } catch (error) {
      const text = String(error);
      expect(text).toMatch(/Source image rejected|Error loading trust policy/);
      return text.includes("Source image rejected") ? "refused" : "unusable";
    }
  }

  /** What both say of an image under a policy. */
  async function verdict(policy: string, image: string): Promise<Verdict> {
    writeFileSync(file("policy.json"), policy);
    const ours = await ourVerdict(image);
    expect(`${ours}: ${policy}`).toBe(`${await skopeosVerdict(image)}: ${policy}`);
    return ours;
  }

  /** Puts the image into the registry, with one signature that is for `identity`. */
  async function pushSigned(identity: string): Promise<string> {
    rmSync(file("look"), { recursive: true, force: true });
    const target = `docker://${registry.host}/os:v1`;
    const words = ["--dest-tls-verify=false", "--sign-by", "ann@example.com", "--preserve-digests"];
    const all = [...words, "--sign-identity", identity, `oci:${layout}`, target];
    await run(tools["new-skopeo"], "--insecure-policy", "copy", "--quiet", ...all);
    return target;
  }

  test.each([
    ["another port is another registry", "signed.io:PORT/os", "127.0.0.1", "signed.io", "refused"],
    ["a prefix that does not fit changes nothing", "127.0.0.1:PORT/os", "127.0.0.1", "signed.io", "accepted"],
    ["a host with its port", "signed.io/os", "127.0.0.1:PORT", "signed.io", "accepted"],
    ["a repository", "signed.io/team/so", "127.0.0.1:PORT/os", "signed.io/team/so", "accepted"],
    ["a part of a name is no prefix", "signed.io/os", "127.0.0.1:PORT/o", "signed.io/o", "refused"],
    ["a name that Docker would complete", "docker.io/team/os", "127.0.0.1:PORT", "team", "refused"],
    ["a prefix that can be none", "signed.io/os", "127.0.0.1:PORT", "signed..io", "unusable"],
  ])("remapIdentity: %s", async (_name, signed, prefix, signedPrefix, expected) => {
    const withPort = (text: string) => text.replace("PORT", port);
    const target = await pushSigned(`${withPort(signed)}:v1`);
    const names = { prefix: withPort(prefix), signedPrefix };
    const keyed = { type: "signedBy", keyType: "GPGKeys", keyPath: file("ann.asc") };
    const policy = { default: [{ ...keyed, signedIdentity: { type: "remapIdentity", ...names } }] };
    expect(await verdict(JSON.stringify(policy), target)).toBe(expected);
  });

  const accept = [{ type: "insecureAcceptAnything" }];
  const reject = [{ type: "reject" }];
  test.each<readonly [string, object, string, Verdict]>([
    ["a scope of docker-archive", { "docker-archive": { ARCHIVE: reject } }, "docker-archive:ARCHIVE", "unusable"],
    ["all of docker-archive", { "docker-archive": { "": reject } }, "docker-archive:ARCHIVE", "refused"],
    ["a scope of tarball", { tarball: { "/srv": reject } }, "oci:LAYOUT:v1", "unusable"],
    ["a layout", { oci: { LAYOUT: reject } }, "oci:LAYOUT:v1", "refused"],
    ["null in place of transports", { transports: null }, "oci:LAYOUT:v1", "unusable"],
    ["null in place of a transport", { oci: null }, "oci:LAYOUT:v1", "unusable"],
  ])("scopes: %s", async (_name, scopes, image, expected) => {
    const withPaths = (text: string) => text.replaceAll("LAYOUT", layout).replaceAll("ARCHIVE", file("archive.tar"));
    const transports = "transports" in scopes ? scopes : { transports: scopes };
    expect(await verdict(withPaths(JSON.stringify({ default: accept, ...transports })), withPaths(image))).toBe(
      expected,
    );
  });

  test("scopes with a tag count here alone: skopeo does not look up layouts by tags", async () => {
    for (const [image, expected] of [
      [`oci:${layout}:v1`, "refused"],
      [`oci:${layout}`, "refused"],
    ] as const) {
      writeFileSync(
        file("policy.json"),
        JSON.stringify({ default: accept, transports: { oci: { [`${layout}:v1`]: reject } } }),
      );
      expect(await ourVerdict(image)).toBe(expected);
      expect(await skopeosVerdict(image)).toBe("accepted");
    }
  });

  test.each<readonly [string, object]>([
    ["keyData", { type: "signedBy", keyType: "GPGKeys", keyPath: "/k", keyData: null }],
    ["signedIdentity", { type: "sigstoreSigned", keyPath: "/k", signedIdentity: null }],
    ["fulcio", { type: "sigstoreSigned", keyPath: "/k", fulcio: null }],
    ["rekorPublicKeyDatas", { type: "sigstoreSigned", keyPath: "/k", rekorPublicKeyDatas: null }],
  ])("null in place of %s makes a policy unusable", async (_name, requirement) => {
    const policy = { default: accept, transports: { docker: { "quay.io": [requirement] } } };
    expect(await verdict(JSON.stringify(policy), `oci:${layout}:v1`)).toBe("unusable");
  });

  test("keys are taken as people have them", async () => {
    const target = await pushSigned(`${registry.host}/os:v1`);
    const armored = readFileSync(file("ann.asc"), "latin1");
    const [first = ""] = armored.split("\n");
    const { stdout: binary } = spawnSync(String(tools.gpg), ["--export"], {
      env: { ...process.env, GNUPGHOME: file("gnupg") },
    });
    const inLines = binary.toString("base64").replaceAll(/.{76}/g, "$&\n");
    for (const key of [
      armored.replace(first, `${first}  `),
      armored.replace(first, `${first}\nVersion:`),
      armored.replace("\n\n", "\n  \t\n"),
      armored.replaceAll("\n", " \n"),
      armored.replaceAll("\n", "\r\n"),
    ]) {
      writeFileSync(file("key.asc"), key);
      const policy = { default: [{ type: "signedBy", keyType: "GPGKeys", keyPath: file("key.asc") }] };
      expect(await verdict(JSON.stringify(policy), target)).toBe("accepted");
    }
    const inPolicy = { default: [{ type: "signedBy", keyType: "GPGKeys", keyData: `${inLines}\r\n` }] };
    expect(await verdict(JSON.stringify(inPolicy), target)).toBe("accepted");
  });

  test.each([400, 401, 403, 405, 500, 501])(
    "a registry that does not tell what refers to an image (%i) has its signatures under their tag",
    async (status) => {
      const stranger = await FakeRegistry.start({ faults: [{ path: /\/referrers\//, status, times: 100 }] });
      try {
        stranger.add(built, "v1");
        const key = makeKey();
        const keyed = { type: "sigstoreSigned", keyData: Buffer.from(key.pem).toString("base64") };
        const target = `docker://${stranger.host}/os:v1`;
        putSignature(stranger, makeKey(), { digest: built.manifestDigest, reference: `${stranger.host}/os:v1` });
        if (status < 500) expect(await verdict(JSON.stringify({ default: [keyed] }), target)).toBe("refused");
        putSignature(stranger, key, { digest: built.manifestDigest, reference: `${stranger.host}/os:v1` });
        expect(await verdict(JSON.stringify({ default: [keyed] }), target)).toBe("accepted");
      } finally {
        await stranger.stop();
      }
    },
  );
});
