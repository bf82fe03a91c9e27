import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { openImageSource } from "../../../src/image-source/open-image-source.ts";
import { resolveTrusted } from "../../../src/operations/offered-image.ts";
import { pull } from "../../../src/operations/pull.ts";
import { status } from "../../../src/operations/status.ts";
import { switchImage } from "../../../src/operations/switch.ts";
import { buildImage } from "../../builders/oci-image.ts";
import {
  failureOf,
  layoutReference,
  linuxAmd64,
  machineWithRepo,
  namesInRepo,
  noLogin,
  objectsInRepo,
  pullTag,
  repoOfSysroot,
  sysrootPath,
  systemOn,
} from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import { putSignature } from "../../builders/registry-signature.ts";
import { makeKey } from "../../builders/signatures.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";
import { FakeRegistry } from "../../fakes/fake-registry.ts";

const v1 = await buildOsImage("v1");
const key = makeKey();

function writeFile(linux: FakeLinux, path: string, text: string): void {
  const parts = path.split("/").slice(1, -1);
  for (const [index] of parts.entries()) {
    const directory = fromText(`/${parts.slice(0, index + 1).join("/")}`);
    if (linux.files.lstatIfExists(directory) === undefined) linux.files.makeDirectory(directory, 0o755);
  }
  linux.files.writeNewFile(fromText(path), new TextEncoder().encode(text), 0o644);
}

const policyPath = "/etc/containers/policy.json";

describe("images under a signature policy", () => {
  let registry: FakeRegistry;
  let linux: FakeLinux;
  beforeEach(async () => {
    registry = await FakeRegistry.start();
    registry.add(v1, "v1");
    linux = await machineWithRepo({ v1 });
    writeFile(linux, "/etc/containers/registries.d/a.yaml", "default-docker: {use-sigstore-attachments: true}\n");
  });
  afterEach(() => registry.stop());

  const pullIt = (source: object = {}) =>
    pull(systemOn(linux), {
      image: parseImageReference(`docker://${registry.host}/os:v1`),
      platform: linuxAmd64,
      repo: repoOfSysroot,
      bootable: true,
      source: { ...noLogin, ...source },
    });

  const sign = (reference: string) => putSignature(registry, key, { digest: v1.manifestDigest, reference });

  const wanting = (requirement: object) => JSON.stringify({ default: [requirement] });
  const keyed = { type: "sigstoreSigned", keyPath: "/key.pub", signedIdentity: { type: "matchRepository" } };

  test("a refused image leaves nothing, and nothing of its layers was asked for", async () => {
    const before = namesInRepo(linux);
    writeFile(linux, policyPath, wanting({ type: "reject" }));
    expect(await failureOf(pullIt())).toMatchObject({ code: "untrusted" });
    const layers = v1.layers.map(({ digest }) => digest);
    expect(registry.requests.filter(({ path }) => layers.some((digest) => path.endsWith(digest)))).toEqual([]);
    expect(namesInRepo(linux)).toEqual(before);
  });

  test("an image with the signature that the policy asks for comes, without it or its key it does not", async () => {
    writeFile(linux, policyPath, wanting(keyed));
    expect(await failureOf(pullIt())).toMatchObject({ code: "not-found" });
    writeFile(linux, "/key.pub", key.pem);
    expect(await failureOf(pullIt())).toMatchObject({ code: "untrusted" });
    sign(`${registry.host}/other`);
    const refused = await failureOf(pullIt());
    expect(refused).toMatchObject({ code: "untrusted", facts: { signatures: expect.stringMatching(/\/other/) } });
    sign(`${registry.host}/os`);
    expect(await pullIt()).toMatchObject({ manifestDigest: v1.manifestDigest });
  });

  test("what an image was verified by is remembered, and status tells it", async () => {
    writeFile(linux, policyPath, wanting(keyed));
    writeFile(linux, "/key.pub", key.pem);
    sign(`${registry.host}/os`);
    const system = systemOn(linux);
    await switchImage(system, {
      image: parseImageReference(`docker://${registry.host}/os:v1`),
      platform: linuxAmd64,
      sysroot: sysrootPath,
      source: noLogin,
      kernelArguments: [],
    });
    const { deployments } = await status(system, { sysroot: sysrootPath });
    expect(deployments).toMatchObject([{ verifiedBy: ["sigstore key /key.pub"] }]);
  });

  test("signatures that cannot be read refuse", async () => {
    writeFile(linux, policyPath, wanting(keyed));
    writeFile(linux, "/key.pub", key.pem);
    sign(`${registry.host}/os`);
    registry.faults.push({ path: /\.sig$/, status: 403 });
    expect(await failureOf(pullIt())).toMatchObject({ code: "unauthorized" });
  });

  test.each([400, 401, 403, 405, 406, 501])(
    "a registry that refuses to list referrers (%i) refuses none",
    async (status) => {
      writeFile(linux, policyPath, wanting(keyed));
      writeFile(linux, "/key.pub", key.pem);
      registry.faults.push({ path: /\/referrers\//, status, times: 20 });
      expect(await failureOf(pullIt())).toMatchObject({
        code: "untrusted",
        message: expect.stringMatching(
          /no signature of the kind.*, and its bundles cannot be read: Cannot fetch the refer/,
        ),
      });
      sign(`${registry.host}/os`);
      expect(await pullIt()).toMatchObject({ manifestDigest: v1.manifestDigest });
    },
  );

  test("a registry that fails to list referrers fails only where nothing else satisfies the policy", async () => {
    writeFile(linux, policyPath, wanting(keyed));
    writeFile(linux, "/key.pub", key.pem);
    const image = `docker://${registry.host}/os:v1`;
    const options = { ...noLogin, retry: { tries: 1, delayMs: 1 } };
    const resolve = async () => {
      const source = openImageSource(parseImageReference(image), linux, options);
      const trusted = resolveTrusted(systemOn(linux), source, { platform: linuxAmd64, source: options });
      return trusted.finally(() => source.close());
    };
    registry.faults.push({ path: /\/referrers\//, status: 503, times: 20 });
    expect(await failureOf(resolve())).toMatchObject({
      code: "network",
      message: expect.stringMatching(
        /fetch the referrers.*503.*; without that docker:.* is refused: it has no signature/,
      ),
    });
    sign(`${registry.host}/os`);
    expect(await resolve()).toMatchObject({ trust: { kind: "verified" } });
  });

  test("a check can be demanded, and another policy be named", async () => {
    expect(await failureOf(pullIt({ enforceSignatures: true }))).toMatchObject({ code: "untrusted" });
    writeFile(linux, policyPath, wanting({ type: "insecureAcceptAnything" }));
    expect(await failureOf(pullIt({ enforceSignatures: true }))).toMatchObject({ code: "untrusted" });
    const none = { signaturePolicy: fromText("/none.json") };
    expect(await failureOf(pullIt(none))).toMatchObject({ code: "not-found" });
    writeFile(linux, "/strict.json", wanting({ type: "reject" }));
    expect(await failureOf(pullIt({ signaturePolicy: fromText("/strict.json") }))).toMatchObject({ code: "untrusted" });
    expect(await pullIt()).toMatchObject({ manifestDigest: v1.manifestDigest });
  });

  test("layouts are judged by their path", async () => {
    const policy = {
      default: [{ type: "reject" }],
      transports: { oci: { "/layout:v1": [{ type: "insecureAcceptAnything" }] } },
    };
    writeFile(linux, policyPath, JSON.stringify(policy));
    expect(await pullTag(linux, "v1")).toMatchObject({ image: layoutReference("v1") });
    linux.files.unlink(fromText(policyPath));
    writeFile(linux, policyPath, wanting(keyed));
    expect(await failureOf(pullTag(linux, "v1"))).toMatchObject({ code: expect.stringMatching(/untrusted|not-found/) });
  });
});

describe("images that promise their root images", () => {
  const key512 = "composefs.merged.erofs.v1.fsverity-sha512-12";
  const layers = [[{ path: "usr/" }, { path: "usr/a", content: "a" }]];

  test("come when they are as promised, again and again, and never when they are not", async () => {
    const plain = await buildImage({ layers });
    const { rawImage } = await pullTag(await machineWithRepo({ plain }), "plain", { bootable: false });
    const good = await buildImage({ layers, annotations: { [key512]: rawImage } });
    const bad = await buildImage({ layers, annotations: { [key512]: "0".repeat(128) } });
    const linux = await machineWithRepo({ good, bad, plain });
    expect(await failureOf(pullTag(linux, "bad", { bootable: false }))).toMatchObject({
      code: "digest-mismatch",
      facts: { found: rawImage, promised: "0".repeat(128) },
    });
    expect([...namesInRepo(linux), ...objectsInRepo(linux)]).toEqual([]);
    for (const _again of [1, 2]) {
      expect(await pullTag(linux, "good", { bootable: false })).toMatchObject({ rawImage });
    }
    expect(await failureOf(pullTag(linux, "bad", { bootable: false }))).toMatchObject({ code: "digest-mismatch" });
  });
});
