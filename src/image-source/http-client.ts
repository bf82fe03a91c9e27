import { Readable } from "node:stream";
import type { Dispatcher } from "undici";
import { OsdeployError } from "../core/errors.ts";
import { type Proxies, ProxyFailure, proxyFor } from "./proxies.ts";
import type { RegistryTls } from "./registry-tls.ts";

/** How patient the client is, in milliseconds. */
export interface HttpTimeouts {
  /** For a connection, TLS included. */
  readonly connectMs: number;
  /** For the head of an answer. */
  readonly headersMs: number;
  /** Between two pieces of an answer. */
  readonly idleMs: number;
}

export interface HttpOptions {
  /** `HOST[:PORT]` that client certificates are meant for. */
  readonly host: string;
  /** False accepts any certificate. */
  readonly tlsVerify: boolean;
  readonly tls: RegistryTls;
  readonly proxies: Proxies;
  readonly timeouts: HttpTimeouts;
  readonly signal: AbortSignal | undefined;
}

/** The head of an answer; whoever gets it reads or destroys `body`. */
export interface HttpAnswer {
  readonly status: number;
  /** By lower-case name; of several headers with one name joined by commas. */
  header(name: string): string | undefined;
  readonly body: Readable;
  /** Where the answer came from, after redirects. */
  readonly url: URL;
}

/** What is asked of a server. */
export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly headers: Readonly<Record<string, string>>;
  /** Makes what is sent; called again when the request has to be sent again. */
  readonly body?: () => Uint8Array | string | AsyncIterable<Uint8Array>;
}

/** Redirects followed for one request; content networks use one or two. */
const redirectLimit = 8;

/** What is used of undici. The bundled program has no more of it, see `bundle.mjs`. */
type Undici = Pick<typeof import("undici"), "Agent" | "ProxyAgent">;

/** The ways to connect: with client certificates and without, directly and through each proxy. */
interface Ways {
  readonly direct: Dispatcher;
  readonly proxied: ReadonlyMap<string, Dispatcher>;
}

/**
 * Requests over HTTP and HTTPS, through proxies where the environment says so. Redirects of GET and HEAD are followed;
 * `Authorization` goes only to the origin it was meant for, client certificates only to the registry's host, and nothing
 * that started encrypted goes on in the clear.
 *
 * Errors are those of the connection, as undici throws them, or a `ProxyFailure`; `connectionFailure` puts them into words.
 */
export class HttpClient {
  readonly #options: HttpOptions;
  readonly #own: Ways;
  readonly #others: Ways;

  private constructor(undici: Undici, options: HttpOptions) {
    this.#options = options;
    this.#others = openWays(undici, options, options.tls.others);
    this.#own = options.tls.own === options.tls.others ? this.#others : openWays(undici, options, options.tls.own);
  }

  /** Loads undici, which takes as long as all else of a command: only those who fetch pay for it. */
  static async open(options: HttpOptions): Promise<HttpClient> {
    return new HttpClient(await import("undici"), options);
  }

  /** One GET; any status is an answer. */
  async get(url: URL, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    return this.send(url, { method: "GET", headers });
  }

  /** One request; any status is an answer, also a redirect of what changes something. */
  async send(url: URL, request: HttpRequest): Promise<HttpAnswer> {
    let at = url;
    let { headers } = request;
    for (let redirects = 0; redirects <= redirectLimit; redirects++) {
      const answer = await this.#sendOnce(at, { ...request, headers });
      const isSafe = request.method === "GET" || request.method === "HEAD";
      const target = isSafe ? redirectTarget(answer) : undefined;
      if (target === undefined) return answer;
      answer.body.destroy();
      if (target.origin !== at.origin) headers = withoutAuthorization(headers);
      at = target;
    }
    throw new OsdeployError("network", `Cannot reach ${url.host}: it redirects more than ${redirectLimit} times`);
  }

  async close(): Promise<void> {
    const ways = this.#own === this.#others ? [this.#own] : [this.#own, this.#others];
    const dispatchers = ways.flatMap(({ direct, proxied }) => [direct, ...proxied.values()]);
    await Promise.all(dispatchers.map((dispatcher) => dispatcher.destroy()));
  }

  async #sendOnce(url: URL, { method, headers, body }: HttpRequest): Promise<HttpAnswer> {
    const { timeouts, signal, host, proxies } = this.#options;
    const ways = url.host === normalHost(host) ? this.#own : this.#others;
    const proxy = proxyFor(url, proxies);
    const way = (proxy && ways.proxied.get(url.protocol)) ?? ways.direct;
    const asked = way.request({
      method,
      origin: url.origin,
      path: `${url.pathname}${url.search}`,
      // Blobs are compressed already, and their digests are of the bytes as they are.
      headers: { "user-agent": "osdeploy", "accept-encoding": "identity", ...headers },
      headersTimeout: timeouts.headersMs,
      bodyTimeout: timeouts.idleMs,
      ...(body === undefined ? {} : { body: sendable(body()) }),
      ...(signal === undefined ? {} : { signal }),
    });
    const answer = await (proxy === undefined ? asked : asked.catch((error) => throwOfProxy(error, proxy)));
    const header = (name: string) => {
      const value = answer.headers[name];
      return Array.isArray(value) ? value.join(", ") : value;
    };
    // A body that is destroyed because nobody wants it reports an error to nobody.
    answer.body.on("error", () => {});
    return { status: answer.statusCode, header, body: answer.body, url };
  }
}

/** `HOST[:PORT]` as URLs have it: in lower case, and without the port that goes without saying. */
function normalHost(host: string): string {
  return URL.canParse(`https://${host}`) ? new URL(`https://${host}`).host : host;
}

function openWays(
  undici: Undici,
  { tlsVerify, timeouts, proxies }: HttpOptions,
  secureContext: RegistryTls["own"],
): Ways {
  const tls = {
    rejectUnauthorized: tlsVerify,
    timeout: timeouts.connectMs,
    ...(secureContext === undefined ? {} : { secureContext }),
  };
  const through = ({ href }: URL) =>
    new undici.ProxyAgent({ uri: href, proxyTls: { timeout: timeouts.connectMs }, requestTls: tls });
  const named = [
    ["http:", proxies.http],
    ["https:", proxies.https],
  ] as const;
  return {
    direct: new undici.Agent({ connect: tls }),
    proxied: new Map(named.flatMap(([scheme, proxy]) => (proxy ? [[scheme, through(proxy)] as const] : []))),
  };
}

function sendable(body: Uint8Array | string | AsyncIterable<Uint8Array>): Uint8Array | string | Readable {
  return typeof body === "string" || body instanceof Uint8Array ? body : Readable.from(body);
}

/** A connection that goes through a proxy is one to the proxy, where it cannot be made. */
function throwOfProxy(error: unknown, { host }: URL): never {
  throw ProxyFailure.of(error, host) ?? error;
}

/** Where an answer sends on to; undefined when it is no redirect. */
function redirectTarget(answer: HttpAnswer): URL | undefined {
  const location = answer.header("location");
  if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return undefined;
  const target = URL.canParse(location, answer.url.href) ? new URL(location, answer.url) : undefined;
  if (target === undefined || !["http:", "https:"].includes(target.protocol)) {
    answer.body.destroy();
    throw new OsdeployError("network", `Cannot follow ${answer.url.host}: it redirects to what is no address`);
  }
  if (answer.url.protocol === "https:" && target.protocol !== "https:") {
    answer.body.destroy();
    throw new OsdeployError("network", `Cannot follow ${answer.url.host}: it redirects from https to plain http`);
  }
  return target;
}

function withoutAuthorization(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name !== "authorization"));
}
