import { OsdeployError } from "../core/errors.ts";
import type { Login } from "./auth-file.ts";
import { type HttpAnswer, HttpClient, type HttpRequest, type HttpTimeouts } from "./http-client.ts";
import { connectionFailure, speaksNoTls } from "./http-failure.ts";
import { isLoopback, type Proxies } from "./proxies.ts";
import { RegistryLogin } from "./registry-login.ts";
import type { RegistryTls } from "./registry-tls.ts";
import type { RetryOptions } from "./retry.ts";

/** How a registry is to be reached. */
export interface RegistryOptions {
  readonly login: Login | undefined;
  /** False takes any certificate, and plain HTTP where the registry speaks no TLS. */
  readonly tlsVerify: boolean;
  readonly tls: RegistryTls;
  readonly proxies: Proxies;
  readonly timeouts: HttpTimeouts;
  readonly retry: RetryOptions;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** What tokens are asked for; `pull` when not given. */
  readonly actions?: "pull" | "pull,push";
}

/** Docker Hub's images are not served under the name they carry. */
const apiHosts: ReadonlyMap<string, string> = new Map([["docker.io", "registry-1.docker.io"]]);

/**
 * One repository of one registry: requests for its manifests and blobs, with login as the registry asks for it.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
 */
export class Registry {
  readonly host: string;
  readonly repository: string;
  readonly options: RegistryOptions;
  readonly #client: HttpClient;
  readonly #login: RegistryLogin;
  #scheme: "https" | "http" | undefined;
  #latencyMs: number | undefined;

  private constructor(
    name: { readonly host: string; readonly repository: string },
    options: RegistryOptions,
    client: HttpClient,
  ) {
    this.host = name.host;
    this.repository = name.repository;
    this.options = options;
    this.#client = client;
    const { retry, now, login, actions = "pull" } = options;
    this.#login = new RegistryLogin({
      client,
      retry,
      now,
      login,
      actions,
      host: name.host,
      repository: name.repository,
    });
  }

  static async open(
    name: { readonly host: string; readonly repository: string },
    options: RegistryOptions,
  ): Promise<Registry> {
    const { tlsVerify, tls, proxies, timeouts, retry } = options;
    const { signal } = retry;
    const host = apiHosts.get(name.host) ?? name.host;
    return new Registry(name, options, await HttpClient.open({ host, tlsVerify, tls, proxies, timeouts, signal }));
  }

  /**
   * One GET of `path` in the repository, as in `blobs/sha256:…`; any status but 401 is an answer, and 401 when there is
   * no way to log in. `what` continues `Cannot ` in errors.
   *
   * @throws OsdeployError, or PassingFailure where another try may help.
   */
  async get(path: string, headers: Readonly<Record<string, string>>, what: string): Promise<HttpAnswer> {
    return this.request(path, { method: "GET", headers }, what);
  }

  /**
   * One request, as {@link get}. An upload goes on at an address that the registry named: as a URL, which gets no
   * `Authorization` when it is on another host.
   */
  async request(target: string | URL, request: HttpRequest, what: string): Promise<HttpAnswer> {
    try {
      const { answer, sent } = await this.#attempt(target, request);
      return (await this.#isToLogIn(answer, sent)) ? (await this.#attempt(target, request)).answer : answer;
    } catch (error) {
      throw connectionFailure(error, what, { host: this.host, signal: this.options.retry.signal });
    }
  }

  /** The shortest time from a request to the head of its answer so far; undefined before the first one. */
  get latencyMs(): number | undefined {
    return this.#latencyMs;
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  /** Whether `answer` was a 401 of the registry itself (not of a place it redirects to), and the login is now better. */
  async #isToLogIn(answer: HttpAnswer, sent: string | undefined): Promise<boolean> {
    if (answer.status !== 401 || !this.#isOurs(answer.url)) return false;
    try {
      if (!(await this.#login.takeUp(answer, sent))) return false;
    } catch (error) {
      answer.body.destroy();
      throw error;
    }
    answer.body.destroy();
    return true;
  }

  /** Finds out with the first request whether the registry speaks TLS. */
  async #attempt(target: string | URL, request: HttpRequest): Promise<Attempt> {
    if (target instanceof URL || this.#scheme !== undefined) {
      return this.#send(this.#address(target, this.#scheme ?? "https"), request);
    }
    const url = this.#address(target, "https");
    try {
      const attempt = await this.#send(url, request);
      this.#scheme = "https";
      return attempt;
    } catch (error) {
      const mayBePlain = isLoopback(url.hostname) || !this.options.tlsVerify;
      if (!mayBePlain || !speaksNoTls(error)) throw error;
    }
    this.#login.allowPlain();
    const attempt = await this.#send(this.#address(target, "http"), request);
    this.#scheme = "http";
    return attempt;
  }

  async #send(url: URL, request: HttpRequest): Promise<Attempt> {
    const sent = this.#isOurs(url) ? await this.#login.authorization() : undefined;
    const headers = sent === undefined ? request.headers : { ...request.headers, authorization: sent };
    const start = this.options.now();
    const answer = await this.#client.send(url, { ...request, headers });
    this.#latencyMs = Math.min(this.options.now() - start, this.#latencyMs ?? Number.POSITIVE_INFINITY);
    return { answer, sent };
  }

  #isOurs(url: URL): boolean {
    return url.host === this.#address("", this.#scheme ?? "https").host;
  }

  #address(target: string | URL, scheme: "https" | "http"): URL {
    if (target instanceof URL) return target;
    const host = apiHosts.get(this.host) ?? this.host;
    const text = `${scheme}://${host}/v2/${this.repository}/${target}`;
    if (!URL.canParse(text))
      throw new OsdeployError("usage", `Cannot use ${JSON.stringify(this.host)} as a registry: it is no host`);
    return new URL(text);
  }
}

/** An answer, and the `Authorization` that was sent for it. */
interface Attempt {
  readonly answer: HttpAnswer;
  readonly sent: string | undefined;
}
