import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { createServer, request as httpsRequest, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { Certificate } from "../builders/certificates.ts";

/** What a proxy does to one request or its answer. */
export type ProxyFault =
  /** Hangs up without an answer. */
  | { readonly kind: "drop" }
  | { readonly kind: "delay"; readonly ms: number }
  /** Sends half of the body and hangs up. */
  | { readonly kind: "truncate" }
  /** Sends half of the body and then nothing more. */
  | { readonly kind: "stall" }
  /** Asks the registry twice and passes the second answer on. */
  | { readonly kind: "ask-twice" }
  /** Sends the body twice. */
  | { readonly kind: "send-twice" }
  /** Flips one bit in the middle of the body. */
  | { readonly kind: "change" }
  | { readonly kind: "status"; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** Sends on to another host, which has the answer. */
  | { readonly kind: "redirect" }
  /** Sends half of the body and hangs up; from then on nobody gets parts of anything. */
  | { readonly kind: "truncate-and-ignore-range" }
  /** From now on the tag is another image. */
  | { readonly kind: "move-tag"; readonly from: string; readonly to: string };

/** Which requests a fault hits, counted from 0. */
export interface PlannedFault {
  readonly fault: ProxyFault;
  readonly at: number;
  /** Only that one, or all from there on. */
  readonly lasts: "once" | "for ever";
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Buffer;
}

/** A proxy with TLS in front of a registry with TLS, with one fault to order. */
export class FaultProxy {
  /** Bytes of blobs that were sent, by digest. */
  readonly sentBytes = new Map<string, number>();
  /** `Authorization` of the requests that the other host got. */
  readonly strangers: (string | undefined)[] = [];
  /** What was asked for, in order, since the last {@link plan}. */
  readonly paths: string[] = [];
  readonly #target: string;
  readonly #servers: Server[] = [];
  #planned: PlannedFault | undefined;
  #ignoresRange = false;
  #moved: { readonly from: string; readonly to: string } | undefined;
  #requests = 0;

  private constructor(target: string) {
    this.#target = target;
  }

  static async start(target: string, tls: Certificate): Promise<FaultProxy> {
    const proxy = new FaultProxy(target);
    await proxy.#listen(tls, (request, response) => void proxy.#serve(request, response));
    await proxy.#listen(tls, (request, response) => void proxy.#serveStranger(request, response));
    return proxy;
  }

  /** `127.0.0.1:PORT`. */
  get host(): string {
    return this.#hostOf(0);
  }

  /** Requests since the last {@link plan}. */
  get requests(): number {
    return this.#requests;
  }

  /** Begins to count anew; undefined for no fault. */
  plan(fault: PlannedFault | undefined): void {
    this.#planned = fault;
    this.#ignoresRange = false;
    this.#moved = undefined;
    this.#requests = 0;
    this.sentBytes.clear();
    this.strangers.length = 0;
    this.paths.length = 0;
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  #hostOf(index: number): string {
    const address = this.#servers[index]?.address() as AddressInfo | undefined;
    return `127.0.0.1:${address?.port}`;
  }

  async #listen(tls: Certificate, serve: RequestListener): Promise<void> {
    const server = createServer(tls, serve);
    this.#servers.push(server);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.paths.push(request.url ?? "");
    const fault = this.#nextFault();
    if (fault?.kind === "move-tag") this.#moved = fault;
    if (fault?.kind === "truncate-and-ignore-range") this.#ignoresRange = true;
    if (fault?.kind === "drop") {
      request.socket.destroy();
      return;
    }
    if (fault?.kind === "status") {
      response.writeHead(fault.status, { ...fault.headers }).end();
      return;
    }
    if (fault?.kind === "redirect") {
      response.writeHead(307, { location: `https://${this.#hostOf(1)}${request.url}` }).end();
      return;
    }
    if (fault?.kind === "delay") await new Promise((done) => setTimeout(done, fault.ms));
    if (fault?.kind === "ask-twice") await this.#ask(request, request.headers);
    send(response, await this.#ask(request, request.headers), fault, (bytes) => this.#count(request, bytes));
  }

  /** The other host lets everybody in, and notes who thought that he had to log in. */
  async #serveStranger(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.strangers.push(request.headers.authorization);
    const authorization = `Basic ${Buffer.from("ann:s3cret").toString("base64")}`;
    const answer = await this.#ask(request, { ...request.headers, authorization });
    send(response, answer, undefined, (bytes) => this.#count(request, bytes));
  }

  #nextFault(): ProxyFault | undefined {
    const at = this.#requests++;
    if (this.#planned === undefined) return undefined;
    const isHit = this.#planned.lasts === "once" ? at === this.#planned.at : at >= this.#planned.at;
    return isHit ? this.#planned.fault : undefined;
  }

  #count(request: IncomingMessage, bytes: number): void {
    const digest = /\/blobs\/(sha256:[0-9a-f]+)$/.exec(request.url ?? "")?.[1];
    if (digest !== undefined) this.sentBytes.set(digest, (this.sentBytes.get(digest) ?? 0) + bytes);
  }

  #ask({ url = "/" }: IncomingMessage, headers: IncomingMessage["headers"]): Promise<Answer> {
    const { range, ...others } = headers;
    const sent = range === undefined || this.#ignoresRange ? others : { ...others, range };
    const moved = this.#moved;
    const path = moved === undefined ? url : url.replace(`/manifests/${moved.from}`, `/manifests/${moved.to}`);
    return new Promise((answered, failed) => {
      const options = { headers: { ...sent, host: this.#target }, rejectUnauthorized: false };
      httpsRequest(`https://${this.#target}${path}`, options, (answer) => {
        const pieces: Buffer[] = [];
        answer.on("data", (piece: Buffer) => pieces.push(piece));
        answer.on("end", () =>
          answered({
            status: answer.statusCode ?? 0,
            headers: answer.headers as Answer["headers"],
            body: Buffer.concat(pieces),
          }),
        );
      })
        .on("error", failed)
        .end();
    });
  }
}

function send(
  response: ServerResponse,
  answer: Answer,
  fault: ProxyFault | undefined,
  count: (bytes: number) => void,
): void {
  const { status, body } = answer;
  const {
    "content-length": _length,
    "transfer-encoding": _encoding,
    connection: _connection,
    ...headers
  } = answer.headers;
  const half = body.subarray(0, Math.floor(body.length / 2));
  const begin = (length: number | undefined) =>
    response.writeHead(status, {
      ...(headers as Record<string, string>),
      ...(length === undefined ? {} : { "content-length": length }),
    });
  switch (fault?.kind) {
    case "truncate":
    case "truncate-and-ignore-range":
      count(half.length);
      // Ends the connection, so that what was sent arrives: the client sees too little, and nothing of it is lost.
      begin(body.length).write(half, () => response.socket?.end());
      return;
    case "stall":
      count(half.length);
      begin(body.length).write(half);
      return;
    case "send-twice":
      count(2 * body.length);
      begin(undefined).end(Buffer.concat([body, body]));
      return;
    case "change":
      count(body.length);
      begin(body.length).end(flipped(body));
      return;
    default:
      count(body.length);
      begin(body.length).end(body);
  }
}

function flipped(body: Buffer): Buffer {
  const bytes = Buffer.from(body);
  const at = Math.floor(bytes.length / 2);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
}
