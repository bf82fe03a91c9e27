import { createSecureContext, rootCertificates, type SecureContext } from "node:tls";
import { fromText, toText } from "../core/bytes/byte-string.ts";
import { decodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import {
  type Environment,
  homeOf,
  listConfiguration,
  quotePath,
  readConfiguration,
  variableOf,
} from "./configuration-file.ts";

/** Whom to trust, and how to show who we are, when connecting to one registry. */
export interface RegistryTls {
  /** For the registry itself, with the client certificates that are meant for it. */
  readonly own: SecureContext | undefined;
  /** For hosts that it redirects to: the same authorities, and no client certificate. */
  readonly others: SecureContext | undefined;
}

/** What certs.d says about one host, as PEM. */
interface CertsDirectory {
  readonly authorities: readonly string[];
  readonly clients: readonly ClientCertificate[];
}

interface ClientCertificate {
  /** The files, without `.cert` and `.key`. */
  readonly path: Path;
  readonly certificate: string;
  readonly key: string;
}

/** Where Linux distributions keep the authorities that they trust, as Go's crypto/x509 looks for them. */
const poolPaths = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/**
 * The TLS settings for `host` (with its port, as in the reference): the system's authorities, to which certs.d adds.
 *
 * @throws OsdeployError `bad-format` for a client certificate without its key, or what is neither.
 */
export function registryTls(files: LinuxFiles, host: string, environment: Environment): RegistryTls {
  const found = readCertsDirectory(files, host, environment);
  const pool = systemPool(files, environment);
  // Without either, Node's own list serves, which it has read already.
  if (found === undefined && pool === undefined) return { own: undefined, others: undefined };
  // What is no authority among them is passed over, as with podman: without it the registry is trusted, or is not.
  const ca = [...(pool === undefined ? rootCertificates : [pool]), ...(found?.authorities ?? [])];
  const others = createSecureContext({ ca });
  return { own: withClients(ca, found?.clients ?? []) ?? others, others };
}

/**
 * With the first client certificate of each kind of key (RSA, EC, …): OpenSSL holds no more, and takes the one whose kind
 * the registry asks for. Undefined without any.
 *
 * @throws OsdeployError `bad-format` for one that is of no use.
 */
function withClients(ca: readonly string[], clients: readonly ClientCertificate[]): SecureContext | undefined {
  const taken: ClientCertificate[] = [];
  let context: SecureContext | undefined;
  for (const client of clients) {
    if (contextOf([], [client]) === undefined) throw unusable(client.path);
    // A second one of a kind takes the first one's place, whose key then is that of another certificate.
    const together = contextOf(ca, [...taken, client]);
    if (together === undefined) continue;
    taken.push(client);
    context = together;
  }
  return context;
}

/** Undefined when a certificate is damaged, or does not fit together with its key or with the others. */
function contextOf(ca: readonly string[], clients: readonly ClientCertificate[]): SecureContext | undefined {
  const cert = clients.map(({ certificate }) => certificate);
  const key = clients.map((client) => client.key);
  try {
    return createSecureContext({ ca: [...ca], ...(clients.length === 0 ? {} : { cert, key }) });
  } catch {
    return undefined;
  }
}

function unusable(path: Path): OsdeployError {
  const names = `${quotePath(`${path}.cert` as Path)} and ${quotePath(`${path}.key` as Path)}`;
  return new OsdeployError("bad-format", `Cannot use ${names}: one of them is damaged, or they do not belong together`);
}

/**
 * The first directory for `host` that is there and may be read; others are not looked at.
 *
 * @see https://github.com/containers/container-libs/blob/main/image/docs/containers-certs.d.5.md
 */
function readCertsDirectory(files: LinuxFiles, host: string, environment: Environment): CertsDirectory | undefined {
  for (const base of [`${homeOf(environment)}/.config/containers`, "/etc/containers", "/etc/docker"]) {
    const directory = fromText(`${base}/certs.d/${host}`);
    try {
      if (files.lstatIfExists(directory) !== undefined) return readDirectory(files, directory);
    } catch (error) {
      if (!(error instanceof OsdeployError && error.code === "permission-denied")) throw error;
    }
  }
  return undefined;
}

function readDirectory(files: LinuxFiles, directory: Path): CertsDirectory {
  const names = listConfiguration(files, directory).map(toText);
  const read = (name: string) => {
    const bytes = readConfiguration(files, childPath(directory, fromText(name)));
    return decodeText(bytes);
  };
  const clients = names.filter((name) => /\.(cert|key)$/.test(name)).map((name) => name.replace(/\.[a-z]+$/, ""));
  return {
    authorities: names.filter((name) => name.endsWith(".crt")).map(read),
    clients: [...new Set(clients)].map((name) => {
      for (const part of [`${name}.cert`, `${name}.key`]) {
        if (!names.includes(part)) throw incomplete(directory, part);
      }
      const path = childPath(directory, fromText(name));
      return { path, certificate: read(`${name}.cert`), key: read(`${name}.key`) };
    }),
  };
}

function incomplete(directory: Path, missing: string): OsdeployError {
  const advice = "a client certificate is a .cert and a .key of one name, an authority is a .crt";
  return new OsdeployError("bad-format", `Cannot use ${quotePath(directory)}: it has no ${missing}; ${advice}`);
}

function systemPool(files: LinuxFiles, environment: Environment): string | undefined {
  const named = variableOf(environment, "SSL_CERT_FILE");
  for (const path of named === undefined ? poolPaths : [named]) {
    const bytes = readConfiguration(files, fromText(path));
    if (bytes !== undefined) return decodeText(bytes);
  }
  return undefined;
}
