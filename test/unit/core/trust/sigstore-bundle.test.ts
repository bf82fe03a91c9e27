import { expect, test } from "vitest";
import { parseSigstoreBundle } from "../../../../src/core/trust/sigstore-bundle.ts";
import { digest } from "../../../builders/judging.ts";
import { bundle, makeKey, signStatement } from "../../../builders/signatures.ts";

const key = makeKey();
const statement = signStatement(digest);
const listOf = <T>(count: number, each: T) => Array.from({ length: count }, () => each);
const tooMany = expect.objectContaining({ code: "limit-exceeded" });

function parse(more: Parameters<typeof bundle>[2]) {
  const made = bundle(key, statement, more);
  if (made.kind !== "bundle") throw new Error("It is a bundle");
  return parseSigstoreBundle(made.bytes);
}

test("parseSigstoreBundle: a chain has 64 certificates at most", () => {
  const chainOf = (count: number) => ({
    material: { x509CertificateChain: { certificates: listOf(count, { rawBytes: "AA==" }) } },
  });
  expect(parse(chainOf(64)).certificates).toHaveLength(64);
  expect(() => parse(chainOf(65))).toThrow(tooMany);
});

test("parseSigstoreBundle: of more than 64 signatures none is looked at", () => {
  const signedBy = (count: number) => ({ envelope: { signatures: listOf(count, {}) } });
  expect(() => parse(signedBy(64))).toThrow(/needs exactly one signature/);
  expect(() => parse(signedBy(65))).toThrow(tooMany);
});

const proof = { treeSize: "1", rootHash: "AA==", checkpoint: { envelope: "" } };
const entryOf = (hashes: number) => ({
  canonicalizedBody: "AA==",
  inclusionProof: { ...proof, hashes: listOf(hashes, "AA==") },
});

test("parseSigstoreBundle: has 64 entries of logs at most", () => {
  const entries = (count: number) => parse({ material: { tlogEntries: listOf(count, entryOf(1)) } }).logEntries();
  expect(entries(64)).toHaveLength(64);
  expect(() => entries(65)).toThrow(tooMany);
});

test("parseSigstoreBundle: no way to the root of a log has more than 64 steps", () => {
  const entries = (steps: number) => parse({ material: { tlogEntries: [entryOf(steps)] } }).logEntries();
  expect(entries(64)[0]?.proof?.hashes).toHaveLength(64);
  expect(() => entries(65)).toThrow(tooMany);
});
