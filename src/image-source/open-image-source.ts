import { OsdeployError } from "../core/errors.ts";
import {
  formatImageReference,
  type ImageReference,
  type RegistryReference,
  type ShortReference,
} from "../core/oci/reference.ts";
import type { RegistryName } from "../core/oci/registry-name.ts";
import type { Linux, Path } from "../linux/linux.ts";
import type { Credentials, Login } from "./auth-file.ts";
import type { TrustOptions } from "./check-trust.ts";
import type { Environment } from "./configuration-file.ts";
import { openDockerArchive } from "./docker-archive-source.ts";
import { findLogin } from "./find-login.ts";
import type { HttpTimeouts } from "./http-client.ts";
import type { ImageSource } from "./image-source.ts";
import { openLayoutSource } from "./layout-source.ts";
import { readProxies } from "./proxies.ts";
import { addressReader } from "./read-address.ts";
import type { RegistriesConf } from "./registries-conf.ts";
import { readRegistriesConf } from "./registries-files.ts";
import { Registry, type RegistryOptions } from "./registry.ts";
import { type Endpoint, endpointsOf, endpointToPush, refuseBlocked } from "./registry-endpoints.ts";
import { RegistrySource } from "./registry-source.ts";
import { registryTls } from "./registry-tls.ts";
import type { RetryOptions } from "./retry.ts";
import { expandShortName } from "./short-names.ts";

/** What a user or a unit says about where images come from; all of it has defaults but the environment. */
export interface SourceOptions {
  readonly environment: Environment;
  /** From `--creds`; instead of login files. Only for the registry that the image names, not for its mirrors. */
  readonly credentials?: Credentials;
  /** From `--authfile`; instead of the usual login files. */
  readonly authFile?: Path;
  readonly tlsVerify?: boolean;
  /** From `--signature-policy`; instead of the usual policy.json. */
  readonly signaturePolicy?: Path;
  /** From `--enforce-container-sigpolicy`: a policy that asks for nothing refuses. */
  readonly enforceSignatures?: boolean;
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
    case "short-name":
      return openRegistrySource(reference, linux, options);
    case "oci-layout":
    case "oci-archive":
      return openLayoutSource(reference, linux.files);
    case "docker-archive":
      return openDockerArchive(reference, linux.files);
    case "root-directory":
      throw new OsdeployError(
        "unsupported",
        `Cannot use ${formatImageReference(reference)} here: it is a directory, not an image`,
        { facts: { hint: "osdeploy pull makes an image of it in a repo, for image inspect and image push" } },
      );
  }
}

function openRegistrySource(
  reference: RegistryReference | ShortReference,
  linux: Linux,
  options: SourceOptions,
): ImageSource {
  const conf = readRegistriesConf(linux.files, options.environment);
  const names = reference.kind === "registry" ? [reference] : expandShortName(conf, reference);
  // Of a name that could be in several registries nobody has said whom the credentials are for.
  const named = names.length === 1 ? names[0]?.host : undefined;
  return new RegistrySource(reference, {
    names: names.map(({ host, repository, tag, digest }) => ({ host, repository, tag, digest })),
    endpointsOf: (name) => endpointsOf(conf, name),
    open: (endpoint) => openRegistry(endpoint, linux, { ...options, conf, isNamed: endpoint.host === named }),
  });
}

/**
 * The registry that images called `name` are written to: never a mirror, and not where registries.conf has it read from.
 *
 * @throws OsdeployError `permission-denied` when registries.conf blocks it.
 */
export async function openRegistryToPush(name: RegistryName, linux: Linux, options: SourceOptions): Promise<Registry> {
  const conf = readRegistriesConf(linux.files, options.environment);
  const endpoint = endpointToPush(conf, name);
  return openRegistry(endpoint, linux, { ...options, conf, isNamed: true, actions: "pull,push" });
}

/**
 * All that is opened by registries.conf is opened here.
 *
 * @throws OsdeployError `permission-denied` where that blocks the endpoint.
 */
async function openRegistry(
  endpoint: Endpoint,
  linux: Linux,
  options: EndpointOptions & Pick<RegistryOptions, "actions">,
): Promise<Registry> {
  refuseBlocked(endpoint);
  const { actions = "pull" } = options;
  return Registry.open(endpoint, { ...(await registryOptions(endpoint, linux, options)), actions });
}

/** `isNamed` says that the user named the host, and so meant the credentials that he gave for it. */
type EndpointOptions = SourceOptions & { readonly conf: RegistriesConf; readonly isNamed: boolean };

async function registryOptions(endpoint: Endpoint, linux: Linux, options: EndpointOptions): Promise<RegistryOptions> {
  const { environment, signal } = options;
  return {
    login: await loginFor(endpoint, linux, options),
    tlsVerify: (options.tlsVerify ?? true) && !endpoint.insecure,
    tls: registryTls(linux.files, endpoint.host, environment),
    proxies: readProxies(environment.variables),
    timeouts: options.timeouts ?? defaultTimeouts,
    retry: { ...(options.retry ?? defaultRetry), random: () => randomOf(linux), signal },
    now: linux.clock.now,
  };
}

async function loginFor(endpoint: Endpoint, linux: Linux, options: EndpointOptions): Promise<Login | undefined> {
  const { credentials, environment, authFile, signal } = options;
  if (credentials !== undefined && options.isNamed) return { kind: "password", ...credentials };
  const helpers = options.conf.credentialHelpers;
  return findLogin(endpoint, linux, { explicit: authFile, environment, helpers, signal });
}

/** A fraction from the machine's own source of chance. */
function randomOf({ clock }: Linux): number {
  return Number.parseInt(clock.randomName().slice(0, 8), 16) / 2 ** 32;
}

/** What the check of an image's signatures needs, by the same options that the image is opened with. */
export function trustOptions(linux: Linux, options: SourceOptions): TrustOptions {
  const { environment, signal } = options;
  return {
    environment,
    policy: options.signaturePolicy,
    enforce: options.enforceSignatures,
    signal,
    readAddress: addressReader({
      tlsVerify: options.tlsVerify ?? true,
      tlsFor: (host) => registryTls(linux.files, host, environment),
      proxies: readProxies(environment.variables),
      timeouts: options.timeouts ?? defaultTimeouts,
      retry: { ...(options.retry ?? defaultRetry), random: () => randomOf(linux), signal },
    }),
  };
}
