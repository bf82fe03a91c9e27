import { BlockList, isIP } from "node:net";
import { OsdeployError } from "../core/errors.ts";
import type { Environment } from "./configuration-file.ts";

/** Which requests go through a proxy. */
export interface Proxies {
  readonly http: URL | undefined;
  readonly https: URL | undefined;
  /** Hosts that are reached directly, as `no_proxy` lists them. */
  readonly except: readonly string[];
}

/** What a proxy is spoken to by; an address without any of them is one of plain HTTP. */
const proxySchemes: readonly string[] = ["http:", "https:", "socks5:", "socks:"];

/** What becomes of a connection that cannot be made: behind a proxy that is the one to the proxy. */
const unconnected: readonly string[] = [
  ...["UND_ERR_CONNECT_TIMEOUT", "ETIMEDOUT", "EAI_AGAIN", "ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH"],
];

/** The proxy on the way to a host cannot be reached. */
export class ProxyFailure extends Error {
  /** That of the connection, as Node and undici set it. */
  readonly code: string;
  /** `HOST[:PORT]` of the proxy, and no login. */
  readonly proxy: string;

  private constructor(code: string, proxy: string, cause: Error) {
    super(cause.message, { cause });
    this.name = "ProxyFailure";
    this.code = code;
    this.proxy = proxy;
  }

  /** Undefined where `error` is not one of reaching `proxy`. */
  static of(error: unknown, proxy: string): ProxyFailure | undefined {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return unconnected.includes(code) ? new ProxyFailure(code, proxy, error as Error) : undefined;
  }
}

/**
 * The proxies of the environment, as curl and Go programs read them: lower case first, and `HOST:PORT` for `http://HOST:PORT`.
 *
 * @throws OsdeployError `usage` for what is no address. It is not repeated: there may be a password in it.
 */
export function readProxies(variables: Environment["variables"]): Proxies {
  const proxy = (name: string) => {
    const [set, value] = settingOf(variables, name);
    return value === "" ? undefined : parseProxy(set, value);
  };
  const [, except] = settingOf(variables, "no_proxy");
  const entries = except.toLowerCase().split(/[,\s]+/);
  return { http: proxy("http_proxy"), https: proxy("https_proxy"), except: entries.filter((entry) => entry !== "") };
}

/** The proxy through which `url` is asked for; undefined for none. This machine itself is never asked for through one. */
export function proxyFor(url: URL, { http, https, except }: Proxies): URL | undefined {
  const proxy = url.protocol === "https:" ? https : http;
  if (proxy === undefined || isLoopback(url.hostname)) return undefined;
  return except.some((entry) => covers(entry, url)) ? undefined : proxy;
}

/** Whether `hostname` (of a URL) is this machine itself. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.[0-9]{1,3}){3}$/.test(hostname);
}

function settingOf(variables: Environment["variables"], name: string): readonly [set: string, value: string] {
  const set = variables[name] ? name : name.toUpperCase();
  return [set, variables[set]?.trim() ?? ""];
}

function parseProxy(name: string, value: string): URL {
  const address = /^[a-z0-9+.-]+:\/\//i.test(value) ? value : `http://${value}`;
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url !== undefined && url.hostname !== "" && proxySchemes.includes(url.protocol)) return url;
  throw new OsdeployError("usage", `Cannot use the proxy of the variable ${name}: it is no address of a proxy`, {
    facts: { hint: `Write it as http://HOST:PORT, or unset ${name}` },
  });
}

/** Whether `entry` of `no_proxy` means the host of `url`: a name with all below it, an address, a net (`10.0.0.0/8`), or `*`. */
function covers(entry: string, url: URL): boolean {
  if (entry === "*") return true;
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (entry.includes("/")) return isInNet(host, entry);
  const [, name = "", port] = /^(.*?)(?::([0-9]+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry) ?? [];
  if (port !== undefined && port !== (url.port || defaultPort(url))) return false;
  const bare = name.replace(/^\[|\]$|^\*?\./g, "");
  return host === bare || (isIP(host) === 0 && host.endsWith(`.${bare}`));
}

function isInNet(host: string, net: string): boolean {
  const [, address = "", bits = ""] = /^\[?([^\]/]+)\]?\/([0-9]{1,3})$/.exec(net) ?? [];
  const kind = isIP(address);
  if (kind === 0 || isIP(host) !== kind || Number(bits) > (kind === 4 ? 32 : 128)) return false;
  const family = kind === 4 ? "ipv4" : "ipv6";
  const list = new BlockList();
  list.addSubnet(address, Number(bits), family);
  return list.check(host, family);
}

function defaultPort(url: URL): string {
  return url.protocol === "https:" ? "443" : "80";
}
