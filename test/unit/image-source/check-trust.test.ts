import { afterEach, beforeEach, expect, test } from "vitest";
import { OsdeployError } from "../../../src/core/errors.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { openImageSource } from "../../../src/image-source/open-image-source.ts";
import { resolveTrusted } from "../../../src/operations/offered-image.ts";
import { machineWithFiles } from "../../builders/configuration.ts";
import { buildImage } from "../../builders/oci-image.ts";
import { failureOf, linuxAmd64, systemOn } from "../../builders/operation-machine.ts";
import { putSignature } from "../../builders/registry-signature.ts";
import { makeKey } from "../../builders/signatures.ts";
import { FakeRegistry } from "../../fakes/fake-registry.ts";

const image = await buildImage({ layers: [[{ path: "a", content: "one" }]] });
const key = makeKey();
/** The name that is asked for. A rule of registries.conf leads to the repository `os` of a fake registry. */
const asked = "quay.internal/team/os";

let registry: FakeRegistry;

beforeEach(async () => {
  registry = await FakeRegistry.start();
  registry.add(image, "v1");
});

afterEach(() => registry.stop());

const signedIdentity = { type: "matchRepository" };
const sigstore = { type: "sigstoreSigned", keyPath: "/key.pub", signedIdentity };
const gpg = { type: "signedBy", keyType: "GPGKeys", keyPath: "/key.gpg" };
const anything = { type: "insecureAcceptAnything" };

/** Asks a policy with these requirements about the image. */
async function judge(requirements: readonly object[], registriesD: object): Promise<unknown> {
  const linux = machineWithFiles({
    ...{ "/key.pub": key.pem, "/key.gpg": "x", "/tmp/x": "" },
    "/etc/containers/policy.json": { default: requirements },
    "/etc/containers/registries.d/a.yaml": registriesD,
    "/etc/containers/registries.conf": `[[registry]]\nprefix = "quay.internal/team"\nlocation = "${registry.host}"\n`,
  });
  const options = { environment: { variables: {}, userId: 0 }, retry: { tries: 1, delayMs: 1 } };
  const source = openImageSource(parseImageReference(`docker://${asked}:v1`), linux, options);
  const trusted = resolveTrusted(systemOn(linux), source, { platform: linuxAmd64, source: options });
  const outcome = trusted.then(({ trust }) => trust.kind).finally(() => source.close());
  return (await failureOf(outcome)) ?? (await outcome);
}

const sign = (reference: string) => putSignature(registry, key, { digest: image.manifestDigest, reference });
const attached = { "use-sigstore-attachments": true };
const askedFor = (ending: RegExp) => registry.requests.filter(({ path }) => ending.test(path)).map(({ path }) => path);
const untrusted = { code: "untrusted" };

test("checkTrust: a signature is of the name that was asked for, not of the place that a rule leads to", async () => {
  sign(`${registry.host}/os`);
  expect(await judge([sigstore], { "default-docker": attached })).toMatchObject(untrusted);
  sign(asked);
  expect(await judge([sigstore], { "default-docker": attached })).toBe("verified");
});

test("checkTrust: where signatures are is said of the place that a rule leads to, not of the name that was asked for", async () => {
  sign(asked);
  expect(await judge([sigstore], { docker: { [asked]: attached } })).toMatchObject(untrusted);
  expect(await judge([sigstore], { docker: { [`${registry.host}/os`]: attached } })).toBe("verified");
});

test("checkTrust: signatures in a lookaside store lie under the name of that place", async () => {
  expect(await judge([gpg], { "default-docker": { lookaside: `http://${registry.host}/s` } })).toMatchObject(untrusted);
  expect(askedFor(/signature-/)).toEqual([`/s/os@${image.manifestDigest.replace(":", "=")}/signature-1`]);
});

test("checkTrust: a registry that is said to keep no signatures is asked for none", async () => {
  sign(asked);
  expect(await judge([sigstore], { "default-docker": { "use-sigstore-attachments": false } })).toMatchObject(untrusted);
  expect(askedFor(/\.sig$|referrers/)).toEqual([]);
});

test("checkTrust: signatures are looked for where any requirement wants one, and else not", async () => {
  sign(asked);
  expect(await judge([anything], { "default-docker": attached })).toBe("anything-accepted");
  expect(askedFor(/\.sig$|referrers|signature/)).toEqual([]);
  expect(await judge([anything, sigstore], { "default-docker": attached })).toBe("verified");
  registry.requests.length = 0;
  const fulcio = { caData: "eA==", oidcIssuer: "i", subjectEmail: "e" };
  const byCertificate = { type: "sigstoreSigned", fulcio, rekorPublicKeyData: "eA==", signedIdentity };
  expect(await judge([byCertificate], { "default-docker": attached })).toBeInstanceOf(OsdeployError);
  expect(askedFor(/\.sig$/)).toHaveLength(1);
});
