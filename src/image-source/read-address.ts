import { HttpClient, type HttpOptions } from "./http-client.ts";
import { connectionFailure, readBody, statusFailure } from "./http-failure.ts";
import type { ReadAddress } from "./lookaside.ts";
import { type RetryOptions, withRetries } from "./retry.ts";

/** How addresses are reached; `tlsFor` tells whom to trust for a host. */
export interface AddressOptions extends Omit<HttpOptions, "host" | "tls" | "signal"> {
  readonly tlsFor: (host: string) => HttpOptions["tls"];
  readonly retry: RetryOptions;
}

/** Reads plain web addresses, with the same patience as registries, and without credentials. */
export function addressReader(options: AddressOptions): ReadAddress {
  return async (address, limitBytes) => {
    const { tlsFor, retry, ...http } = options;
    const { host } = address;
    const client = await HttpClient.open({ ...http, host, tls: tlsFor(host), signal: retry.signal });
    const what = `read ${address.origin}${address.pathname}`;
    try {
      return await withRetries(retry, async () => {
        try {
          const answer = await client.get(address, {});
          if (answer.status === 200) return await readBody(answer, limitBytes, what);
          if (answer.status !== 404) throw await statusFailure(answer, what);
          answer.body.destroy();
          return undefined;
        } catch (error) {
          throw connectionFailure(error, what, { host, signal: retry.signal });
        }
      });
    } finally {
      await client.close();
    }
  };
}
