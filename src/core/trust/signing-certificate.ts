import { type DerElement, derElements } from "../bytes/der.ts";
import { exactText } from "../bytes/utf8.ts";
import type { Certificate } from "../digest/public-key.ts";
import { OsdeployError } from "../errors.ts";

/** Whose certificate counts. */
export interface CertificateIdentity {
  readonly issuer: string;
  readonly email: string;
}

const codeSigning = "1.3.6.1.5.5.7.3.3";

/** A chain of Fulcio has three; more than this is an attempt to keep us busy. */
const chainLimit = 8;

/**
 * Checks that a certificate leads to one of `roots`, all of the chain valid at the time the log tells, may sign code, and
 * was given to `identity`.
 *
 * @throws OsdeployError `digest-mismatch` with what is wrong.
 */
export function checkSigningCertificate(
  leaf: Certificate,
  chain: Chain,
  { identity, atSeconds }: { readonly identity: CertificateIdentity; readonly atSeconds: number },
): void {
  if (!leaf.usages.includes(codeSigning)) throw wrong("it is not for signing code");
  if (!isValidAt(leaf, atSeconds)) throw wrong("it was not valid when it was used");
  if (!leadsToRoot(leaf, chain, atSeconds)) throw wrong("no authority of the policy stands behind it");
  const issuer = oidcIssuerOf(leaf.der);
  if (issuer !== identity.issuer) throw wrong(`it was given for ${JSON.stringify(issuer ?? "no issuer")}`);
  if (!leaf.emails.includes(identity.email)) throw wrong(`it belongs to ${leaf.emails.join(", ") || "nobody by mail"}`);
}

function isValidAt({ validFromSeconds, validToSeconds }: Certificate, seconds: number): boolean {
  return validFromSeconds <= seconds && seconds <= validToSeconds;
}

interface Chain {
  readonly intermediates: readonly Certificate[];
  readonly roots: readonly Certificate[];
}

/** Goes up all ways at once, a step at a time, so that certificates that sign each other in rings cost no more than others. */
function leadsToRoot(leaf: Certificate, { intermediates, roots }: Chain, atSeconds: number): boolean {
  const left = new Set(intermediates.slice(0, chainLimit));
  let reached: readonly Certificate[] = [leaf];
  // Authorities between a certificate and the leaf, which pathLenConstraint limits.
  for (let below = 0; reached.length > 0; below++) {
    const isAbove = (above: Certificate) =>
      isAuthorityAt(above, atSeconds) && reached.some((each) => each.isIssuedBy(above)) && allowsBelow(above, below);
    if (roots.some(isAbove)) return true;
    reached = [...left].filter((each) => isAbove(each) && isForSigning(each) && isUnderstood(each));
    for (const each of reached) left.delete(each);
  }
  return false;
}

function isAuthorityAt(certificate: Certificate, seconds: number): boolean {
  return certificate.isAuthority && isValidAt(certificate, seconds);
}

/** An authority that is there for other uses only does not make signers of code. */
function isForSigning({ usages }: Certificate): boolean {
  return usages.length === 0 || usages.includes(codeSigning) || usages.includes("2.5.29.37.0");
}

/** Whether so many authorities may stand below this one: basicConstraints may say. */
function allowsBelow({ der }: Certificate, count: number): boolean {
  const constraints = extensionsOf(der).filter(({ name }) => name === basicConstraints);
  const [, pathLength] = constraints.flatMap(({ value }) => derElements(value).flatMap(insideOf));
  return pathLength === undefined || count <= pathLength.content.reduce((sum, byte) => sum * 256 + byte, 0);
}

/** Whether nothing limits an authority in a way that is not looked at here: names, policies, what is unknown and critical. */
function isUnderstood({ der }: Certificate): boolean {
  return extensionsOf(der).every(
    ({ name, isCritical }) => name !== nameConstraints && (!isCritical || understood.has(name)),
  );
}

/** 1.3.6.1.4.1.57264.1.1 and .8 in DER. */
const [rawIssuer, textIssuer] = [1, 8].map((last) => [0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 1, last].join());
/** 2.5.29 and a number in DER: key usage 15, basic constraints 19, name constraints 30, extended key usage 37. */
const [keyUsage, basicConstraints, nameConstraints, extendedKeyUsage] = [15, 19, 30, 37].map((last) =>
  [0x55, 0x1d, last].join(),
);
const understood: ReadonlySet<string | undefined> = new Set([keyUsage, basicConstraints, extendedKeyUsage]);

/** Tags of DER. */
const boolean = 0x01;
const utf8String = 0x0c;
const extensionsTag = 0xa3;

/**
 * The login service that vouched for the owner, as Fulcio writes it: raw in one extension, as a text in another. Undefined
 * when neither is there, or they differ.
 */
function oidcIssuerOf(der: Uint8Array): string | undefined {
  const issuers = extensionsOf(der).flatMap(({ name, value }) => {
    if (name === rawIssuer) return [value];
    if (name !== textIssuer) return [];
    const [text] = derElements(value);
    return [text?.tag === utf8String ? text.content : undefined];
  });
  const texts = new Set(issuers.map((bytes) => bytes && exactText(bytes)));
  const [issuer] = texts;
  return texts.size === 1 ? issuer : undefined;
}

interface Extension {
  /** The bytes of its OID, joined. */
  readonly name: string;
  readonly isCritical: boolean;
  readonly value: Uint8Array;
}

/** The extensions of a certificate: OID, perhaps whether it is critical, and octets, which come last. */
function extensionsOf(der: Uint8Array): readonly Extension[] {
  const signed = derElements(der).flatMap(insideOf).slice(0, 1);
  const lists = signed.flatMap(insideOf).filter(({ tag }) => tag === extensionsTag);
  return lists
    .flatMap(insideOf)
    .flatMap(insideOf)
    .flatMap((extension) => {
      const parts = insideOf(extension);
      const isCritical = parts.some(({ tag }) => tag === boolean);
      return parts
        .slice(0, 1)
        .flatMap((oid) =>
          parts.slice(-1).map(({ content }) => ({ name: oid.content.join(), isCritical, value: content })),
        );
    });
}

function insideOf({ content }: DerElement): readonly DerElement[] {
  return derElements(content);
}

function wrong(state: string): OsdeployError {
  return new OsdeployError("digest-mismatch", `Cannot accept the certificate of the signature: ${state}`);
}
