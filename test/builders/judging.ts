import { OsdeployError } from "../../src/core/errors.ts";
import { parseRegistryName } from "../../src/core/oci/registry-name.ts";
import {
  type FoundSignature,
  type JudgingMeans,
  judgeImage,
  type TrustVerdict,
} from "../../src/core/trust/judge-image.ts";
import { parsePolicy } from "../../src/core/trust/policy.ts";
import { cosignPayload, makeKey } from "./signatures.ts";

/** The image that is judged, and another one. */
export const digest = `sha256:${"d".repeat(64)}`;
export const other = `sha256:${"e".repeat(64)}`;
/** What the image was asked for by. */
export const reference = "quay.io/os:v1";
/** What signatures of it cover. */
export const payload = cosignPayload(digest, reference);
/** Keys of the policy, of somebody else, and of a log. */
export const [key, stranger, log] = [makeKey(), makeKey(), makeKey()];

/** Base64, as policies hold keys. */
export const data = (text: string) => Buffer.from(text).toString("base64");
/** A machine whose policy's key is `/key.pub`; an OpenPGP message is good unless it is empty. */
export const means: JudgingMeans = {
  readKey: (path) => {
    if (path === "/key.pub") return Buffer.from(key.pem);
    throw new OsdeployError("not-found", `Cannot read ${path}`);
  },
  openMessage: (message, keyrings) => {
    if (message.length === 0) throw new OsdeployError("digest-mismatch", "Cannot accept the OpenPGP signature: bad");
    return { payload: message, fingerprint: `F${keyrings.length}` };
  },
};

/** Judges an image with these signatures by one requirement, or several. */
export function judge(
  requirement: object | readonly object[],
  signatures: readonly FoundSignature[],
  name = reference,
): TrustVerdict {
  const text = JSON.stringify({ default: [requirement].flat() });
  const { fallback } = parsePolicy(new TextEncoder().encode(text), "p");
  return judgeImage(fallback, { name: parseRegistryName(name), manifestDigest: digest, signatures }, means);
}

/** What is said of the only signature that did not do. */
export function rejection(requirement: object, signature: FoundSignature): string {
  const verdict = judge(requirement, [signature]);
  if (verdict.accepted) throw new Error("It was accepted");
  if (verdict.reason !== "none of its signatures is good") throw new Error(`It was refused: ${verdict.reason}`);
  return verdict.rejected.join("\n");
}

/** Wants a sigstore signature of `/key.pub`. */
export const keyed = (more: object = {}) => ({ type: "sigstoreSigned", keyPath: "/key.pub", ...more });
/** Takes a signature for any tag. */
export const byAny = { signedIdentity: { type: "matchRepository" } };
