import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Certificate } from "../builders/certificates.ts";
import { findTool } from "./find-tool.ts";

const program = findTool("docker-registry");
const skopeo = findTool("skopeo");

/** Whether a real registry can be run, and filled. */
export const hasDockerRegistry = program !== undefined && skopeo !== undefined;

/** The only user of a registry with a login: `ann`, whose password is `s3cret`. */
export const registryUser = { user: "ann", password: "s3cret" } as const;
/** bcrypt of the password at its lowest cost: the registry computes it for each request. */
const htpasswd = "ann:$2b$04$tDqu.R5Hd1poC2wEzz6AMePEDnvlZpekZ85IkZkRkwLbE.U6ffcrO\n";

/** A running registry of the Debian package. */
export interface DockerRegistry {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  stop(): Promise<void>;
}

/** Starts a registry that keeps its files in `directory`; at a port of its choice, or where an earlier one was. */
export async function startDockerRegistry(
  directory: string,
  options: {
    readonly tls?: Certificate;
    readonly login?: boolean;
    readonly remote?: string;
    readonly port?: number;
  } = {},
): Promise<DockerRegistry> {
  mkdirSync(directory, { recursive: true });
  const file = (name: string, content: string) => {
    writeFileSync(join(directory, name), content);
    return join(directory, name);
  };
  const tls =
    options.tls === undefined
      ? ""
      : `, tls: {certificate: ${file("cert.pem", options.tls.cert)}, key: ${file("key.pem", options.tls.key)}}`;
  const auth = options.login === true ? `auth: {htpasswd: {realm: lab, path: ${file("users", htpasswd)}}}\n` : "";
  const proxy = options.remote === undefined ? "" : `proxy: {remoteurl: ${options.remote}}\n`;
  const storage = `storage: {filesystem: {rootdirectory: ${join(directory, "files")}}}\n`;
  const config = file(
    "config.yml",
    `version: 0.1\n${storage}http: {addr: "127.0.0.1:${options.port ?? 0}"${tls}}\n${auth}${proxy}`,
  );
  const env = { ...process.env, OTEL_TRACES_EXPORTER: "none" };
  const child = spawn(String(program), ["serve", config], { stdio: ["ignore", "ignore", "pipe"], env });
  const host = `127.0.0.1:${await portOf(child)}`;
  return { host, stop: () => ended(child) };
}

/** Puts an image of an OCI layout into a registry, byte for byte. */
export async function pushLayout(
  layout: string,
  target: string,
  options: { readonly login?: boolean } = {},
): Promise<void> {
  const { user, password } = registryUser;
  const login = options.login === true ? [`--dest-creds=${user}:${password}`] : [];
  const words = ["copy", "--quiet", "--dest-tls-verify=false", "--preserve-digests", "--all", ...login];
  await promisify(execFile)(String(skopeo), ["--insecure-policy", ...words, `oci:${layout}`, `docker://${target}`]);
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((done) => {
    if (child.exitCode !== null || child.signalCode !== null) return done();
    child.on("exit", () => done());
    child.kill();
  });
}

/** The port that the registry chose, from its log. */
function portOf(registry: ChildProcess): Promise<string> {
  return new Promise((found, failed) => {
    let log = "";
    registry.on("exit", () => failed(new Error(`the registry ended: ${log}`)));
    registry.stderr?.on("data", (piece: Buffer) => {
      log += piece.toString();
      const port = /listening on 127\.0\.0\.1:([0-9]+)/.exec(log)?.[1];
      if (port !== undefined) found(port);
    });
  });
}
