import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { SigningKey } from "../builders/signatures.ts";
import { envelopeBody, logEntryOf } from "../builders/transparency-log.ts";

/** What a client asks a log to keep. */
interface ProposedEnvelope {
  readonly payload: string;
  readonly payloadType: string;
  readonly signatures: readonly { readonly sig: string }[];
}

/** An entry as bundles have it. */
interface BundleEntry {
  readonly logIndex: string;
  readonly logId: { readonly keyId: string };
  readonly integratedTime: string;
  readonly inclusionPromise: { readonly signedEntryTimestamp: string };
  readonly inclusionProof: {
    readonly logIndex: string;
    readonly rootHash: string;
    readonly treeSize: string;
    readonly hashes: readonly string[];
    readonly checkpoint: { readonly envelope: string };
  };
  readonly canonicalizedBody: string;
}

const hexOf = (base64: string) => Buffer.from(base64, "base64").toString("hex");

/**
 * A transparency log on loopback that takes envelopes and answers as Rekor does, with promise and proof. Each entry is in a
 * log of its own.
 *
 * @see https://github.com/sigstore/rekor/blob/main/openapi.yaml
 */
export class FakeRekor {
  readonly #log: SigningKey;
  readonly #server: Server;
  /** How many entries it was given. */
  entries = 0;

  private constructor(log: SigningKey) {
    this.#log = log;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(log: SigningKey): Promise<FakeRekor> {
    const rekor = new FakeRekor(log);
    await new Promise<void>((done) => rekor.#server.listen(0, "127.0.0.1", done));
    return rekor;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    if (request.method !== "POST" || request.url !== "/api/v1/log/entries") {
      response.writeHead(404).end();
      return;
    }
    const { spec } = JSON.parse(Buffer.concat(pieces).toString());
    const { envelope, verifiers } = spec.proposedContent;
    const uuid = `${"24".repeat(8)}${this.entries.toString(16).padStart(64, "0")}`;
    this.entries++;
    const location = `/api/v1/log/entries/${uuid}`;
    response.writeHead(201, { "content-type": "application/json", location, etag: uuid });
    response.end(JSON.stringify({ [uuid]: this.#answer(JSON.parse(envelope), verifiers[0]) }));
  }

  #answer({ payload, payloadType, signatures }: ProposedEnvelope, verifier: string): object {
    const body = envelopeBody("dsse", {
      payload: Buffer.from(payload, "base64"),
      payloadType,
      signature: Buffer.from(signatures[0]?.sig ?? "", "base64"),
      pem: Buffer.from(verifier, "base64").toString(),
    });
    const integratedTime = Math.floor(Date.now() / 1000);
    const entry = logEntryOf(body, {}, { log: this.#log, integratedTime }) as BundleEntry;
    const { inclusionProof: proof } = entry;
    return {
      body: entry.canonicalizedBody,
      integratedTime,
      logID: hexOf(entry.logId.keyId),
      logIndex: Number(entry.logIndex),
      verification: {
        signedEntryTimestamp: entry.inclusionPromise.signedEntryTimestamp,
        inclusionProof: {
          checkpoint: proof.checkpoint.envelope,
          hashes: proof.hashes.map(hexOf),
          logIndex: Number(proof.logIndex),
          rootHash: hexOf(proof.rootHash),
          treeSize: Number(proof.treeSize),
        },
      },
    };
  }
}
