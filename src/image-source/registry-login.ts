import { Buffer } from "node:buffer";
import { OsdeployError } from "../core/errors.ts";
import { parseDocument } from "../core/oci/json.ts";
import { optional, optionalText } from "../core/oci/json-place.ts";
import type { Login } from "./auth-file.ts";
import type { HttpAnswer, HttpClient, HttpRequest } from "./http-client.ts";
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
  readonly login: Login | undefined;
  /** Host of the registry, for errors. */
  readonly host: string;
  readonly repository: string;
  /** What is to be done in the repository. */
  readonly actions: "pull" | "pull,push";
}

type Bearer = {
  readonly kind: "bearer";
  readonly challenge: Challenge;
  readonly token: string;
  readonly expiresMs: number;
};

type State = { readonly kind: "anonymous" } | { readonly kind: "basic" } | Bearer;

/**
 * Who we are to one registry, for one repository. Nothing is sent before the registry asks for it; then credentials, or
 * a token that its token server gives for them, or to anybody.
 *
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export class RegistryLogin {
  readonly #context: LoginContext;
  #state: State = { kind: "anonymous" };
  #mayBePlain = false;
  /** The token that is being fetched: requests side by side share it. */
  #coming: Promise<Bearer> | undefined;

  constructor(context: LoginContext) {
    this.#context = context;
  }

  /** The `Authorization` to send now; an old token is renewed first. */
  async authorization(): Promise<string | undefined> {
    const state = this.#state;
    if (state.kind === "anonymous") return undefined;
    if (state.kind === "basic") return this.#basic();
    if (this.#context.now() < state.expiresMs - marginMs) return `Bearer ${state.token}`;
    return `Bearer ${(await this.#renew(state.challenge)).token}`;
  }

  /**
   * Takes up what a 401 asks for, the answer to a request with the `Authorization` `sent`. A 401 that asks for nothing
   * ends a token as well: what was asked for last counts on. False when there is nothing left to try: the answer stands.
   *
   * @throws OsdeployError `unauthorized` when the token server refuses.
   */
  async takeUp(answer: HttpAnswer, sent: string | undefined): Promise<boolean> {
    const state = this.#state;
    // A request side by side with this one has logged in meanwhile.
    const isOld =
      state.kind === "bearer" ? sent !== `Bearer ${state.token}` : state.kind === "basic" && sent === undefined;
    if (isOld) return true;
    const challenges = parseChallenges(answer.header("www-authenticate") ?? "");
    const asked = challenges.find(({ scheme }) => scheme === "bearer");
    const bearer = asked ?? (challenges.length === 0 && state.kind === "bearer" ? state.challenge : undefined);
    if (bearer !== undefined) {
      await this.#renew(bearer);
      return true;
    }
    const isBasic = challenges.some(({ scheme }) => scheme === "basic");
    if (!isBasic || state.kind === "basic" || this.#basic() === undefined) return false;
    this.#state = { kind: "basic" };
    return true;
  }

  /** Says that the registry itself is reached over plain HTTP, so that its token server may be, too. */
  allowPlain(): void {
    this.#mayBePlain = true;
  }

  #basic(): string | undefined {
    const { login } = this.#context;
    if (login?.kind !== "password") return undefined;
    return `Basic ${Buffer.from(`${login.user}:${login.password}`).toString("base64")}`;
  }

  async #renew(challenge: Challenge): Promise<Bearer> {
    this.#coming ??= this.#fetchToken(challenge).finally(() => {
      this.#coming = undefined;
    });
    const bearer = await this.#coming;
    this.#state = bearer;
    return bearer;
  }

  async #fetchToken(challenge: Challenge): Promise<Bearer> {
    const { client, retry, now, host } = this.#context;
    const { url, request } = this.#tokenRequest(challenge);
    const what = `log in to ${host}`;
    return withRetries(retry, async () => {
      try {
        const answer = await client.send(url, request);
        if (answer.status !== 200) throw withAdvice(await statusFailure(answer, what), this.#context.login);
        const token = parseToken(await readBody(answer, answerLimitBytes, what), what);
        return { kind: "bearer", challenge, token: token.text, expiresMs: now() + token.lifetimeSeconds * 1000 };
      } catch (error) {
        throw connectionFailure(error, what, { host: url.host, signal: retry.signal });
      }
    });
  }

  /** A password goes as Basic with a GET; an identity token as OAuth2 has it, in the body of a POST. */
  #tokenRequest(challenge: Challenge): { readonly url: URL; readonly request: HttpRequest } {
    const { repository, login, actions } = this.#context;
    const url = this.#tokenServer(challenge);
    const words = new URLSearchParams();
    const service = challenge.parameters.get("service");
    if (service !== undefined) words.set("service", service);
    words.set("scope", `repository:${repository}:${actions}`);
    if (login?.kind === "identity-token") {
      words.set("grant_type", "refresh_token");
      words.set("client_id", "osdeploy");
      words.set("refresh_token", login.token);
      const headers = { "content-type": "application/x-www-form-urlencoded" };
      return { url, request: { method: "POST", headers, body: () => words.toString() } };
    }
    if (login !== undefined) words.set("account", login.user);
    for (const [name, value] of words) url.searchParams.set(name, value);
    const basic = this.#basic();
    return { url, request: { method: "GET", headers: basic === undefined ? {} : { authorization: basic } } };
  }

  /**
   * The registry names the token server. Credentials go there, so it must be as safe as the registry itself: over plain
   * HTTP only the very host that is reached that way.
   */
  #tokenServer(challenge: Challenge): URL {
    const realm = challenge.parameters.get("realm") ?? "";
    const url = URL.canParse(realm) ? new URL(realm) : undefined;
    const own = `http://${this.#context.host}`;
    const isOwn = URL.canParse(own) && new URL(own).hostname === url?.hostname;
    const isSafe = url?.protocol === "https:" || (url?.protocol === "http:" && this.#mayBePlain && isOwn);
    if (url !== undefined && isSafe && url.username === "" && url.password === "") return url;
    const state = "it names no token server that can be used";
    throw new OsdeployError("network", `Cannot log in to ${this.#context.host}: ${state}`);
  }
}

/** Adds to an `unauthorized` what the user can look at; other errors stay as they are. */
export function withAdvice(failure: Error, login: Login | undefined): Error {
  if (!(failure instanceof OsdeployError) || failure.code !== "unauthorized") return failure;
  const advice = login === undefined ? "no credentials were found; see --authfile" : "check the credentials";
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
