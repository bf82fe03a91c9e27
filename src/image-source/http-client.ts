import type { Readable } from "node:stream";
import type { Dispatcher } from "undici";
import { OsdeployError } from "../core/errors.ts";

/** How patient the client is, in milliseconds. */
export interface HttpTimeouts {
  /** For a connection, TLS included. */
  readonly connectMs: number;
  /** For the head of an answer. */
  readonly headersMs: number;
  /** Between two pieces of an answer. */
  readonly idleMs: number;
}

/** Addresses of proxies, as the environment names them; undefined for none. */
export interface Proxies {
  readonly http: string | undefined;
  readonly https: string | undefined;
  /** Hosts that are reached directly, as in `NO_PROXY`. */
  readonly except: string | undefined;
}

export interface HttpOptions {
  /** False accepts any certificate. */
  readonly tlsVerify: boolean;
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

/** Redirects followed for one request; content networks use one or two. */
const redirectLimit = 8;

/**
 * GETs over HTTP and HTTPS, through proxies where the environment says so. Redirects are followed; `Authorization` goes
 * only to the origin it was meant for, and nothing that started encrypted goes on in the clear.
 *
 * Errors are those of the connection, as undici throws them; `networkError` in `http-failure.ts` puts them into words.
 */
export class HttpClient {
  readonly #options: HttpOptions;
  readonly #request: typeof import("undici")["request"];
  readonly #direct: Dispatcher;
  readonly #proxied: ReadonlyMap<string, Dispatcher>;

  private constructor(undici: typeof import("undici"), options: HttpOptions) {
    this.#options = options;
    this.#request = undici.request;
    const tls = { rejectUnauthorized: options.tlsVerify, timeout: options.timeouts.connectMs };
    this.#direct = new undici.Agent({ connect: tls });
    const { proxies } = options;
    const through = (proxy: string) =>
      new undici.EnvHttpProxyAgent({
        ...{ httpProxy: proxy, httpsProxy: proxy, noProxy: proxies.except ?? "" },
        ...{ connect: tls, requestTls: tls },
      });
    this.#proxied = new Map([
      ...(proxies.http ? [["http:", through(proxies.http)] as const] : []),
      ...(proxies.https ? [["https:", through(proxies.https)] as const] : []),
    ]);
  }

  /** Loads undici, which takes a tenth of a second: only those who fetch pay for it. */
  static async open(options: HttpOptions): Promise<HttpClient> {
    return new HttpClient(await import("undici"), options);
  }

  /** One GET; any status is an answer. */
  async get(url: URL, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    let at = url;
    let sent = headers;
    for (let redirects = 0; redirects <= redirectLimit; redirects++) {
      const answer = await this.#send(at, sent);
      const target = redirectTarget(answer);
      if (target === undefined) return answer;
      answer.body.destroy();
      if (target.origin !== at.origin) sent = withoutAuthorization(sent);
      at = target;
    }
    throw new OsdeployError("network", `Cannot reach ${url.host}: it redirects more than ${redirectLimit} times`);
  }

  async close(): Promise<void> {
    await Promise.all([this.#direct, ...this.#proxied.values()].map((dispatcher) => dispatcher.destroy()));
  }

  async #send(url: URL, headers: Readonly<Record<string, string>>): Promise<HttpAnswer> {
    const { timeouts, signal } = this.#options;
    const proxied = isLoopback(url.hostname) ? undefined : this.#proxied.get(url.protocol);
    const answer = await this.#request(url, {
      dispatcher: proxied ?? this.#direct,
      // Blobs are compressed already, and their digests are of the bytes as they are.
      headers: { "user-agent": "osdeploy", "accept-encoding": "identity", ...headers },
      headersTimeout: timeouts.headersMs,
      bodyTimeout: timeouts.idleMs,
      ...(signal === undefined ? {} : { signal }),
    });
    const header = (name: string) => {
      const value = answer.headers[name];
      return Array.isArray(value) ? value.join(", ") : value;
    };
    // A body that is destroyed because nobody wants it reports an error to nobody.
    answer.body.on("error", () => {});
    return { status: answer.statusCode, header, body: answer.body, url };
  }
}

/** Whether `hostname` (of a URL) is this machine itself. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.[0-9]{1,3}){3}$/.test(hostname);
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
