import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { BuiltImage, BuiltIndex } from "../builders/oci-image.ts";
import { sha256 } from "../builders/oci-layer.ts";

/** What goes wrong, and for which requests. Each fault counts down and is then over. */
export interface Fault {
  /** Matches against the path of the request. */
  readonly path: RegExp;
  /** How often it happens; for ever where it is undefined. */
  times?: number;
  /** Answer with this status. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Cut the connection after so many bytes of the body. */
  readonly dropAfterBytes?: number;
  /** End the body properly after so many bytes. */
  readonly endAfterBytes?: number;
  /** Send so many bytes and then nothing more. */
  readonly stallAfterBytes?: number;
  /** Send this for the content. */
  readonly content?: Uint8Array;
}

export interface FakeRegistryOptions {
  /** How clients have to log in. */
  readonly auth?: "none" | "token" | "basic";
  /** The only one with access; anybody gets a token where there is none. */
  readonly user?: { readonly name: string; readonly password: string };
  /** Blobs are on another port, which refuses `Authorization`. */
  readonly redirectBlobs?: boolean;
  readonly ignoreRange?: boolean;
  /** Speak TLS with this key and certificate, and perhaps ask clients for theirs. */
  readonly tls?: {
    readonly key: string;
    readonly cert: string;
    readonly ca?: string;
    readonly requestCert?: boolean;
    readonly rejectUnauthorized?: boolean;
    readonly maxVersion?: "TLSv1.2" | "TLSv1.3";
  };
  /** Where the registry says its token server is; its own by default. */
  readonly realm?: string;
  readonly tokenSeconds?: number;
  /** The identity token that the token server gives tokens for, besides the user. */
  readonly identityToken?: string;
  /** A 401 for an old token says nothing about how to get a new one. */
  readonly silentExpiry?: boolean;
  /** Referrers by the digest of their subject; without it the registry does not know such lists. */
  readonly referrers?: Readonly<Record<string, string>>;
  /** The name of the field of the token server's answer. */
  readonly tokenField?: "token" | "access_token";
  readonly faults?: Fault[];
}

/** Bodies up to this size are kept as text. */
const smallBytes = 4096;

/** One request, as it came. */
export interface SeenRequest {
  readonly method?: string;
  /** What was sent; of small requests only. */
  readonly body?: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

/**
 * A little registry on loopback that speaks as much of the distribution protocol as a pull needs, with faults to order.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md
 */
export class FakeRegistry {
  /** All requests, in order. */
  readonly requests: SeenRequest[] = [];
  readonly faults: Fault[];
  readonly #options: FakeRegistryOptions;
  readonly #blobs = new Map<string, Uint8Array>();
  readonly #manifests = new Map<string, { readonly type: string; readonly bytes: Uint8Array }>();
  readonly #tokens = new Set<string>();
  readonly #servers: Server[] = [];
  readonly #ports: number[] = [];
  #storage = "";

  private constructor(options: FakeRegistryOptions) {
    this.#options = options;
    this.faults = options.faults ?? [];
  }

  static async start(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
    const registry = new FakeRegistry(options);
    const serve = (request: IncomingMessage, response: ServerResponse) => registry.#serve(request, response, false);
    await registry.#listen(options.tls === undefined ? createServer(serve) : createTlsServer(options.tls, serve));
    if (options.redirectBlobs === true) {
      const port = await registry.#listen(
        createServer((request, response) => registry.#serve(request, response, true)),
      );
      registry.#storage = `http://127.0.0.1:${port}`;
    }
    return registry;
  }

  /** `127.0.0.1:PORT`. */
  get host(): string {
    return `127.0.0.1:${this.#ports[0]}`;
  }

  /** Puts an image or index into the repository `os` under `tag`, and under its digest. */
  add(image: BuiltImage | BuiltIndex, tag: string): void {
    for (const [digest, bytes] of image.blobs) {
      this.#blobs.set(digest, bytes);
      this.#manifests.set(digest, { type: typeOf(bytes), bytes });
    }
    const digest = "index" in image ? image.indexDigest : image.manifestDigest;
    const manifest = this.#manifests.get(digest);
    if (manifest !== undefined) this.#manifests.set(tag, manifest);
  }

  /** Puts a document or blob under its digest, and a manifest under `tag`, too. */
  addBytes(bytes: Uint8Array, manifest?: { readonly type: string; readonly tag?: string }): string {
    const digest = sha256(bytes);
    this.#blobs.set(digest, bytes);
    if (manifest === undefined) return digest;
    this.#manifests.set(digest, { type: manifest.type, bytes });
    if (manifest.tag !== undefined) this.#manifests.set(manifest.tag, { type: manifest.type, bytes });
    return digest;
  }

  /** Revokes all tokens, as when they have run out. */
  forgetTokens(): void {
    this.#tokens.clear();
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  async #listen(server: Server): Promise<number> {
    this.#servers.push(server);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as AddressInfo;
    this.#ports.push(port);
    return port;
  }

  #serve(request: IncomingMessage, response: ServerResponse, isStorage: boolean): void {
    if (request.method === "GET" || request.method === "HEAD") {
      this.#answer(request, response, { isStorage });
      return;
    }
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => this.#answer(request, response, { isStorage, sent: Buffer.concat(pieces) }));
  }

  #answer(
    request: IncomingMessage,
    response: ServerResponse,
    { isStorage, sent }: { readonly isStorage: boolean; readonly sent?: Buffer },
  ): void {
    const url = new URL(request.url ?? "/", "http://fake");
    const { authorization, range } = request.headers;
    const body = sent === undefined || sent.length > smallBytes ? undefined : sent.toString();
    const isRead = request.method === "GET";
    const more = isRead ? {} : { method: request.method ?? "", ...(body === undefined ? {} : { body }) };
    this.requests.push({ path: `${url.pathname}${url.search}`, authorization, range, ...more });
    const fault = this.faults.find((each) => each.path.test(url.pathname) && (each.times ?? 1) > 0);
    if (fault?.times !== undefined) fault.times--;
    const seen = { path: url.pathname, authorization, range, ...more };
    const reply = isStorage ? this.#storageReply(seen, fault) : this.#reply(seen, fault);
    if (request.method === "PUT" && reply.status === 201 && sent !== undefined) this.#store(url, request, sent);
    send(response, reply, fault);
  }

  /** What was pushed can be pulled. Digests are taken as they come: to compare them is the test's business. */
  #store(url: URL, request: IncomingMessage, bytes: Buffer): void {
    const digest = url.searchParams.get("digest");
    if (digest !== null) this.#blobs.set(digest, bytes);
    const name = /\/manifests\/([^/]+)$/.exec(url.pathname)?.[1];
    const type = request.headers["content-type"] ?? "";
    if (name !== undefined) this.addBytes(bytes, { type, tag: name });
  }

  #reply(request: SeenRequest, fault: Fault | undefined): Reply {
    if (fault?.status !== undefined) return text(fault.status, fault.body ?? "", fault.headers);
    if (request.path === "/token") return this.#tokenReply(request);
    if (!this.#isLoggedIn(request)) return this.#challenge(request);
    if (request.path === "/v2/") return text(200, "{}");
    if (request.path.startsWith("/v2/os/tags/list")) return text(200, JSON.stringify({ tags: this.#tags() }));
    if (request.path.startsWith("/v2/os/referrers/")) return this.#referrersReply(request.path.slice(17));
    if (request.method === "POST") return text(202, "", { location: `http://${this.host}/upload/7?state=x` });
    if (request.method === "PUT") return text(201, "");
    const [, kind, name] = /^\/v2\/os\/(manifests|blobs)\/([^/]+)$/.exec(request.path) ?? [];
    if (kind === undefined || name === undefined) return failure(404, "NAME_UNKNOWN", "repository name not known");
    if (kind === "manifests") return this.#manifestReply(name, fault);
    if (this.#options.redirectBlobs !== true) return this.#blobReply(name, request, fault);
    return text(307, "", { location: `${this.#storage}/storage/${name}?signature=secret-signature` });
  }

  /** The other port: no login, and an error for those who bring one. */
  #storageReply(request: SeenRequest, fault: Fault | undefined): Reply {
    if (request.authorization !== undefined) return text(400, "two ways to log in");
    return this.#blobReply(request.path.replace("/storage/", ""), request, fault);
  }

  #manifestReply(name: string, fault: Fault | undefined): Reply {
    const manifest = this.#manifests.get(name);
    if (manifest === undefined) return failure(404, "MANIFEST_UNKNOWN", "manifest unknown");
    const headers = { "content-type": manifest.type, "docker-content-digest": sha256(manifest.bytes) };
    return { status: 200, headers, bytes: fault?.content ?? manifest.bytes };
  }

  #blobReply(digest: string, request: SeenRequest, fault: Fault | undefined): Reply {
    const bytes = fault?.content ?? this.#blobs.get(digest);
    if (bytes === undefined) return failure(404, "BLOB_UNKNOWN", "blob unknown to registry");
    const [, start, last] = /^bytes=([0-9]+)-([0-9]*)$/.exec(request.range ?? "") ?? [];
    if (start === undefined || this.#options.ignoreRange === true) return { status: 200, headers: {}, bytes };
    const end = last ? Math.min(Number(last) + 1, bytes.length) : bytes.length;
    const headers = { "content-range": `bytes ${start}-${end - 1}/${bytes.length}`, ...fault?.headers };
    return { status: 206, headers, bytes: bytes.subarray(Number(start), end) };
  }

  #tags(): readonly string[] {
    return [...this.#manifests.keys()].filter((name) => !name.includes(":"));
  }

  #referrersReply(digest: string): Reply {
    const list = this.#options.referrers?.[digest];
    if (list === undefined) return failure(404, "NOT_FOUND", "page not found");
    return text(200, list, { "content-type": "application/vnd.oci.image.index.v1+json" });
  }

  #isLoggedIn({ authorization }: SeenRequest): boolean {
    if (this.#options.auth === "basic") return this.#isUser(authorization);
    return this.#options.auth !== "token" || this.#tokens.has((authorization ?? "").replace("Bearer ", ""));
  }

  #isUser(authorization: string | undefined): boolean {
    const { user } = this.#options;
    if (user === undefined) return true;
    return authorization === `Basic ${Buffer.from(`${user.name}:${user.password}`).toString("base64")}`;
  }

  #challenge({ authorization }: SeenRequest): Reply {
    if (this.#options.silentExpiry === true && authorization !== undefined) return text(401, "");
    const scheme = this.#options.tls === undefined ? "http" : "https";
    const realm = this.#options.realm ?? `${scheme}://${this.host}/token`;
    const token = `Bearer realm="${realm}",service="fake, registry",scope="repository:os:pull"`;
    const challenge = this.#options.auth === "basic" ? 'Basic realm="fake"' : token;
    return failure(401, "UNAUTHORIZED", "authentication required", { "www-authenticate": challenge });
  }

  #tokenReply({ authorization, body }: SeenRequest): Reply {
    const { identityToken } = this.#options;
    const words = new URLSearchParams(body);
    const isRefresh = words.get("grant_type") === "refresh_token" && words.get("refresh_token") === identityToken;
    if (!(identityToken !== undefined && isRefresh) && !this.#isUser(authorization))
      return failure(401, "UNAUTHORIZED", "wrong password");
    const token = `token-${this.#tokens.size}-${this.requests.length}`;
    this.#tokens.add(token);
    const { tokenField = "token", tokenSeconds } = this.#options;
    return text(200, JSON.stringify({ [tokenField]: token, expires_in: tokenSeconds }));
  }
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: Uint8Array;
}

function typeOf(bytes: Uint8Array): string {
  const match = /"mediaType":"([^"]+)"/.exec(Buffer.from(bytes.subarray(0, 200)).toString("latin1"));
  return match?.[1] ?? "application/octet-stream";
}

function failure(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return text(status, JSON.stringify({ errors: [{ code, message }] }), headers);
}

function text(status: number, body: string, headers: Readonly<Record<string, string>> = {}): Reply {
  return { status, headers, bytes: Buffer.from(body) };
}

function send(response: ServerResponse, { status, headers, bytes }: Reply, fault: Fault | undefined): void {
  const { dropAfterBytes, endAfterBytes, stallAfterBytes } = fault ?? {};
  const cut = dropAfterBytes ?? endAfterBytes ?? stallAfterBytes;
  // An honest length makes a cut visible; without one, a proper end in the middle looks like all there is.
  const length = endAfterBytes === undefined ? { "content-length": String(bytes.length) } : {};
  response.writeHead(status, { ...length, ...headers });
  if (cut === undefined) {
    response.end(bytes);
    return;
  }
  response.write(bytes.subarray(0, cut), () => {
    if (dropAfterBytes !== undefined) response.socket?.destroy();
    if (endAfterBytes !== undefined) response.end();
  });
}
