import { parse } from "smol-toml";
import { OsdeployError } from "../errors.ts";
import { hasOpenQuote, splitCmdline } from "./kernel-cmdline.ts";

/** A file of an image's `/usr/lib/bootc/kargs.d`. */
export interface KargsFile {
  readonly name: string;
  readonly text: string;
}

/** Files of kernel arguments are a few lines; the image chooses how many. */
const textLimit = 64 * 1024;

/**
 * The kernel arguments that an image brings: `kargs` of each `*.toml`, in the order of the files' names, without those for
 * other machines (`match-architectures`). As in bootc.
 *
 * `architecture` is OCI's word, for example `amd64`. A file that is bad is refused in an image that is to be deployed; in one
 * that is deployed already it counts as none, because it must not keep a better image out.
 *
 * @throws OsdeployError `bad-format` that names the file when one is no TOML, leaves a quote open, or holds anything else.
 * @see https://bootc.dev/bootc/building/kernel-arguments.html
 */
export function imageKernelArguments(
  files: readonly KargsFile[],
  architecture: string,
  image: "new" | "deployed" = "new",
): readonly string[] {
  const wanted = rustArchitectures[architecture] ?? [architecture];
  return files
    .filter(({ name }) => name.endsWith(".toml"))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((file) => parseIfGood(file, image))
    .filter(({ architectures }) => architectures?.some((name) => wanted.includes(name)) ?? true)
    .flatMap(({ words }) => words);
}

/** The names that `match-architectures` has for them: Rust's, for bootc compares with those. */
const rustArchitectures: Readonly<Record<string, readonly string[]>> = {
  amd64: ["x86_64"],
  arm64: ["aarch64"],
  ppc64le: ["powerpc64", "ppc64le"],
  "386": ["x86"],
};

interface ParsedKargs {
  readonly words: readonly string[];
  readonly architectures: readonly string[] | undefined;
}

function parseIfGood(file: KargsFile, image: "new" | "deployed"): ParsedKargs {
  try {
    return parseKargsFile(file);
  } catch (error) {
    if (image === "new" || !(error instanceof OsdeployError)) throw error;
    return { words: [], architectures: undefined };
  }
}

function parseKargsFile({ name, text }: KargsFile): ParsedKargs {
  const { kargs, "match-architectures": architectures, ...others } = parseToml(name, text);
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw badKargs(name, `it has a key ${JSON.stringify(unknown)}`);
  if (!isWords(kargs)) throw badKargs(name, "it has no array of strings named kargs");
  if (architectures !== undefined && !isWords(architectures)) {
    throw badKargs(name, "match-architectures is no array of strings");
  }
  const bad = kargs.find((word) => /\p{Cc}/u.test(word));
  if (bad !== undefined) throw badKargs(name, `${JSON.stringify(bad)} is no kernel argument`);
  const line = kargs.join(" ");
  if (hasOpenQuote(line)) throw badKargs(name, "it leaves a double quote open");
  return { words: splitCmdline(line), architectures };
}

function parseToml(name: string, text: string): Record<string, unknown> {
  if (text.length > textLimit) throw badKargs(name, `it is larger than ${textLimit} bytes`);
  try {
    return parse(text);
  } catch (cause) {
    throw badKargs(name, "it is no TOML", cause);
  }
}

function isWords(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((word) => typeof word === "string");
}

function badKargs(name: string, state: string, cause?: unknown): OsdeployError {
  const path = `/usr/lib/bootc/kargs.d/${name}`;
  return new OsdeployError("bad-format", `Cannot read the kernel arguments in ${JSON.stringify(path)}: ${state}`, {
    ...(cause === undefined ? {} : { cause }),
  });
}
