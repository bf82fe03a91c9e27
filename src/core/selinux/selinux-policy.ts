import { type ByteString, fromText, toText } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import type { Directory, FileContent } from "../tree/inode.ts";
import { kindNames } from "../tree/kind-names.ts";
import { type FileContext, parseFileContexts, parsePolicyType, parseSubs } from "./file-contexts.ts";
import { RuleMatcher } from "./rule-matcher.ts";

/** Which labels an image's own SELinux policy gives to its files. */
export interface SelinuxPolicy {
  /**
   * The label of what is at `path`, an absolute one, with the type letter of {@link FileContext}; undefined for none.
   *
   * @throws OsdeployError `limit-exceeded` when the policy's regexes take too long.
   */
  label(path: ByteString, type: ByteString): ByteString | undefined;
  /** The path whose rules hold for `path`, if it is an alias. Rules of what is below an alias follow. */
  alias(path: ByteString): ByteString | undefined;
}

/** Bytes in one file of a policy. Fedora's file_contexts has half a MiB. */
const maxPolicyFileBytes = 4 * 1024 * 1024;

/**
 * The policy that the tree under `root` brings, as composefs-rs reads it: /etc/selinux/config names it by SELINUXTYPE;
 * whether it says `disabled` does not count. Undefined when directory, file or key is missing.
 *
 * @throws OsdeployError `not-bootable` when a policy is named and cannot be used, with the reason; `limit-exceeded` when
 * it is too large; what `readFile` throws.
 */
export function readPolicy(root: Directory, readFile: (content: FileContent) => Uint8Array): SelinuxPolicy | undefined {
  try {
    const directory = findDirectory(findDirectory(root, "etc"), "selinux");
    const config = findFile(directory, "config", readFile);
    const type = config === undefined ? undefined : parsePolicyType(config);
    return directory === undefined || type === undefined ? undefined : loadPolicy(directory, type, readFile);
  } catch (cause) {
    if (!(cause instanceof OsdeployError) || (cause.code !== "bad-format" && cause.code !== "unsupported")) throw cause;
    throw new OsdeployError("not-bootable", `Cannot label files by the image's SELinux policy. ${cause.message}`, {
      facts: { hint: "Use an image with a policy that osdeploy can read, or with none" },
      cause,
    });
  }
}

function loadPolicy(
  directory: Directory,
  type: ByteString,
  readFile: (content: FileContent) => Uint8Array,
): SelinuxPolicy {
  let files: Directory | undefined = directory;
  for (const name of [...type.split("/").filter((part) => part !== ""), "contexts", "files"]) {
    files = findDirectory(files, name);
    if (files === undefined)
      throw badPolicy(`/etc/selinux/${toText(type)} has no policy: ${toText(fromText(name))} is missing`);
  }
  const read = (suffix: string) => findFile(files, `file_contexts${suffix}`, readFile);
  const main = read("");
  if (main === undefined) throw badPolicy("it has no file_contexts");
  const rules = [main, read(".local"), read(".homedirs")].flatMap((file) => (file ? parseFileContexts(file) : []));
  const aliases = new Map<ByteString, ByteString>();
  for (const file of [read(".subs"), read(".subs_dist")]) if (file !== undefined) parseSubs(file, aliases);
  return makePolicy(rules, aliases);
}

const noLabel = "<<none>>";

function makePolicy(rules: readonly FileContext[], aliases: ReadonlyMap<ByteString, ByteString>): SelinuxPolicy {
  const matcher = new RuleMatcher(rules);
  return {
    label: (path, type) => {
      const rule = matcher.lastMatch(`${path}${type}` as ByteString);
      const label = rule === undefined ? undefined : rules[rule]?.label;
      return label === noLabel ? undefined : label;
    },
    alias: (path) => aliases.get(path),
  };
}

function findDirectory(directory: Directory | undefined, name: string): Directory | undefined {
  const inode = directory?.entries.get(name as ByteString);
  if (inode === undefined || inode.kind === "directory") return inode;
  throw badPolicy(`${toText(name as ByteString)} is a ${kindNames[inode.kind]}, no directory`);
}

function findFile(
  directory: Directory | undefined,
  name: string,
  readFile: (content: FileContent) => Uint8Array,
): Uint8Array | undefined {
  const inode = directory?.entries.get(fromText(name));
  if (inode === undefined) return undefined;
  if (inode.kind !== "regular") throw badPolicy(`${name} is a ${kindNames[inode.kind]}, no file`);
  const { content } = inode;
  const sizeBytes = content.kind === "inline" ? content.bytes.length : content.sizeBytes;
  if (sizeBytes > maxPolicyFileBytes) {
    throw new OsdeployError("limit-exceeded", `Cannot read SELinux policy: ${name} has ${sizeBytes} bytes`);
  }
  return readFile(content);
}

function badPolicy(state: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot read SELinux policy: ${state}`);
}
