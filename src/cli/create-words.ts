import type { Command } from "commander";
import { argumentBytes } from "../core/bytes/argument-text.ts";
import { encodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import type { ComposefsSource, CreateComposefsRequest, CreateComposefsResult } from "../operations/create-composefs.ts";
import type { CliIo } from "./cli-io.ts";
import { wrongWords } from "./words-error.ts";

/** The options of `composefs create` as they were typed. */
export interface CreateOptions {
  readonly digestStore?: string;
  readonly useEpoch?: true;
  readonly skipDevices?: true;
  readonly skipXattrs?: true;
  readonly userXattrs?: true;
  readonly printDigest?: true;
  readonly printDigestOnly?: true;
  readonly fromFile?: true;
  readonly minVersion?: string;
  readonly maxVersion?: string;
  readonly threads?: string;
}

/** What `composefs create` is to do. */
export interface CreateWords {
  readonly source: string;
  /** Undefined when only the digest is wanted; `-` is standard output. */
  readonly image: string | undefined;
  readonly version: { readonly min: number; readonly max: number };
}

/**
 * Checks the words of `composefs create` in the order in which mkcomposefs does, with its texts.
 *
 * @throws OsdeployError `usage`; `bad-format` when the source is the empty text, as mkcomposefs has it.
 */
export function readCreateWords(words: readonly string[], options: CreateOptions, command: Command): CreateWords {
  const minVersion = readNumber(options.minVersion, "min version");
  const maxVersion = readNumber(options.maxVersion, "max version");
  checkThreads(options.threads);
  const [source, image] = words;
  const digestOnly = options.printDigestOnly === true;
  if (source === undefined) throw wrongWords("No source path specified", command);
  if (digestOnly && image !== undefined) {
    throw wrongWords("Cannot specify destination path with --print-digest-only", command);
  }
  if (!digestOnly && image === undefined) throw wrongWords("No destination path specified", command);
  if (words.length > 2) throw wrongWords("Too many arguments", command);
  if (source === "") throw new OsdeployError("bad-format", "Empty source path specified");
  return { source, image, version: versionRange(minVersion, maxVersion) };
}

/** Where only one of both is given, the other one is 0; where none is, images have version 1 if they need it. */
function versionRange(min: number | undefined, max: number | undefined): CreateWords["version"] {
  if (min === undefined && max === undefined) return { min: 0, max: 1 };
  return { min: min ?? 0, max: Math.max(min ?? 0, max ?? 0) };
}

/** What `composefs create` asks its operation for. Reads standard input where that is the source. */
export async function createRequest(
  { source, image, version }: CreateWords,
  options: CreateOptions,
  io: CliIo,
): Promise<CreateComposefsRequest> {
  if (image === "-" && io.stdout.isTerminal) {
    throw new OsdeployError("unsupported", "stdout is a tty.  Refusing to use it");
  }
  const output = image === undefined || image === "-" ? undefined : argumentBytes(image);
  return { source: await composefsSource(source, options, io), version, output };
}

async function composefsSource(source: string, options: CreateOptions, io: CliIo): Promise<ComposefsSource> {
  const strict = "CFS_PARSE_STRICT" in io.environment;
  if (options.fromFile) {
    if (source === "-") return { kind: "dump", bytes: await io.readStdin(), strict };
    return { kind: "dump-file", path: argumentBytes(source), strict };
  }
  return {
    kind: "directory",
    path: argumentBytes(source),
    digestStore: options.digestStore === undefined ? undefined : argumentBytes(options.digestStore || "."),
    useEpoch: options.useEpoch === true,
    skipDevices: options.skipDevices === true,
    xattrs: xattrsOf(source, options),
  };
}

/** mkcomposefs refuses both options at once, in the words in which it refuses a source. */
function xattrsOf(source: string, { skipXattrs, userXattrs }: CreateOptions): "all" | "user" | "none" {
  if (skipXattrs && userXattrs) {
    throw new OsdeployError("bad-format", argumentBytes(`error accessing ${source}: Invalid argument`));
  }
  return skipXattrs ? "none" : userXattrs ? "user" : "all";
}

/** What `composefs create` prints: the image where standard output is the destination, the digest where it is asked for. */
export function* createOutput(
  result: CreateComposefsResult,
  { image }: CreateWords,
  options: CreateOptions,
): Generator<Uint8Array> {
  if (image === "-") yield result.image;
  if (options.printDigest || options.printDigestOnly) yield encodeText(`${result.digest}\n`);
}

/** As C's strtol reads it with nothing left over, stored in an unsigned int. */
function readNumber(text: string | undefined, what: string): number | undefined {
  if (text === undefined) return undefined;
  // White space is C's, not all that Unicode has.
  const digits = /^[ \t-\r]*([+-]?[0-9]+)$/.exec(text)?.[1];
  if (digits === undefined) throw new OsdeployError("usage", `Invalid ${what} ${text}`);
  const value = BigInt(digits);
  const clamped = value > maxLong ? maxLong : value < -maxLong ? -maxLong - 1n : value;
  return Number(BigInt.asUintN(32, clamped));
}

const maxLong = 2n ** 63n - 1n;

function checkThreads(text: string | undefined): void {
  const signed = (readNumber(text, "threads count") ?? 1) | 0;
  if (signed < 1) throw new OsdeployError("usage", `Invalid threads count ${signed}`);
}
