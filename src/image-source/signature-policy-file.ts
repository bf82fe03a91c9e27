import { fromText, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import { type Policy, parsePolicy } from "../core/trust/policy.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { type Environment, homeOf, quotePath, readConfiguration } from "./configuration-file.ts";

/** A signature policy, and the file it was read from. */
export interface SignaturePolicyFile {
  readonly path: string;
  readonly policy: Policy;
}

/**
 * Reads the policy of this machine where podman has it: the user's own, else the machine's; only `explicit` where it is
 * given. Undefined when there is none: a machine without containers need not have one.
 *
 * @throws OsdeployError `not-found` when `explicit` does not exist; `bad-format` for any slip in the file.
 * @see docs/decisions/0015-trust.md
 */
export function readSignaturePolicy(
  files: LinuxFiles,
  { explicit, environment }: { readonly explicit: Path | undefined; readonly environment: Environment },
): SignaturePolicyFile | undefined {
  const usual = [`${homeOf(environment)}/.config/containers/policy.json`, "/etc/containers/policy.json"].map(fromText);
  for (const path of explicit === undefined ? usual : [explicit]) {
    const bytes = readConfiguration(files, path);
    if (bytes !== undefined) return { path: toText(path), policy: parsePolicy(bytes, toText(path)) };
    if (files.lstatIfExists(path) !== undefined) throw missing(path, "it is a symlink that leads nowhere");
  }
  if (explicit === undefined) return undefined;
  throw missing(explicit, "there is no such file");
}

function missing(path: Path, state: string): OsdeployError {
  return new OsdeployError("not-found", `Cannot read the signature policy ${quotePath(path)}: ${state}`);
}
