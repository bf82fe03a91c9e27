import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { OsdeployError } from "../core/errors.ts";

/** A document or layer of an image that is offered. */
export interface ServedBlob {
  readonly sizeBytes: number;
  /** Its bytes from an offset to the end. */
  readonly open: (offsetBytes: number) => AsyncIterable<Uint8Array>;
}

/** An image as the guest may ask for it. */
export interface ServedImage {
  readonly manifest: { readonly mediaType: string; readonly digest: string; readonly bytes: Uint8Array };
  /** Config and layers, by their digests. */
  readonly blobs: ReadonlyMap<string, ServedBlob>;
}

/**
 * A read-only registry on this machine's loopback. All repositories hold the same: one image, under every tag and under
 * its digest. No login, no TLS; nothing can be pushed.
 *
 * @see https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md, "Pull"
 */
export class ImageServer {
  readonly #server: Server;
  #image: ServedImage;

  private constructor(image: ServedImage) {
    this.#image = image;
    this.#server = createServer((request, response) => this.#serve(request, response));
  }

  /** @throws OsdeployError `busy` when somebody else listens on the port. */
  static async start(port: number, image: ServedImage): Promise<ImageServer> {
    const server = new ImageServer(image);
    await new Promise<void>((resolve, reject) => {
      server.#server.on("error", (cause) => {
        reject(new OsdeployError("busy", `Cannot offer images on port ${port}: ${cause.message}`, { cause }));
      });
      server.#server.listen(port, "127.0.0.1", resolve);
    });
    return server;
  }

  /** Where it listens; of interest when 0 was asked for. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Offers another image from now on. */
  offer(image: ServedImage): void {
    this.#image = image;
  }

  /** Ends all connections. */
  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    // Not by `URL`, which throws at some of what a guest may ask for.
    const [path = ""] = (request.url ?? "").split("?");
    const [, kind, name = ""] = /^\/v2\/.+\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? [];
    if (request.method !== "GET" && request.method !== "HEAD") refuse(response, 405, "UNSUPPORTED");
    else if (path === "/v2/" || path === "/v2") response.writeHead(200).end();
    else if (kind === "manifests") this.#serveManifest(name, response);
    else if (kind === "blobs") this.#serveBlob(name, request, response);
    else refuse(response, 404, "NAME_UNKNOWN");
  }

  #serveManifest(name: string, response: ServerResponse): void {
    const { mediaType, digest, bytes } = this.#image.manifest;
    if (name.includes(":") && name !== digest) {
      refuse(response, 404, "MANIFEST_UNKNOWN");
      return;
    }
    response.writeHead(200, {
      "content-type": mediaType,
      "content-length": bytes.length,
      "docker-content-digest": digest,
    });
    // For HEAD, Node leaves the body out by itself.
    response.end(bytes);
  }

  #serveBlob(digest: string, request: IncomingMessage, response: ServerResponse): void {
    const blob = this.#image.blobs.get(digest);
    if (blob === undefined) {
      refuse(response, 404, "BLOB_UNKNOWN");
      return;
    }
    const range = parseRange(request.headers.range, blob.sizeBytes);
    response.writeHead(range === undefined ? 200 : 206, {
      "content-type": "application/octet-stream",
      "content-length": range === undefined ? blob.sizeBytes : range.end - range.start,
      "accept-ranges": "bytes",
      ...(range && { "content-range": `bytes ${range.start}-${range.end - 1}/${blob.sizeBytes}` }),
    });
    if (request.method === "HEAD") response.end();
    else void send(blob, range ?? { start: 0, end: blob.sizeBytes }, response);
  }
}

interface ByteRange {
  readonly start: number;
  /** The first byte that is no part of it. */
  readonly end: number;
}

/** One range that lies within `sizeBytes`; others may be answered with the whole, says RFC 9110, so they are. */
function parseRange(header: string | undefined, sizeBytes: number): ByteRange | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(header ?? "") ?? [];
  if (first === undefined) return undefined;
  const end = last === undefined || last === "" ? sizeBytes : Math.min(Number(last) + 1, sizeBytes);
  return Number(first) < end ? { start: Number(first), end } : undefined;
}

async function send(blob: ServedBlob, { start, end }: ByteRange, response: ServerResponse): Promise<void> {
  try {
    await pipeline(Readable.from(firstBytes(blob.open(start), end - start), { objectMode: false }), response);
  } catch {
    // The guest went away, or the source broke: a connection that ends too early says so to the guest.
    response.destroy();
  }
}

async function* firstBytes(source: AsyncIterable<Uint8Array>, count: number): AsyncGenerator<Uint8Array> {
  let left = count;
  for await (const chunk of source) {
    yield chunk.subarray(0, left);
    left -= chunk.length;
    if (left <= 0) return;
  }
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ errors: [{ code, message: "the lab offers one image, to be read" }] }));
}
