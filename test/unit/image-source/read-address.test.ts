import { afterEach, expect, test } from "vitest";
import { type AddressOptions, addressReader } from "../../../src/image-source/read-address.ts";
import { FakeRegistry, type Fault } from "../../fakes/fake-registry.ts";

const open: FakeRegistry[] = [];

afterEach(async () => {
  for (const each of open.splice(0)) await each.stop();
});

/** Reads the address of a web server that answers with these faults, or 404; and says how often it was asked. */
async function read(faults: Fault[], { limitBytes = 100, tries = 3, signal }: Partial<Asked> = {}) {
  const server = await FakeRegistry.start({ faults });
  open.push(server);
  const options: AddressOptions = {
    ...{ tlsVerify: true, tlsFor: () => ({ own: undefined, others: undefined }) },
    proxies: { http: undefined, https: undefined, except: [] },
    timeouts: { connectMs: 2_000, headersMs: 400, idleMs: 400 },
    retry: { tries, delayMs: 1, random: () => 0, signal },
  };
  const bytes = await addressReader(options)(new URL(`http://${server.host}/signature-1?n=7`), limitBytes);
  return { bytes, requests: server.requests.map(({ path, authorization }) => ({ path, authorization })) };
}

interface Asked {
  readonly limitBytes: number;
  readonly tries: number;
  readonly signal: AbortSignal;
}

const path = /signature/;
const request = { path: "/signature-1?n=7", authorization: undefined };

test("addressReader: the bytes of an address, asked for once and by nobody in particular", async () => {
  const { bytes, requests } = await read([{ path, status: 200, body: "signed" }]);
  expect(Buffer.from(bytes ?? []).toString()).toBe("signed");
  expect(requests).toEqual([request]);
});

test("addressReader: only 404 says that there is nothing", async () => {
  expect((await read([])).bytes).toBeUndefined();
  for (const status of [401, 403, 410, 500]) {
    await expect(read([{ path, times: 9, status }])).rejects.toMatchObject({ facts: { status } });
  }
});

test("addressReader: what passes is tried again", async () => {
  const { bytes, requests } = await read([{ path, times: 2, status: 503 }]);
  expect(bytes).toBeUndefined();
  expect(requests).toEqual([request, request, request]);
});

test("addressReader: takes as many bytes as are allowed, and not one more", async () => {
  expect((await read([{ path, status: 200, body: "x".repeat(100) }])).bytes).toHaveLength(100);
  await expect(read([{ path, status: 200, body: "x".repeat(101) }])).rejects.toMatchObject({ code: "limit-exceeded" });
});

test("addressReader: ends when it is told to, though nothing comes", async () => {
  const halt = new AbortController();
  const faults: Fault[] = [{ path, status: 200, body: "signed", stallAfterBytes: 1 }];
  const reading = read(faults, { tries: 1, signal: halt.signal });
  setTimeout(() => halt.abort(), 20);
  await expect(reading).rejects.toMatchObject({ code: "interrupted" });
});
