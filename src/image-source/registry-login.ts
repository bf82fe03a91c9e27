import { Buffer } from "node:buffer";
import { OsdeployError } from "../core/errors.ts";
import { parseDocument } from "../core/oci/json.ts";
import { optional, optionalText } from "../core/oci/json-place.ts";
import type { Credentials } from "./auth-file.ts";
import type { HttpAnswer, HttpClient } from "./http-client.ts";
import { connectionFailure, readBody, statusFailure } from "./http-failure.ts";
import { type RetryOptions, withRetries } from "./retry.ts";
import { type Challenge, parseChallenges } from "./www-authenticate.ts";

/** How long a token counts that does not say it, as the token specification has it. */
const defaultLifetimeSeconds = 60;
/** A token is renewed this long before its end, so that it does not end on the way. */
const marginMs = 5_000;
const answerLimitBytes = 1024 * 1024;

/** What a login needs of its surroundings. */
export interface LoginContext {
  readonly client: HttpClient;
  readonly retry: RetryOptions;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly credentials: Credentials | undefined;
  /** Host of the registry, for errors. */
  readonly host: string;
  /** The repository that is read. */
  readonly repository: string;
}

type State =
  | { readonly kind: "anonymous" }
  | { readonly kind: "basic" }
  | { readonly kind: "bearer"; readonly challenge: Challenge; readonly token: string; readonly expiresMs: number };

/**
 * Who we are to one registry, for one repository. Nothing is sent before the registry asks for it; then credentials, or
 * a token that its token server gives for them, or to anybody.
 *
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export class RegistryLogin {
  readonly #context: LoginContext;
  #state: State = { kind: "anonymous" };

  constructor(context: LoginContext) {
    this.#context = context;
  }

  /** The `Authorization` to send now; an old token is renewed first. */
  async authorization(): Promise<string | undefined> {
    const state = this.#state;
    if (state.kind === "anonymous") return undefined;
    if (state.kind === "basic") return this.#basic();
    if (this.#context.now() < state.expiresMs - marginMs) return `Bearer ${state.token}`;
    const renewed = await this.#fetchToken(state.challenge);
    this.#state = renewed;
    return `Bearer ${renewed.token}`;
  }

  /**
   * Takes up what a 401 asks for. False when there is nothing left to try: the answer stands.
   *
   * @throws OsdeployError `unauthorized` when the token server refuses.
   */
  async takeUp(answer: HttpAnswer): Promise<boolean> {
    const challenges = parseChallenges(answer.header("www-authenticate") ?? "");
    const bearer = challenges.find((challenge) => challenge.scheme === "bearer");
    if (bearer !== undefined) {
      this.#state = await this.#fetchToken(bearer);
      return true;
    }
    const isBasic = challenges.some((challenge) => challenge.scheme === "basic");
    if (!isBasic || this.#state.kind === "basic" || this.#context.credentials === undefined) return false;
    this.#state = { kind: "basic" };
    return true;
  }

  #basic(): string | undefined {
    const { credentials } = this.#context;
    if (credentials === undefined) return undefined;
    return `Basic ${Buffer.from(`${credentials.user}:${credentials.password}`).toString("base64")}`;
  }

  async #fetchToken(challenge: Challenge): Promise<State & { readonly kind: "bearer" }> {
    const { client, retry, now, host } = this.#context;
    const url = this.#tokenAddress(challenge);
    const basic = this.#basic();
    const what = `log in to ${host}`;
    return withRetries(retry, async () => {
      try {
        const answer = await client.get(url, basic === undefined ? {} : { authorization: basic });
        if (answer.status !== 200) throw await this.#refusal(answer, what);
        const token = parseToken(await readBody(answer, answerLimitBytes, what), what);
        return { kind: "bearer", challenge, token: token.text, expiresMs: now() + token.lifetimeSeconds * 1000 };
      } catch (error) {
        throw connectionFailure(error, what, { host: url.host, signal: retry.signal });
      }
    });
  }

  /** The registry names the token server. Credentials go there, so it must be as safe as the registry itself. */
  #tokenAddress(challenge: Challenge): URL {
    const { host, repository, credentials } = this.#context;
    const realm = challenge.parameters.get("realm") ?? "";
    const url = URL.canParse(realm) ? new URL(realm) : undefined;
    const isSafe = url?.protocol === "https:" || (url?.protocol === "http:" && this.#mayBePlain);
    if (url === undefined || !isSafe || url.username !== "" || url.password !== "") {
      throw new OsdeployError("network", `Cannot log in to ${host}: it names no token server that can be used`);
    }
    const service = challenge.parameters.get("service");
    if (service !== undefined) url.searchParams.set("service", service);
    url.searchParams.set("scope", `repository:${repository}:pull`);
    if (credentials !== undefined) url.searchParams.set("account", credentials.user);
    return url;
  }

  #mayBePlain = false;

  /** Says that the registry itself is reached over plain HTTP, so that its token server may be, too. */
  allowPlain(): void {
    this.#mayBePlain = true;
  }

  async #refusal(answer: HttpAnswer, what: string): Promise<Error> {
    return withAdvice(await statusFailure(answer, what), this.#context.credentials);
  }
}

/** Adds to an `unauthorized` what the user can look at; other errors stay as they are. */
export function withAdvice(failure: Error, credentials: Credentials | undefined): Error {
  if (!(failure instanceof OsdeployError) || failure.code !== "unauthorized") return failure;
  const advice = credentials === undefined ? "no credentials were found; see --authfile" : "check the credentials";
  return new OsdeployError("unauthorized", `${failure.message}; ${advice}`, { facts: failure.facts });
}

function parseToken(bytes: Uint8Array, what: string): { readonly text: string; readonly lifetimeSeconds: number } {
  const place = parseDocument(bytes, `the answer to "${what}"`);
  const text = optionalText(place, "token") ?? optionalText(place, "access_token");
  // What is no token in form could break out of the header it is sent in.
  if (text === undefined || !/^[\x21-\x7e]+$/.test(text)) {
    throw new OsdeployError("bad-format", `Cannot ${what}: the token server sends no token`);
  }
  const lifetime = optional(place, "expires_in")?.value;
  const isUsable = typeof lifetime === "number" && lifetime >= defaultLifetimeSeconds;
  return { text, lifetimeSeconds: isUsable ? lifetime : defaultLifetimeSeconds };
}
