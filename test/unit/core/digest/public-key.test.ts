import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { expect, test } from "vitest";
import { isSameKey, isSignedBy, parseCertificates, parsePublicKey } from "../../../../src/core/digest/public-key.ts";
import { makeKey, trustVector } from "../../../builders/signatures.ts";

const parse = (text: string) => parsePublicKey(Buffer.from(text), "k.pub");

test("parsePublicKey: reads the first PEM block, of a key in either form or a certificate", () => {
  const [first, second] = [makeKey(), makeKey()];
  expect(isSameKey(parse(`a comment\n${first.pem}${second.pem}`), parse(first.pem))).toBe(true);
  expect(isSameKey(parse(first.pem), parse(second.pem))).toBe(false);
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const [pkcs1, spki] = (["pkcs1", "spki"] as const).map((type) =>
    publicKey.export({ type, format: "pem" }).toString(),
  );
  expect(isSameKey(parse(String(pkcs1)), parse(String(spki)))).toBe(true);
  expect(parse(trustVector("leaf.pem")).asymmetricKeyType).toBe("ec");
});

test("parsePublicKey: refuses what is no key, and keys of other kinds", () => {
  expect(() => parse("ssh-ed25519 AAAA")).toThrow("Cannot use k.pub as a key: it is no PEM public key");
  expect(() => parse("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")).toThrow(/cannot be read/);
  const x25519 = generateKeyPairSync("x25519").publicKey.export({ type: "spki", format: "pem" }).toString();
  expect(() => parse(x25519)).toThrow(/cannot be read/);
});

test("isSameKey: keys of two kinds differ, and the next private key can be read all the same", () => {
  const [ec, ed25519] = [makeKey(), makeKey("ed25519")];
  const privateKey = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" });
  expect(isSameKey(parse(ec.pem), parse(ed25519.pem))).toBe(false);
  expect(createPrivateKey(privateKey).asymmetricKeyType).toBe("ed25519");
  expect(isSameKey(parse(ed25519.pem), parse(ed25519.pem))).toBe(true);
});

test.each(["x25519", "x448", "ed448"] as const)("isSignedBy: a key of the kind %s has signed nothing", (kind) => {
  const [certificate] = parseCertificates(Buffer.from(trustVector(`leaf-${kind}.pem`)), "c.pem");
  expect(certificate?.publicKey.asymmetricKeyType).toBe(kind);
  expect(certificate && isSignedBy(certificate.publicKey, Buffer.from("m"), Buffer.from("s"))).toBe(false);
});

test("parseCertificates: reads several, with times, uses and addresses", () => {
  const both = parseCertificates(Buffer.from(trustVector("leaf.pem") + trustVector("root.pem")), "c.pem");
  expect(both).toMatchObject([
    {
      validFromSeconds: 1_781_524_800,
      validToSeconds: 1_781_525_400,
      emails: ["builder@example.com"],
      isAuthority: false,
    },
    { validFromSeconds: 1_767_225_600, validToSeconds: 2_082_758_400, emails: [], usages: [], isAuthority: true },
  ]);
  expect(both[0]?.usages).toEqual(["1.3.6.1.5.5.7.3.3"]);
});
