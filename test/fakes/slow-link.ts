import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";

/** What a link is like. */
export interface SlowLinkOptions {
  /** How long each answer waits. */
  readonly delayMs: number;
  /** Of all answers together. */
  readonly bytesPerSecond: number;
}

/** Bytes that are sent at once. */
const pieceBytes = 16 * 1024;
/** What a timer can be late by: as much of what the link could have carried meanwhile is made good. */
const lateMs = 20;

/** A slow link to a registry without TLS: each request waits, and all answers share the bandwidth. */
export class SlowLink {
  options: SlowLinkOptions = { delayMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY };
  /** Blobs that were asked for, with the part that was wanted. */
  readonly asked: { readonly path: string; readonly range: string | undefined }[] = [];
  /** Called for each piece of a blob that was sent: its path, its place in the blob and its length. */
  onPiece: (path: string, offsetBytes: number, lengthBytes: number) => void = () => {};
  readonly #target: string;
  readonly #server: Server;
  /** When the link is free again. */
  #freeAt = 0;

  private constructor(target: string) {
    this.#target = target;
    this.#server = createServer((request, response) => this.#serve(request, response));
  }

  /** `target` is `HOST:PORT`. */
  static async start(target: string): Promise<SlowLink> {
    const link = new SlowLink(target);
    await new Promise<void>((done) => link.#server.listen(0, "127.0.0.1", done));
    return link;
  }

  /** `127.0.0.1:PORT`. */
  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { url = "/", headers } = request;
    const { range } = headers;
    const isBlob = url.includes("/blobs/");
    if (isBlob) this.asked.push({ path: url, range });
    const ask = httpRequest(
      `http://${this.#target}${url}`,
      { headers: { ...headers, host: this.#target } },
      (answer) => {
        const start = answer.statusCode === 206 ? Number(/^bytes=([0-9]+)-/.exec(range ?? "")?.[1] ?? 0) : 0;
        this.#pass(answer, response, (offset, length) => {
          if (isBlob) this.onPiece(url, start + offset, length);
        }).catch(() => response.destroy());
      },
    );
    response.on("close", () => ask.destroy());
    ask.on("error", () => response.destroy());
    ask.end();
  }

  async #pass(
    answer: IncomingMessage,
    response: ServerResponse,
    sent: (offset: number, length: number) => void,
  ): Promise<void> {
    await until(Date.now() + this.options.delayMs);
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    let offset = 0;
    for await (const bytes of answer as AsyncIterable<Buffer>) {
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        const piece = bytes.subarray(at, at + pieceBytes);
        await until(this.#reserve(piece.length));
        if (response.destroyed) return;
        sent(offset, piece.length);
        offset += piece.length;
        await new Promise<void>((done) => response.write(piece, () => done()));
      }
    }
    response.end();
  }

  /** When the last of these bytes is through. */
  #reserve(bytes: number): number {
    this.#freeAt = Math.max(this.#freeAt, Date.now() - lateMs) + (bytes / this.options.bytesPerSecond) * 1000;
    return this.#freeAt;
  }
}

async function until(time: number): Promise<void> {
  const left = time - Date.now();
  if (left > 0) await new Promise((done) => setTimeout(done, left));
}
