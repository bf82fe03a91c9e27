import { joinBytes } from "../core/bytes/join-bytes.ts";
import { OsdeployError } from "../core/errors.ts";
import { parseDocument } from "../core/oci/json.ts";
import { arrayOf, member, textOf } from "../core/oci/json-place.ts";
import type { HttpAnswer } from "./http-client.ts";
import { ProxyFailure } from "./proxies.ts";
import { retryAfterMs } from "./retry-after.ts";

/** What a registry's error text may take of a message. */
const textLimit = 200;
const bodyLimitBytes = 64 * 1024;

/** Failures of the connection that another try can get over. */
const passing: ReadonlyMap<string, string> = new Map([
  ["ECONNRESET", "the connection broke"],
  ["EPIPE", "the connection broke"],
  ["UND_ERR_SOCKET", "the connection broke"],
  ["UND_ERR_RES_CONTENT_LENGTH_MISMATCH", "the connection broke"],
  ["UND_ERR_CONNECT_TIMEOUT", "no connection within the time allowed"],
  ["ETIMEDOUT", "no connection within the time allowed"],
  ["UND_ERR_HEADERS_TIMEOUT", "no answer within the time allowed"],
  ["UND_ERR_BODY_TIMEOUT", "nothing more came within the time allowed"],
  ["EAI_AGAIN", "its name cannot be looked up at the moment"],
]);

const lasting: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "nothing listens there"],
  ["ENOTFOUND", "its name is unknown"],
  ["EHOSTUNREACH", "no way leads there"],
  ["ENETUNREACH", "no way leads there"],
  ["UND_ERR_ABORTED", "the proxy refuses the connection"],
]);

/** Statuses after which the same request can succeed. */
const passingStatuses: readonly number[] = [408, 429, 500, 502, 503, 504];

/** A try that failed but need not be the last. */
export class PassingFailure extends Error {
  /** What to say when it was the last. */
  readonly reason: OsdeployError;
  /** How long the server asked to wait. */
  readonly waitMs: number | undefined;

  constructor(reason: OsdeployError, waitMs?: number) {
    super(reason.message);
    this.name = "PassingFailure";
    this.reason = reason;
    this.waitMs = waitMs;
  }
}

/**
 * What to throw for an error of the connection: a `PassingFailure`, or the `OsdeployError` itself where it is one or no
 * further try would help. `what` continues `Cannot `, as in `fetch manifest of …`.
 */
export function connectionFailure(
  error: unknown,
  what: string,
  { host, signal }: { readonly host: string; readonly signal: AbortSignal | undefined },
): Error {
  if (error instanceof OsdeployError || error instanceof PassingFailure) return error;
  // The error itself does not tell: undici calls it "aborted", too, when a proxy refuses.
  if (signal?.aborted) return new OsdeployError("interrupted", `Cannot ${what}: it was interrupted`, { cause: error });
  const code = codeOf(error);
  const known = passing.get(code);
  const state = known ?? lasting.get(code) ?? certificateState(code) ?? `the connection failed (${code})`;
  const place = error instanceof ProxyFailure ? `the proxy ${error.proxy}` : host;
  const reason = new OsdeployError("network", `Cannot ${what}: ${place}: ${state}`, {
    facts: { errno: code },
    cause: error,
  });
  return known === undefined ? reason : new PassingFailure(reason);
}

/**
 * Whether the other side answered something that is not TLS, or hung up on it. Who sends an alert speaks TLS, and so does who
 * hangs up after the handshake (`UND_ERR_SOCKET`), as for a client certificate that is missing.
 */
export function speaksNoTls(error: unknown): boolean {
  const code = codeOf(error);
  return code === "EPROTO" || code === "ECONNRESET" || (isSslCode(code) && !isAlert(code));
}

/** What to throw for an answer with an error status. Reads the rest of the answer for what the registry says. */
export async function statusFailure(answer: HttpAnswer, what: string): Promise<Error> {
  const said = await registryText(answer);
  const says =
    said === undefined ? `answers ${answer.status}${meaningOf(answer.status)}` : `says "${said}" (${answer.status})`;
  const reason = new OsdeployError(codeOfStatus(answer.status), `Cannot ${what}: the registry ${says}`, {
    facts: { status: answer.status },
  });
  if (!passingStatuses.includes(answer.status)) return reason;
  const asked = { retryAfter: answer.header("retry-after"), date: answer.header("date") };
  return new PassingFailure(reason, retryAfterMs(asked));
}

/**
 * The bytes of an answer, at most `limitBytes`.
 *
 * @throws OsdeployError `limit-exceeded`; or the connection's own error.
 */
export async function readBody(answer: HttpAnswer, limitBytes: number, what: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of answer.body as AsyncIterable<Uint8Array>) {
    length += piece.length;
    if (length > limitBytes) {
      throw new OsdeployError("limit-exceeded", `Cannot ${what}: the answer has more than ${limitBytes} bytes`);
    }
    pieces.push(piece);
  }
  return joinBytes(pieces);
}

/** The registry's own words, on one line and without anything that a terminal could obey. */
async function registryText(answer: HttpAnswer): Promise<string | undefined> {
  try {
    const place = parseDocument(await readBody(answer, bodyLimitBytes, "read the error"), "the error");
    const [first] = arrayOf(member(place, "errors"), 100);
    if (first === undefined) return undefined;
    return (
      textOf(member(first, "message"))
        .replace(/[\p{Cc}"]+/gu, " ")
        .trim()
        .slice(0, textLimit) || undefined
    );
  } catch {
    // Proxies and load balancers answer with pages for people; the status says enough.
    answer.body.destroy();
    return undefined;
  }
}

/** What a status of a proxy in front of a registry means, where the number alone helps nobody. */
function meaningOf(status: number): string {
  return status === 413 ? ": it is too large for it, or for a proxy in front of it" : "";
}

function codeOfStatus(status: number): "not-found" | "unauthorized" | "network" {
  if (status === 404) return "not-found";
  return status === 401 || status === 403 ? "unauthorized" : "network";
}

function certificateState(code: string): string | undefined {
  if (isAlert(code)) {
    const isOfCertificate = /CERT|HANDSHAKE|UNKNOWN_CA|ACCESS_DENIED/.test(code);
    return `it refuses the connection${isOfCertificate ? "; it may want another client certificate" : ""} (${code})`;
  }
  if (code === "CERT_NOT_YET_VALID") return "by this machine's clock its certificate is not valid yet";
  if (code === "CERT_HAS_EXPIRED") return "by this machine's clock its certificate has expired";
  if (/CERT|SIGNATURE|ISSUER/.test(code)) return `its certificate cannot be trusted (${code})`;
  return isSslCode(code) || code === "EPROTO" ? "it does not speak TLS" : undefined;
}

function isSslCode(code: string): boolean {
  return code.startsWith("ERR_SSL_");
}

/** What the other side says in TLS when it ends the connection. */
function isAlert(code: string): boolean {
  return isSslCode(code) && code.includes("_ALERT_");
}

/** The code of an error, as Node and undici set it. */
function codeOf(error: unknown): string {
  const hasCode = typeof error === "object" && error !== null && "code" in error && typeof error.code === "string";
  return hasCode ? String(error.code) : "unknown";
}
