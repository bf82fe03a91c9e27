import type { VerityAlgorithm } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";

/** The layouts of a root image that a repo makes: 1 is what mkcomposefs makes too, 2 is composefs-rs before 2026. */
export type ErofsFormat = 1 | 2;

/** What `meta.json` says about a repo. It never changes after init. */
export interface RepoMeta {
  readonly algorithm: VerityAlgorithm;
  /** The layout of new root images, and further ones that are made beside it. */
  readonly erofsFormats: { readonly default: ErofsFormat; readonly extra: readonly ErofsFormat[] };
  /** Feature names that a program may be ignorant of, by what the ignorant may still do. */
  readonly features: RepoFeatures;
}

export interface RepoFeatures {
  /** Whoever does not know these may read and write. */
  readonly compatible: readonly string[];
  /** Whoever does not know these may read. */
  readonly readOnlyCompatible: readonly string[];
  /** Whoever does not know these must keep away. */
  readonly incompatible: readonly string[];
}

/** The highest repo version that this osdeploy understands. */
const knownVersion = 1;
/** Set by composefs-rs whenever the default layout is 1, for programs older than `erofs_formats`. */
const v1Erofs = "v1_erofs";
/** Lists in `meta.json` are short; whoever writes more wants us to waste time. */
const featureLimit = 64;

const algorithmNames: Readonly<Record<VerityAlgorithm, string>> = {
  sha256: "fsverity-sha256-12",
  sha512: "fsverity-sha512-12",
};

/** The meta of a new repo, as composefs-rs 0.9 makes it. */
export function newRepoMeta(algorithm: VerityAlgorithm, erofsFormat: ErofsFormat): RepoMeta {
  return {
    algorithm,
    erofsFormats: { default: erofsFormat, extra: [] },
    features: { compatible: [], readOnlyCompatible: erofsFormat === 1 ? [v1Erofs] : [], incompatible: [] },
  };
}

/** The text of `meta.json`: pretty JSON and a line feed. */
export function formatRepoMeta(meta: RepoMeta): string {
  const { default: standard, extra } = meta.erofsFormats;
  const value = {
    version: knownVersion,
    algorithm: algorithmNames[meta.algorithm],
    features: {
      compatible: meta.features.compatible,
      "read-only-compatible": meta.features.readOnlyCompatible,
      incompatible: meta.features.incompatible,
    },
    erofs_formats: extra.length === 0 ? { default: standard } : { default: standard, extra },
  };
  return `${JSON.stringify(value, null, 2)}\n`;
}

/**
 * Reads the text of `meta.json`. A repo older than `erofs_formats` makes layout 2, unless `v1_erofs` is among its
 * features.
 *
 * @throws OsdeployError `bad-format` when it is not such a document; `unsupported` when its version is newer, or when it
 * has an incompatible feature that is unknown here.
 * @see https://github.com/composefs/composefs-rs (doc/repository.md)
 */
export function parseRepoMeta(text: string): RepoMeta {
  const value = parseObject(text);
  checkVersion(value.version);
  const features = parseFeatures(value.features);
  const unknown = features.incompatible[0];
  if (unknown !== undefined) {
    throw new OsdeployError(
      "unsupported",
      `Cannot use meta.json: it needs the feature "${shown(unknown)}"; use a newer osdeploy`,
      {
        facts: { feature: shown(unknown) },
      },
    );
  }
  return {
    algorithm: parseAlgorithm(value.algorithm),
    erofsFormats: parseErofsFormats(value.erofs_formats, features),
    features,
  };
}

/** The first feature that forbids writing because it is unknown here; undefined when writing is fine. */
export function featureAgainstWriting(meta: RepoMeta): string | undefined {
  return meta.features.readOnlyCompatible.find((name) => name !== v1Erofs);
}

/** An object from JSON, before any of its fields is checked. */
type Unchecked = Readonly<Partial<Record<Field, unknown>>>;
type Field = "version" | "algorithm" | "features" | keyof RepoFeatures | "read-only-compatible" | FormatsField;
type FormatsField = "erofs_formats" | "default" | "extra";

function parseObject(text: string): Unchecked {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw bad("it is not JSON", cause);
  }
  if (!isRecord(value)) throw bad("it is not a JSON object");
  return value;
}

function checkVersion(version: unknown): void {
  if (typeof version !== "number" || !Number.isInteger(version) || version < 1) throw bad("it has no version");
  if (version > knownVersion) {
    throw new OsdeployError("unsupported", `Cannot use meta.json: it has version ${version}; use a newer osdeploy`, {
      facts: { version, known: knownVersion },
    });
  }
}

function parseAlgorithm(name: unknown): VerityAlgorithm {
  if (name === algorithmNames.sha256) return "sha256";
  if (name === algorithmNames.sha512) return "sha512";
  throw bad(`its algorithm is ${shown(name)}, not ${algorithmNames.sha256} or ${algorithmNames.sha512}`);
}

function parseFeatures(value: unknown): RepoFeatures {
  const features = value ?? {};
  if (!isRecord(features)) throw bad("its features are not an object");
  return {
    compatible: parseNames(features.compatible),
    readOnlyCompatible: parseNames(features["read-only-compatible"]),
    incompatible: parseNames(features.incompatible),
  };
}

function parseNames(value: unknown): readonly string[] {
  const names = value ?? [];
  if (!Array.isArray(names) || names.length > featureLimit) throw bad("its features are not short lists of names");
  return names.map((name: unknown) => {
    if (typeof name !== "string") throw bad("its features are not short lists of names");
    return name;
  });
}

function parseErofsFormats(value: unknown, features: RepoFeatures): RepoMeta["erofsFormats"] {
  if (value === undefined || value === null) {
    return { default: features.readOnlyCompatible.includes(v1Erofs) ? 1 : 2, extra: [] };
  }
  if (!isRecord(value)) throw bad("its erofs_formats is not an object");
  const extra = value.extra ?? [];
  if (!Array.isArray(extra) || extra.length > featureLimit) throw bad("its extra erofs_formats are not a short list");
  return { default: parseErofsFormat(value.default), extra: extra.map(parseErofsFormat) };
}

function parseErofsFormat(value: unknown): ErofsFormat {
  if (value === 1 || value === 2) return value;
  throw bad(`its erofs_formats name the layout ${shown(value)}, and only 1 and 2 are known`);
}

function isRecord(value: unknown): value is Unchecked {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** `value` for a message; whoever wrote the file chooses its length. */
function shown(value: unknown): string {
  return String(typeof value === "string" ? value : JSON.stringify(value)).slice(0, 80);
}

function bad(state: string, cause?: unknown): OsdeployError {
  return new OsdeployError("bad-format", `Cannot read meta.json: ${state}`, { cause });
}
