import { OsdeployError } from "../core/errors.ts";
import { formatImageReference, type ImageReference, type RegistryReference } from "../core/oci/reference.ts";
import type { Linux, Path } from "../linux/linux.ts";
import { type Credentials, type Environment, findCredentials } from "./auth-file.ts";
import { openDockerArchive } from "./docker-archive-source.ts";
import type { HttpTimeouts, Proxies } from "./http-client.ts";
import type { ImageSource } from "./image-source.ts";
import { openLayoutSource } from "./layout-source.ts";
import type { RegistryOptions } from "./registry.ts";
import { RegistrySource } from "./registry-source.ts";
import type { RetryOptions } from "./retry.ts";

/** What a user or a unit says about where images come from; all of it has defaults but the environment. */
export interface SourceOptions {
  readonly environment: Environment;
  /** From `--creds`; instead of login files. */
  readonly credentials?: Credentials;
  /** From `--authfile`; instead of the usual login files. */
  readonly authFile?: Path;
  readonly tlsVerify?: boolean;
  /** Ends fetching with `interrupted`. */
  readonly signal?: AbortSignal;
  readonly timeouts?: HttpTimeouts;
  readonly retry?: Pick<RetryOptions, "tries" | "delayMs">;
}

const defaultTimeouts: HttpTimeouts = { connectMs: 30_000, headersMs: 60_000, idleMs: 60_000 };
const defaultRetry: Pick<RetryOptions, "tries" | "delayMs"> = { tries: 5, delayMs: 1_000 };

/**
 * Opens the place that `reference` names. Nothing is fetched yet; archives are indexed.
 *
 * @throws OsdeployError `not-found`, `bad-format` and the like for archives and login files; `unsupported` for
 * `rootfs:`, which holds no image: see `readRootDirectory`.
 */
export function openImageSource(reference: ImageReference, linux: Linux, options: SourceOptions): ImageSource {
  switch (reference.kind) {
    case "registry":
      return new RegistrySource(reference, registryOptions(reference, linux, options));
    case "oci-layout":
    case "oci-archive":
      return openLayoutSource(reference, linux.files);
    case "docker-archive":
      return openDockerArchive(reference, linux.files);
    case "root-directory":
      throw new OsdeployError(
        "unsupported",
        `Cannot pull ${formatImageReference(reference)}: it is a directory, not an image`,
      );
  }
}

function registryOptions(reference: RegistryReference, linux: Linux, options: SourceOptions): RegistryOptions {
  const { environment, authFile, signal } = options;
  const credentials =
    options.credentials ?? findCredentials(reference, linux.files, { explicit: authFile, environment });
  return {
    credentials,
    tlsVerify: options.tlsVerify ?? true,
    proxies: proxiesOf(environment.variables),
    timeouts: options.timeouts ?? defaultTimeouts,
    retry: { ...(options.retry ?? defaultRetry), signal },
    now: linux.clock.now,
  };
}

/** As curl and Go programs read them: lower case first. */
function proxiesOf(variables: Environment["variables"]): Proxies {
  const either = (name: string) => variables[name] || variables[name.toUpperCase()] || undefined;
  return { http: either("http_proxy"), https: either("https_proxy"), except: either("no_proxy") };
}
