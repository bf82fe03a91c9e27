import { fromText, toText } from "../core/bytes/byte-string.ts";
import type { VerityAlgorithm } from "../core/digest/object-id.ts";
import type { Path } from "../linux/linux.ts";
import { makeParents } from "../linux/make-directories.ts";
import { defaultInitOptions, initRepo as init } from "../repo/init-repo.ts";
import type { System } from "./system.ts";

export interface InitRepoRequest {
  readonly repo: Path;
  readonly algorithm: VerityAlgorithm;
  /** Whether objects may be without fs-verity: for file systems and kernels that have none. */
  readonly insecure: boolean;
  /** Whether directories above the repo, an absolute path of text, are made where they are missing. */
  readonly parents?: boolean;
}

export interface InitRepoResult {
  readonly path: string;
  readonly algorithm: VerityAlgorithm;
  readonly secure: boolean;
  /** False when the same repo was there already. */
  readonly created: boolean;
}

/** Makes a repo, or finds the same one there. */
export async function initRepo(system: System, request: InitRepoRequest): Promise<InitRepoResult> {
  const { algorithm, insecure, repo, parents = false } = request;
  if (parents) makeParents(system.linux.files, fromText(""), toText(repo));
  const { created } = init(system.linux, repo, { ...defaultInitOptions, algorithm, secure: !insecure });
  return { path: toText(repo), algorithm, secure: !insecure, created };
}
