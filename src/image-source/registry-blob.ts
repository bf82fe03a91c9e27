import { OsdeployError } from "../core/errors.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import type { HttpAnswer } from "./http-client.ts";
import { connectionFailure, PassingFailure, statusFailure } from "./http-failure.ts";
import type { Registry } from "./registry.ts";
import { withAdvice } from "./registry-login.ts";
import { waitAfter } from "./retry.ts";

/** So much progress makes earlier failures of a download forgotten. A byte a try would go on for ever. */
const progressBytes = 1024 * 1024;

/** The bytes of a blob that are wanted: from `start` up to `end`. */
export interface BlobPart {
  readonly start: number;
  readonly end: number;
  /** Whether `end` is the end of the blob: then a server that sends the whole of it will do, too. */
  readonly toEnd: boolean;
}

/**
 * Downloads a part of a blob from one registry, and goes on where a connection broke. Exactly these bytes come, or an
 * error; what came before the error was right as far as the lengths tell.
 *
 * @throws OsdeployError; `unsupported` when the server sends the whole where a part was asked for.
 */
export async function* downloadBlob(
  registry: Registry,
  request: { readonly blob: Descriptor; readonly part: BlobPart; readonly what: string },
): AsyncGenerator<Uint8Array> {
  const { part, what } = request;
  const { retry } = registry.options;
  let at = part.start;
  let failures = 0;
  while (at < part.end) {
    const start = at;
    try {
      for await (const piece of attempt(registry, { ...request, part: { ...part, start: at } })) {
        at += piece.length;
        yield piece;
      }
    } catch (error) {
      failures = at - start >= progressBytes ? 1 : failures + 1;
      const failure = connectionFailure(error, what, { host: registry.host, signal: retry.signal });
      await waitAfter(failure, failures, retry);
    }
  }
}

/** What comes of one try: never more than is missing, and a failure when it is less. */
async function* attempt(
  registry: Registry,
  { blob, part, what }: { readonly blob: Descriptor; readonly part: BlobPart; readonly what: string },
): AsyncGenerator<Uint8Array> {
  const { start, end, toEnd } = part;
  const range = toEnd ? `bytes=${start}-` : `bytes=${start}-${end - 1}`;
  const answer = await registry.get(`blobs/${blob.digest}`, toEnd && start === 0 ? {} : { range }, what);
  try {
    if (!toEnd && answer.status === 200) throw ignoresRange(what);
    let at = await startOf(answer, { start, registry, what });
    for await (const piece of answer.body as AsyncIterable<Uint8Array>) {
      const next = at + piece.length;
      if (next > end && toEnd) throw tooLong(blob, what);
      if (next > start && at < end) yield piece.subarray(Math.max(start - at, 0), end - at);
      at = next;
      if (at >= end && !toEnd) return;
    }
    if (at < end) throw new PassingFailure(tooShort(blob, at, what));
  } finally {
    answer.body.destroy();
  }
}

/** Where in the blob the body of `answer` starts. Servers may ignore what we ask for and send all. */
async function startOf(
  answer: HttpAnswer,
  { start, registry, what }: { readonly start: number; readonly registry: Registry; readonly what: string },
): Promise<number> {
  if (answer.status === 200) return 0;
  if (answer.status !== 206) throw withAdvice(await statusFailure(answer, what), registry.options.login);
  const first = /^bytes ([0-9]{1,15})-/.exec(answer.header("content-range") ?? "")?.[1];
  if (first !== undefined && Number(first) <= start) return Number(first);
  throw new OsdeployError("network", `Cannot ${what}: the registry sends another part than was asked for`);
}

function ignoresRange(what: string): OsdeployError {
  return new OsdeployError("unsupported", `Cannot ${what} in parts: the registry sends the whole instead`);
}

function tooLong(blob: Descriptor, what: string): OsdeployError {
  return new OsdeployError(
    "bad-format",
    `Cannot ${what}: it is longer than the ${blob.sizeBytes} bytes of its descriptor`,
  );
}

function tooShort(blob: Descriptor, bytes: number, what: string): OsdeployError {
  return new OsdeployError("network", `Cannot ${what}: it ended after ${bytes} of ${blob.sizeBytes} bytes`);
}
