import { createSecureContext, rootCertificates, type SecureContext } from "node:tls";
import { fromText, toText } from "../core/bytes/byte-string.ts";
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
  readonly clients: readonly { readonly certificate: string; readonly key: string }[];
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
 * @throws OsdeployError `bad-format` for a certificate without its key, or what is neither.
 */
export function registryTls(files: LinuxFiles, host: string, environment: Environment): RegistryTls {
  const found = readCertsDirectory(files, host, environment);
  const pool = systemPool(files, environment);
  // Without either, Node's own list serves, which it has read already.
  if (found === undefined && pool === undefined) return { own: undefined, others: undefined };
  const ca = [...(pool === undefined ? rootCertificates : [pool]), ...(found?.authorities ?? [])];
  try {
    const others = createSecureContext({ ca });
    const clients = found?.clients ?? [];
    if (clients.length === 0) return { own: others, others };
    const cert = clients.map(({ certificate }) => certificate);
    return { own: createSecureContext({ ca, cert, key: clients.map(({ key }) => key) }), others };
  } catch (cause) {
    throw new OsdeployError("bad-format", `Cannot use the certificates for ${host}: one of them is damaged`, { cause });
  }
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
    return new TextDecoder().decode(bytes);
  };
  const clients = names.filter((name) => /\.(cert|key)$/.test(name)).map((name) => name.replace(/\.[a-z]+$/, ""));
  return {
    authorities: names.filter((name) => name.endsWith(".crt")).map(read),
    clients: [...new Set(clients)].map((name) => {
      for (const part of [`${name}.cert`, `${name}.key`]) {
        if (!names.includes(part)) throw incomplete(directory, part);
      }
      return { certificate: read(`${name}.cert`), key: read(`${name}.key`) };
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
    if (bytes !== undefined) return new TextDecoder().decode(bytes);
  }
  return undefined;
}
