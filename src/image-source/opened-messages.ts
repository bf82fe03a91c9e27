import { fromText } from "../core/bytes/byte-string.ts";
import { assert, OsdeployError, unlessFailing } from "../core/errors.ts";
import type { FoundSignature, JudgingMeans, OpenedMessage } from "../core/trust/judge-image.ts";
import type { KeySource, Requirement } from "../core/trust/policy.ts";
import type { Linux } from "../linux/linux.ts";
import { readConfiguration } from "./configuration-file.ts";
import { openPgpMessage } from "./openpgp-message.ts";

/** A message that was opened with the keys of one requirement, or why it could not be. */
interface Outcome {
  readonly message: Uint8Array;
  readonly keyrings: readonly Uint8Array[];
  readonly opened: OpenedMessage | undefined;
  readonly failure: unknown;
}

/**
 * What judging needs of this machine. Judging waits for nothing, and a program has to be waited for: all OpenPGP messages
 * that a requirement may look at are opened here, before.
 *
 * @throws OsdeployError `interrupted`. What else fails is told when somebody asks for it: nobody may.
 */
export async function judgingMeans(
  linux: Linux,
  {
    requirements,
    signatures,
  }: { readonly requirements: readonly Requirement[]; readonly signatures: readonly FoundSignature[] },
  signal: AbortSignal | undefined,
): Promise<JudgingMeans> {
  const readKey = keyReader(linux);
  const messages = signatures.flatMap((each) => (each.kind === "simple-signing" ? [each.message] : []));
  const outcomes: Outcome[] = [];
  for (const requirement of requirements) {
    const keyrings = requirement.kind === "signed-by" ? readKeyrings(requirement.keyrings, readKey) : undefined;
    if (keyrings === undefined) continue;
    for (const message of messages) outcomes.push(await open(linux, { message, keyrings }, signal));
  }
  const openMessage: JudgingMeans["openMessage"] = (message, keyrings) => {
    const isAsked = (each: Outcome) => each.message === message && isSame(each.keyrings, keyrings);
    const outcome = outcomes.find(isAsked);
    assert(outcome !== undefined, "messages are opened before they are judged");
    if (outcome.opened === undefined) throw outcome.failure;
    return outcome.opened;
  };
  return { readKey, openMessage };
}

/** Undefined where a key cannot be read: to judge by this requirement ends in the same error. */
function readKeyrings(
  sources: readonly KeySource[],
  readKey: JudgingMeans["readKey"],
): readonly Uint8Array[] | undefined {
  return unlessFailing(() => sources.map((source) => (source.kind === "bytes" ? source.bytes : readKey(source.path))));
}

async function open(
  linux: Linux,
  asked: Pick<Outcome, "message" | "keyrings">,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  try {
    return { ...asked, opened: await openPgpMessage(linux, asked, signal), failure: undefined };
  } catch (failure) {
    if (!(failure instanceof OsdeployError) || failure.code === "interrupted") throw failure;
    return { ...asked, opened: undefined, failure };
  }
}

function isSame(some: readonly Uint8Array[], others: readonly Uint8Array[]): boolean {
  return some.length === others.length && some.every((bytes, index) => bytes === others[index]);
}

/** Reads each key once, so that equal keys are the same bytes. */
function keyReader(linux: Linux): JudgingMeans["readKey"] {
  const read = new Map<string, Uint8Array>();
  return (path) => {
    const bytes = read.get(path) ?? readConfiguration(linux.files, fromText(path));
    if (bytes === undefined) {
      throw new OsdeployError(
        "not-found",
        `Cannot read the key "${path}" of the signature policy: there is no such file`,
      );
    }
    read.set(path, bytes);
    return bytes;
  };
}
