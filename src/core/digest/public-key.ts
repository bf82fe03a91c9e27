import { createPublicKey, type KeyObject, verify, X509Certificate } from "node:crypto";
import { fromBytes } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";

/** A public key that signatures are checked with. */
export type PublicKey = KeyObject;

/** The kinds of keys that sigstore signatures are made with. */
const keyKinds = new Set(["ec", "rsa", "ed25519"]);

/**
 * Reads the first PEM block of `bytes`: `PUBLIC KEY`, `RSA PUBLIC KEY` or `CERTIFICATE`. `what` names it in errors.
 *
 * @throws OsdeployError `bad-format` when it is no such key.
 */
export function parsePublicKey(bytes: Uint8Array, what: string): PublicKey {
  const text = fromBytes(bytes);
  const block = /-----BEGIN (PUBLIC KEY|RSA PUBLIC KEY|CERTIFICATE)-----[^-]*-----END \1-----/.exec(text)?.[0];
  if (block === undefined)
    throw new OsdeployError("bad-format", `Cannot use ${what} as a key: it is no PEM public key`);
  try {
    const key = createPublicKey(block);
    if (keyKinds.has(String(key.asymmetricKeyType))) return key;
    throw new Error(`keys of the kind ${key.asymmetricKeyType} are not used for signatures of images`);
  } catch (cause) {
    throw new OsdeployError("bad-format", `Cannot use ${what} as a key: it cannot be read`, { cause });
  }
}

/**
 * Whether `signature` over `message` was made with `key`: ECDSA (ASN.1) or RSA (PKCS#1 v1.5) over sha256, or Ed25519 over
 * the message itself, as cosign and skopeo sign. Keys of other kinds, which a certificate may bring, have signed nothing:
 * OpenSSL throws for those that only agree on secrets.
 */
export function isSignedBy(key: PublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  if (!keyKinds.has(String(key.asymmetricKeyType))) return false;
  return verify(key.asymmetricKeyType === "ed25519" ? null : "sha256", message, key, signature);
}

/**
 * Whether two keys are the same one. Keys of two kinds are not handed to OpenSSL: it would keep an error of that, which the
 * next private key that Node reads fails with.
 */
export function isSameKey(a: PublicKey, b: PublicKey): boolean {
  return a.asymmetricKeyType === b.asymmetricKeyType && a.equals(b);
}

/** A key as bytes: DER of its SubjectPublicKeyInfo, and of Ed25519 the key itself. */
export function keyBytes(key: PublicKey): { readonly spki: Uint8Array; readonly ed25519: Uint8Array | undefined } {
  const spki = new Uint8Array(key.export({ type: "spki", format: "der" }));
  return { spki, ed25519: key.asymmetricKeyType === "ed25519" ? spki.subarray(-32) : undefined };
}

/** A certificate, with what the policy of an image asks of it. Times are in seconds since 1970. */
export interface Certificate {
  readonly publicKey: PublicKey;
  readonly validFromSeconds: number;
  readonly validToSeconds: number;
  /** Extended key usages, as OIDs. */
  readonly usages: readonly string[];
  readonly emails: readonly string[];
  /** DER of the whole. */
  readonly der: Uint8Array;
  readonly isAuthority: boolean;
  /** Whether `issuer` signed it, by name and by key. */
  isIssuedBy(issuer: Certificate): boolean;
}

/**
 * Reads all certificates of `bytes`: PEM blocks, or one in DER. `what` names it in errors.
 *
 * @throws OsdeployError `bad-format` when one cannot be read.
 */
export function parseCertificates(bytes: Uint8Array, what: string): readonly Certificate[] {
  const text = fromBytes(bytes);
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [bytes];
  if (blocks.length > certificateLimit) {
    throw new OsdeployError("limit-exceeded", `Cannot use ${what}: it has more than ${certificateLimit} certificates`);
  }
  try {
    return blocks.map((block) => describe(new X509Certificate(block)));
  } catch (cause) {
    throw new OsdeployError("bad-format", `Cannot use ${what}: a certificate in it cannot be read`, { cause });
  }
}

/** No chain is longer; a file of roots may hold some. */
const certificateLimit = 64;

function describe(certificate: X509Certificate): Certificate {
  return {
    publicKey: certificate.publicKey,
    validFromSeconds: secondsOf(certificate.validFrom),
    validToSeconds: secondsOf(certificate.validTo),
    usages: certificate.keyUsage ?? [],
    emails: emailsOf(certificate.subjectAltName),
    der: certificate.raw,
    isAuthority: certificate.ca,
    isIssuedBy: (issuer) => {
      const by = new X509Certificate(issuer.der);
      return certificate.checkIssued(by) && certificate.verify(by.publicKey);
    },
  };
}

/** Names with commas or quotes are written as JSON texts by OpenSSL's binding; an address has neither, so such are left out. */
function emailsOf(names: string | undefined): readonly string[] {
  return (names ?? "")
    .split(", ")
    .flatMap((name) => (/^email:[^"\s]+$/.test(name) ? [name.slice("email:".length)] : []));
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** OpenSSL's words for a time: `Nov  1 09:05:00 2026 GMT`. */
function secondsOf(text: string): number {
  const [month, day, hour, minute, second, year] = text.split(/[ :]+/);
  const days = daysSince1970(Number(year), months.indexOf(String(month)) + 1, Number(day));
  return ((days * 24 + Number(hour)) * 60 + Number(minute)) * 60 + Number(second);
}

/** Days from 1970-01-01 to a day of the Gregorian calendar; years start in March, so that leap days come last. */
function daysSince1970(year: number, month: number, day: number): number {
  const shifted = month > 2 ? year : year - 1;
  const era = Math.floor(shifted / 400);
  const yearOfEra = shifted - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
