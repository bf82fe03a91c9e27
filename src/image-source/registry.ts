import { OsdeployError } from "../core/errors.ts";
import type { Credentials } from "./auth-file.ts";
import { type HttpAnswer, HttpClient, type HttpTimeouts, isLoopback, type Proxies } from "./http-client.ts";
import { connectionFailure, speaksNoTls } from "./http-failure.ts";
import { RegistryLogin } from "./registry-login.ts";
import type { RetryOptions } from "./retry.ts";

/** How a registry is to be reached. */
export interface RegistryOptions {
  readonly credentials: Credentials | undefined;
  /** False takes any certificate, and plain HTTP where the registry speaks no TLS. */
  readonly tlsVerify: boolean;
  readonly proxies: Proxies;
  readonly timeouts: HttpTimeouts;
  readonly retry: RetryOptions;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** Docker Hub's images are not served under the name they carry. */
const apiHosts: ReadonlyMap<string, string> = new Map([["docker.io", "registry-1.docker.io"]]);

/**
 * One repository of one registry: GETs of its manifests and blobs, with login as the registry asks for it.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
 */
export class Registry {
  readonly host: string;
  readonly #repository: string;
  readonly #options: RegistryOptions;
  readonly #client: HttpClient;
  readonly #login: RegistryLogin;
  #scheme: "https" | "http" | undefined;

  private constructor(
    name: { readonly host: string; readonly repository: string },
    options: RegistryOptions,
    client: HttpClient,
  ) {
    this.host = name.host;
    this.#repository = name.repository;
    this.#options = options;
    this.#client = client;
    const { retry, now, credentials } = options;
    this.#login = new RegistryLogin({ client, retry, now, credentials, host: this.host, repository: name.repository });
  }

  static async open(
    name: { readonly host: string; readonly repository: string },
    options: RegistryOptions,
  ): Promise<Registry> {
    const { tlsVerify, proxies, timeouts, retry } = options;
    return new Registry(name, options, await HttpClient.open({ tlsVerify, proxies, timeouts, signal: retry.signal }));
  }

  /**
   * One GET of `path` in the repository, as in `blobs/sha256:…`; any status but 401 is an answer, and 401 when there is
   * no way to log in. `what` continues `Cannot ` in errors.
   *
   * @throws OsdeployError, or PassingFailure where another try may help.
   */
  async get(path: string, headers: Readonly<Record<string, string>>, what: string): Promise<HttpAnswer> {
    try {
      const answer = await this.#getOnce(path, headers);
      return (await this.#isToLogIn(answer, path)) ? await this.#getOnce(path, headers) : answer;
    } catch (error) {
      throw connectionFailure(error, what, { host: this.host, signal: this.#options.retry.signal });
    }
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  /** Whether `answer` was a 401 of the registry itself (not of a place it redirects to), and the login is now better. */
  async #isToLogIn(answer: HttpAnswer, path: string): Promise<boolean> {
    const isOurs = answer.url.host === this.#url(path, this.#scheme ?? "https").host;
    if (answer.status !== 401 || !isOurs) return false;
    try {
      if (!(await this.#login.takeUp(answer))) return false;
    } catch (error) {
      answer.body.destroy();
      throw error;
    }
    answer.body.destroy();
    return true;
  }

  async #getOnce(path: string, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    if (this.#scheme !== undefined) return this.#send(this.#url(path, this.#scheme), headers);
    const url = this.#url(path, "https");
    try {
      const answer = await this.#send(url, headers);
      this.#scheme = "https";
      return answer;
    } catch (error) {
      const mayBePlain = isLoopback(url.hostname) || !this.#options.tlsVerify;
      if (!mayBePlain || !speaksNoTls(error)) throw error;
    }
    this.#login.allowPlain();
    const answer = await this.#send(this.#url(path, "http"), headers);
    this.#scheme = "http";
    return answer;
  }

  async #send(url: URL, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    const authorization = await this.#login.authorization();
    return this.#client.get(url, authorization === undefined ? headers : { ...headers, authorization });
  }

  #url(path: string, scheme: "https" | "http"): URL {
    const host = apiHosts.get(this.host) ?? this.host;
    const text = `${scheme}://${host}/v2/${this.#repository}/${path}`;
    if (!URL.canParse(text))
      throw new OsdeployError("usage", `Cannot use ${JSON.stringify(this.host)} as a registry: it is no host`);
    return new URL(text);
  }
}
