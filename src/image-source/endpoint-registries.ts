import { assert, OsdeployError } from "../core/errors.ts";
import type { Registry } from "./registry.ts";
import type { Endpoint } from "./registry-endpoints.ts";

/** The registries of the endpoints that were asked so far: each is opened once, when it is first needed. */
export class EndpointRegistries {
  readonly #open: (endpoint: Endpoint) => Promise<Registry>;
  readonly #opened = new Map<string, Promise<Registry>>();

  constructor(open: (endpoint: Endpoint) => Promise<Registry>) {
    this.#open = open;
  }

  get(endpoint: Endpoint): Promise<Registry> {
    const { host, repository, insecure } = endpoint;
    const key = `${host}/${repository} ${insecure}`;
    const opened = this.#opened.get(key) ?? this.#open(endpoint);
    this.#opened.set(key, opened);
    return opened;
  }

  /**
   * What the first endpoint gives that gives something.
   *
   * @throws the failure of the last endpoint when it is the place itself, else that of the first, with what the others
   * said; what is no fault of an endpoint at once.
   */
  async first<T>(
    endpoints: readonly Endpoint[],
    act: (registry: Registry, endpoint: Endpoint) => Promise<T>,
  ): Promise<T> {
    const failures = new EndpointFailures();
    for (const endpoint of endpoints) {
      try {
        return await act(await this.get(endpoint), endpoint);
      } catch (error) {
        failures.add(endpoint, error);
      }
    }
    throw failures.joined();
  }

  async close(): Promise<void> {
    const opened = await Promise.allSettled(this.#opened.values());
    await Promise.all(opened.map((each) => (each.status === "fulfilled" ? each.value.close() : undefined)));
  }
}

/** Why endpoint after endpoint could not serve. */
export class EndpointFailures {
  readonly #failures: { readonly endpoint: Endpoint; readonly error: OsdeployError }[] = [];

  /** Takes up a failure after which another endpoint may do; rethrows all others. */
  add(endpoint: Endpoint, error: unknown): void {
    if (!(error instanceof OsdeployError) || error.code === "interrupted") throw error;
    this.#failures.push({ endpoint, error });
  }

  /** One error for all: that of the place itself, and what its mirrors said. */
  joined(): OsdeployError {
    const main = this.#failures.find(({ endpoint }) => !endpoint.isMirror) ?? this.#failures[0];
    assert(main !== undefined, "there is an endpoint to ask");
    const others = this.#failures.filter((failure) => failure !== main).map(({ error }) => error.message);
    if (others.length === 0) return main.error;
    const { code, message, facts } = main.error;
    return new OsdeployError(code, [message, ...others].join("; before that: "), { facts, cause: main.error });
  }
}
