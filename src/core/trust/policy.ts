import { decodeBase64 } from "../bytes/base64.ts";
import { parseDocument } from "../oci/json.ts";
import { arrayOf, badPlace, entriesOf, type JsonPlace, member, optional, textOf } from "../oci/json-place.ts";
import { onlyFilledKeys } from "./only-keys.ts";
import { parseSignedIdentity, type SignedIdentity } from "./signed-identity.ts";

/** Where keys or certificates are: a file that the policy names, or in the policy itself. */
export type KeySource =
  | { readonly kind: "file"; readonly path: string }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array };

/** One thing that a policy asks of an image. */
export type Requirement =
  | { readonly kind: "accept-anything" }
  | { readonly kind: "reject" }
  /** A simple signature, made by a key of these OpenPGP keyrings. */
  | { readonly kind: "signed-by"; readonly keyrings: readonly KeySource[]; readonly identity: SignedIdentity }
  /** A sigstore signature, made by one of these keys; in the log of one of `logKeys`, where there are some. */
  | {
      readonly kind: "sigstore-key";
      readonly keys: readonly KeySource[];
      readonly logKeys: readonly KeySource[];
      readonly identity: SignedIdentity;
    }
  /** A sigstore signature with a short-lived certificate, given to `email` by `issuer`, and a log that tells when. */
  | {
      readonly kind: "sigstore-certificate";
      readonly authority: KeySource;
      readonly issuer: string;
      readonly email: string;
      readonly logKeys: readonly KeySource[];
      readonly identity: SignedIdentity;
    }
  /** Something that is in the format, but refuses every image: nobody has built it, or osdeploy has not. */
  | { readonly kind: "never"; readonly name: string };

/** A signature policy: requirements by transport and scope. */
export interface Policy {
  readonly fallback: readonly Requirement[];
  readonly transports: ReadonlyMap<string, ReadonlyMap<string, readonly Requirement[]>>;
}

/** More requirements or keys than this in one place are no policy that a person wrote. */
const memberLimit = 10_000;

/**
 * Reads a policy.json. Strict: an unknown or doubled key, or a wrong value anywhere, makes the whole file unusable, so that
 * a slip of the pen never means "anything goes".
 *
 * @throws OsdeployError `bad-format` with the place.
 * @see https://github.com/containers/container-libs/blob/main/image/docs/containers-policy.json.5.md
 */
export function parsePolicy(bytes: Uint8Array, name: string): Policy {
  const document = parseDocument(bytes, `signature policy ${name}`);
  onlyFilledKeys(document, ["default", "transports"]);
  const transports = optional(document, "transports");
  return {
    fallback: requirementsOf(member(document, "default")),
    transports: new Map(
      (transports === undefined ? [] : entriesOf(transports)).map(([transport, scopes]) => [
        transport,
        new Map(
          entriesOf(scopes).map(([scope, requirements]) => {
            checkScope(transport, scope, requirements);
            return [scope, requirementsOf(requirements)];
          }),
        ),
      ]),
    ),
  };
}

/** Transports whose scopes are paths, with a colon and a tag behind them in some. */
const pathTransports = new Set(["dir", "oci", "oci-archive", "sif"]);

/** Transports whose images a policy cannot tell apart; the last one is ours. */
const scopelessTransports = new Set(["docker-archive", "tarball", "rootfs"]);

/** A path that is written in another way than images are looked up by would never match, and leave it to the default. */
function checkScope(transport: string, scope: string, place: JsonPlace): void {
  if (scope === "") return;
  if (scopelessTransports.has(transport)) {
    throw badPlace(place, `is for a scope, and ${transport} has none: write it for "", all of its images`);
  }
  if (!pathTransports.has(transport)) return;
  const path = transport.startsWith("oci") ? scope.replace(/:.*$/s, "") : scope;
  if (!/^(?:\/(?!\.{1,2}(?:\/|$))[^/]+)+$/.test(path)) {
    throw badPlace(place, "is for a scope that is not an absolute path without needless slashes and dots");
  }
}

function requirementsOf(place: JsonPlace): readonly Requirement[] {
  const requirements = arrayOf(place, memberLimit).map(requirementOf);
  if (requirements.length === 0) throw badPlace(place, "is empty; write insecureAcceptAnything or reject");
  return requirements;
}

const readers: Readonly<Record<string, (place: JsonPlace) => Requirement>> = {
  insecureAcceptAnything: (place) => only(place, { kind: "accept-anything" }),
  reject: (place) => only(place, { kind: "reject" }),
  signedBy: readSignedBy,
  sigstoreSigned: readSigstoreSigned,
  signedBaseLayer: (place) => {
    onlyFilledKeys(place, ["type", "baseLayerIdentity"]);
    parseSignedIdentity(member(place, "baseLayerIdentity"));
    return { kind: "never", name: "signedBaseLayer" };
  },
};

function requirementOf(place: JsonPlace): Requirement {
  const type = member(place, "type");
  const name = textOf(type);
  const read = Object.hasOwn(readers, name) ? readers[name] : undefined;
  if (read === undefined) throw badPlace(type, `${JSON.stringify(name.slice(0, 80))} is not known`);
  return read(place);
}

function only(place: JsonPlace, requirement: Requirement): Requirement {
  onlyFilledKeys(place, ["type"]);
  return requirement;
}

function readSignedBy(place: JsonPlace): Requirement {
  onlyFilledKeys(place, ["type", "keyType", "keyPath", "keyPaths", "keyData", "signedIdentity"]);
  const keyType = textOf(member(place, "keyType"));
  if (!openPgpKeyTypes.has(keyType)) throw badPlace(place, "has an unknown keyType");
  const keyrings = keysOf(place, { file: "keyPath", files: "keyPaths", data: "keyData" });
  if (keyrings.length === 0) throw badPlace(place, "needs one of keyPath, keyPaths, keyData");
  const identity = parseSignedIdentity(optional(place, "signedIdentity"));
  return keyType === "GPGKeys" ? { kind: "signed-by", keyrings, identity } : { kind: "never", name: keyType };
}

/** All but the first are in the format and were never built by anybody. */
const openPgpKeyTypes = new Set(["GPGKeys", "signedByGPGKeys", "X509Certificates", "signedByX509CAs"]);

const sigstoreKeys = ["keyPath", "keyPaths", "keyData", "keyDatas", "fulcio", "pki"];
const logKeyWords = {
  file: "rekorPublicKeyPath",
  files: "rekorPublicKeyPaths",
  data: "rekorPublicKeyData",
  datas: "rekorPublicKeyDatas",
};

function readSigstoreSigned(place: JsonPlace): Requirement {
  onlyFilledKeys(place, ["type", "signedIdentity", ...sigstoreKeys, ...Object.values(logKeyWords)]);
  exactlyOne(place, sigstoreKeys);
  const logKeys = keysOf(place, logKeyWords);
  const identity = parseSignedIdentity(optional(place, "signedIdentity"));
  const fulcio = optional(place, "fulcio");
  if (optional(place, "pki") !== undefined) {
    if (logKeys.length > 0) throw badPlace(place, "has keys of a log beside pki, which uses none");
    return { kind: "never", name: "sigstoreSigned with pki" };
  }
  if (fulcio === undefined) {
    const words = { file: "keyPath", files: "keyPaths", data: "keyData", datas: "keyDatas" };
    return { kind: "sigstore-key", keys: keysOf(place, words), logKeys, identity };
  }
  if (logKeys.length === 0) throw badPlace(place, "needs a rekorPublicKey beside fulcio");
  return { kind: "sigstore-certificate", ...fulcioOf(fulcio), logKeys, identity };
}

function fulcioOf(place: JsonPlace): {
  readonly authority: KeySource;
  readonly issuer: string;
  readonly email: string;
} {
  onlyFilledKeys(place, ["caPath", "caData", "oidcIssuer", "subjectEmail"]);
  const [authority] = keysOf(place, { file: "caPath", data: "caData" });
  if (authority === undefined) throw badPlace(place, "needs one of caPath, caData");
  return {
    authority,
    issuer: filledText(member(place, "oidcIssuer")),
    email: filledText(member(place, "subjectEmail")),
  };
}

interface KeyWords {
  readonly file: string;
  readonly files?: string;
  readonly data: string;
  readonly datas?: string;
}

/** The keys that one of the given words names; none when none of them is there. */
function keysOf(place: JsonPlace, { file, files = file, data, datas = data }: KeyWords): readonly KeySource[] {
  const words = [...new Set([file, files, data, datas])];
  const there = words.filter((word) => optional(place, word) !== undefined);
  if (there.length > 1) throw badPlace(place, `has more than one of ${words.join(", ")}`);
  return there.flatMap((word) => {
    const value = member(place, word);
    const each = word === file || word === data ? [value] : listOf(value);
    return each.map(word === file || word === files ? fileSource : dataSource);
  });
}

function listOf(place: JsonPlace): readonly JsonPlace[] {
  const list = arrayOf(place, memberLimit);
  if (list.length === 0) throw badPlace(place, "is empty");
  return list;
}

function fileSource(place: JsonPlace): KeySource {
  return { kind: "file", path: filledText(place) };
}

function dataSource(place: JsonPlace): KeySource {
  const bytes = decodeBase64(textOf(place));
  if (bytes === undefined || bytes.length === 0) throw badPlace(place, "is not base64");
  return { kind: "bytes", bytes };
}

function filledText(place: JsonPlace): string {
  const text = textOf(place);
  if (text === "") throw badPlace(place, "is empty");
  return text;
}

function exactlyOne(place: JsonPlace, words: readonly string[]): void {
  const there = words.filter((word) => optional(place, word) !== undefined);
  if (there.length !== 1) throw badPlace(place, `needs exactly one of ${words.join(", ")}`);
}
