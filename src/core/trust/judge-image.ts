import { decodeBase64 } from "../bytes/base64.ts";
import { encodeText } from "../bytes/utf8.ts";
import {
  type Certificate,
  isSignedBy,
  type PublicKey,
  parseCertificates,
  parsePublicKey,
} from "../digest/public-key.ts";
import { type ErrorCode, OsdeployError } from "../errors.ts";
import type { RegistryName } from "../oci/registry-name.ts";
import type { LoggedSignature } from "./log-body.ts";
import { checkLogEntry, type LogEntry, parseLogAnnotation } from "./log-entry.ts";
import type { KeySource, Requirement } from "./policy.ts";
import { matchesIdentity, type SignedIdentity } from "./signed-identity.ts";
import { parseSignedPayload, type payloadTypes } from "./signed-payload.ts";
import { checkSigningCertificate } from "./signing-certificate.ts";
import { parseSigstoreBundle, signedDigests } from "./sigstore-bundle.ts";

/** A signature as it was found beside an image; nothing of it is checked. */
export type FoundSignature =
  /** An OpenPGP message, from a lookaside store. */
  | { readonly kind: "simple-signing"; readonly message: Uint8Array }
  /** A layer of a `sha256-….sig` image: the signed payload, and the signature in annotations. */
  | { readonly kind: "attachment"; readonly payload: Uint8Array; readonly annotations: ReadonlyMap<string, string> }
  /** A sigstore bundle that refers to the image. */
  | { readonly kind: "bundle"; readonly bytes: Uint8Array };

/** What judging needs of the world outside. */
export interface JudgingMeans {
  /** The bytes of a file that the policy names. */
  readonly readKey: (path: string) => Uint8Array;
  /**
   * Checks an OpenPGP message with the keys of `keyrings` and gives what it holds and the signer's fingerprint.
   *
   * @throws OsdeployError when it is not exactly one good signature of one of these keys.
   */
  readonly openMessage: (message: Uint8Array, keyrings: readonly Uint8Array[]) => OpenedMessage;
}

/** What a signed message holds, and the fingerprint of the key that signed it. */
export interface OpenedMessage {
  readonly payload: Uint8Array;
  readonly fingerprint: string;
}

/** The image that is judged. */
export interface JudgedImage {
  /** As it was asked for, before mirrors; undefined for images that have no such name. */
  readonly name: RegistryName | undefined;
  /** Of the manifest of the platform, not of an index. */
  readonly manifestDigest: string;
  readonly signatures: readonly FoundSignature[];
}

/** What the policy says of an image. */
export type TrustVerdict =
  /** `by` names what each requirement was met by; empty when the policy asked for nothing. */
  | { readonly accepted: true; readonly by: readonly string[] }
  /** `reason` continues a sentence; one line for each signature that did not do. */
  | { readonly accepted: false; readonly reason: string; readonly rejected: readonly string[] };

/**
 * Judges an image: every requirement has to be met, in order; for one that wants a signature, one good one is enough.
 *
 * @throws OsdeployError when a key of the policy cannot be read: that is no verdict.
 */
export function judgeImage(
  requirements: readonly Requirement[],
  image: JudgedImage,
  means: JudgingMeans,
): TrustVerdict {
  const by: string[] = [];
  for (const requirement of requirements) {
    const met = judge(requirement, image, means);
    if (!met.accepted) return met;
    by.push(...met.by);
  }
  return { accepted: true, by };
}

function judge(requirement: Requirement, image: JudgedImage, means: JudgingMeans): TrustVerdict {
  switch (requirement.kind) {
    case "accept-anything":
      return { accepted: true, by: [] };
    case "reject":
      return { accepted: false, reason: "the policy refuses it", rejected: [] };
    case "never":
      return {
        accepted: false,
        reason: `the policy asks for ${requirement.name}, which nobody can check`,
        rejected: [],
      };
    default:
      return oneGoodSignature(image, checkerFor(requirement, image, means));
  }
}

/** Says who made a signature; undefined for one of a kind that the requirement does not look at. */
type CheckSignature = (signature: FoundSignature) => string | undefined;

function oneGoodSignature(image: JudgedImage, check: CheckSignature): TrustVerdict {
  const rejected: string[] = [];
  for (const signature of image.signatures) {
    try {
      const signer = check(signature);
      if (signer !== undefined) return { accepted: true, by: [signer] };
    } catch (error) {
      if (!isAboutSignature(error)) throw error;
      rejected.push(error.message);
    }
  }
  const reason =
    rejected.length === 0
      ? "it has no signature of the kind that the policy asks for"
      : "none of its signatures is good";
  return { accepted: false, reason, rejected };
}

/** Other errors are about this machine, not about the signature: that is no verdict. */
function isAboutSignature(error: unknown): error is OsdeployError {
  return error instanceof OsdeployError && rejectingCodes.has(error.code);
}

const rejectingCodes: ReadonlySet<ErrorCode> = new Set([
  ...(["bad-format", "digest-mismatch", "limit-exceeded", "unsupported"] as const),
]);

type SignatureRequirement = Extract<Requirement, { readonly identity: SignedIdentity }>;

function checkerFor(requirement: SignatureRequirement, image: JudgedImage, means: JudgingMeans): CheckSignature {
  const read = (source: KeySource) => (source.kind === "bytes" ? source.bytes : means.readKey(source.path));
  if (requirement.kind === "signed-by") {
    const keyrings = requirement.keyrings.map(read);
    return (signature) => {
      if (signature.kind !== "simple-signing") return undefined;
      const { payload, fingerprint } = means.openMessage(signature.message, keyrings);
      checkPayload(payload, "simple", image, requirement.identity);
      return `OpenPGP key ${fingerprint}`;
    };
  }
  const logKeys = requirement.logKeys.map((source) => parsePublicKey(read(source), nameOf(source, "the log's key")));
  if (requirement.kind === "sigstore-key") {
    const keys = requirement.keys.map((source) => ({
      key: parsePublicKey(read(source), nameOf(source, "the policy's key")),
      name: `sigstore key ${nameOf(source, "of the policy")}`,
    }));
    return (signature) => checkWithKeys(opened(signature), { keys, logKeys, image, identity: requirement.identity });
  }
  const roots = parseCertificates(read(requirement.authority), nameOf(requirement.authority, "the policy's authority"));
  return (signature) => checkWithCertificate(opened(signature), { requirement, roots, logKeys, image });
}

function nameOf(source: KeySource, otherwise: string): string {
  return source.kind === "file" ? source.path : otherwise;
}

/** A sigstore signature of either form. */
interface OpenedSignature {
  readonly signedBytes: Uint8Array;
  readonly signature: Uint8Array;
  /** What it cannot vouch for, in brackets; empty where it names repository and image. */
  readonly remark: string;
  /** The leaf first. */
  readonly certificates: () => readonly Certificate[];
  readonly logEntries: () => readonly LogEntry[];
  /** What is in the envelope that was signed; undefined where there is none. */
  readonly payload: Uint8Array | undefined;
  readonly checkSubject: (image: JudgedImage, identity: SignedIdentity) => void;
}

function opened(signature: FoundSignature): OpenedSignature | undefined {
  switch (signature.kind) {
    case "simple-signing":
      return undefined;
    case "attachment":
      return openAttachment(signature);
    case "bundle":
      return openBundle(signature.bytes);
  }
}

function openAttachment({
  payload,
  annotations,
}: Extract<FoundSignature, { readonly kind: "attachment" }>): OpenedSignature {
  const signature = decodeBase64(annotations.get("dev.cosignproject.cosign/signature") ?? "");
  if (signature === undefined || signature.length === 0) throw wrong("it has no signature that can be read");
  const bytesOf = (key: string) => encodeText(annotations.get(key) ?? "");
  return {
    signedBytes: payload,
    signature,
    remark: "",
    certificates: () => {
      if (!annotations.has("dev.sigstore.cosign/certificate")) return [];
      const leaf = parseCertificates(bytesOf("dev.sigstore.cosign/certificate"), "its certificate");
      const chain = bytesOf("dev.sigstore.cosign/chain");
      // The last one is the root, and roots come from the policy alone.
      return [...leaf, ...(chain.length === 0 ? [] : parseCertificates(chain, "its chain").slice(0, -1))];
    },
    payload: undefined,
    logEntries: () => {
      const text = annotations.get("dev.sigstore.cosign/bundle");
      return text === undefined ? [] : [parseLogAnnotation(text)];
    },
    checkSubject: (image, identity) => checkPayload(payload, "cosign", image, identity),
  };
}

function openBundle(bytes: Uint8Array): OpenedSignature {
  const bundle = parseSigstoreBundle(bytes);
  return {
    signedBytes: bundle.signedBytes,
    signature: bundle.signature,
    remark: " (it names no repository)",
    certificates: () => bundle.certificates.flatMap((der) => parseCertificates(der, "its certificate")),
    payload: bundle.statement,
    logEntries: bundle.logEntries,
    checkSubject: ({ manifestDigest }, identity) => {
      checkNameless(identity);
      if (!signedDigests(bundle.statement).includes(manifestDigest)) throw wrong("it is for another image");
    },
  };
}

/**
 * Bundles name digests and no repository. Whoever writes matchRepository, as signatures of cosign need it anyway, has given
 * up the tag; the scope of the requirement then stands for the repository. Stricter rules cannot be met.
 */
function checkNameless({ kind }: SignedIdentity): void {
  if (kind === "repository") return;
  throw wrong(
    'it is a bundle, which names no tag: it does where the policy says "signedIdentity": {"type": "matchRepository"}',
  );
}

function checkPayload(
  payload: Uint8Array,
  type: keyof typeof payloadTypes,
  image: JudgedImage,
  identity: SignedIdentity,
): void {
  const { manifestDigest, dockerReference } = parseSignedPayload(payload, type);
  if (manifestDigest !== image.manifestDigest) throw wrong(`it is for another image (${manifestDigest.slice(0, 80)})`);
  if (!matchesIdentity(identity, image.name, dockerReference)) {
    throw wrong(
      `it is for ${JSON.stringify(dockerReference.slice(0, 200))}, which the policy does not take for this name`,
    );
  }
}

interface NamedKey {
  readonly key: PublicKey;
  readonly name: string;
}

function checkWithKeys(
  signature: OpenedSignature | undefined,
  {
    keys,
    logKeys,
    image,
    identity,
  }: {
    readonly keys: readonly NamedKey[];
    readonly logKeys: readonly PublicKey[];
    readonly image: JudgedImage;
    readonly identity: SignedIdentity;
  },
): string | undefined {
  if (signature === undefined) return undefined;
  const signer = keys.find(({ key }) => isSignedBy(key, signature.signedBytes, signature.signature));
  if (signer === undefined) throw wrong("no key of the policy made it");
  // As containers/image: without a key of a log nothing is asked of one, whatever the signature brings.
  if (logKeys.length > 0) timeInLog(signature, logKeys, { key: signer.key, certificate: undefined });
  signature.checkSubject(image, identity);
  return signer.name + signature.remark;
}

function checkWithCertificate(
  signature: OpenedSignature | undefined,
  {
    requirement,
    roots,
    logKeys,
    image,
  }: {
    readonly requirement: Extract<Requirement, { readonly kind: "sigstore-certificate" }>;
    readonly roots: readonly Certificate[];
    readonly logKeys: readonly PublicKey[];
    readonly image: JudgedImage;
  },
): string | undefined {
  if (signature === undefined) return undefined;
  const [leaf, ...intermediates] = signature.certificates();
  if (leaf === undefined) throw wrong("it has no certificate");
  if (!isSignedBy(leaf.publicKey, signature.signedBytes, signature.signature)) {
    throw wrong("the key of its certificate did not make it");
  }
  const atSeconds = timeInLog(signature, logKeys, { key: leaf.publicKey, certificate: leaf.der });
  if (atSeconds === undefined) throw wrong("the log proves its entry, but does not promise when it came");
  checkSigningCertificate(leaf, { intermediates, roots }, { identity: requirement, atSeconds });
  signature.checkSubject(image, requirement.identity);
  return `sigstore certificate of ${requirement.email} from ${requirement.issuer}${signature.remark}`;
}

/** When the log had it, where it promises that. Entries of logs that the policy does not know count for nothing. */
function timeInLog(
  { signature, signedBytes, payload, logEntries }: OpenedSignature,
  logKeys: readonly PublicKey[],
  signer: Pick<LoggedSignature, "key" | "certificate">,
): number | undefined {
  const failures: unknown[] = [];
  for (const entry of logEntries()) {
    try {
      return checkLogEntry(entry, logKeys, { signature, signedBytes, payload, ...signer });
    } catch (error) {
      failures.push(error);
    }
  }
  throw failures[0] ?? wrong("it comes without an entry of the log");
}

function wrong(state: string): OsdeployError {
  return new OsdeployError("digest-mismatch", `Cannot accept the signature: ${state}`);
}
