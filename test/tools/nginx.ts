import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, createServer } from "node:net";
import { join } from "node:path";
import type { Certificate } from "../builders/certificates.ts";
import { findTool } from "./find-tool.ts";

const program = findTool("nginx");

/** Whether a real nginx can be run. */
export const hasNginx = program !== undefined;

/** A server of an nginx; they share one certificate. */
export interface NginxServer {
  readonly port: number;
  /** Directives of its own, such as locations. */
  readonly directives: string;
  /** Only another server of this nginx reaches it, without TLS. */
  readonly isPlain?: boolean;
}

export interface NginxOptions {
  readonly tls: Certificate;
  readonly servers: readonly NginxServer[];
  /** Directives for all servers, such as zones. */
  readonly http?: string;
}

/** A request as nginx wrote it down. */
export interface LoggedRequest {
  readonly port: number;
  readonly status: number;
  readonly bodyBytes: number;
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** A running nginx of the Debian package. */
export interface Nginx {
  /** What it answered, oldest first. */
  requests(): readonly LoggedRequest[];
  stop(): Promise<void>;
}

const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];

/** Starts an nginx that keeps its files in `directory`, in one process that needs no privileges. */
export async function startNginx(directory: string, { tls, servers, http = "" }: NginxOptions): Promise<Nginx> {
  mkdirSync(directory, { recursive: true });
  const path = (name: string) => join(directory, name);
  writeFileSync(path("cert.pem"), tls.cert);
  writeFileSync(path("key.pem"), tls.key);
  writeFileSync(path("access.log"), "");
  const places = temporary.map((name) => `${name}_temp_path ${path(name)};`).join("\n");
  const format = `'$server_port $status $body_bytes_sent $request_method $request_uri "$http_range" "$http_authorization"'`;
  const config = `daemon off;
master_process off;
pid ${path("nginx.pid")};
error_log ${path("error.log")};
events {}
http {
  ${places}
  log_format lab ${format};
  access_log ${path("access.log")} lab;
  ssl_certificate ${path("cert.pem")};
  ssl_certificate_key ${path("key.pem")};
  ${http}
  ${servers.map(serverText).join("\n")}
}
`;
  writeFileSync(path("nginx.conf"), config);
  const child = spawn(String(program), ["-p", directory, "-e", path("error.log"), "-c", path("nginx.conf")], {
    stdio: "ignore",
  });
  for (const { port } of servers) await untilListening(port, child, () => readFileSync(path("error.log"), "utf8"));
  return { requests: () => parseLog(readFileSync(path("access.log"), "utf8")), stop: () => ended(child) };
}

/** A port that nothing listens at. nginx cannot choose one and say which. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

function serverText({ port, directives, isPlain = false }: NginxServer): string {
  return `server { listen 127.0.0.1:${port}${isPlain ? "" : " ssl"}; ${directives} }`;
}

async function untilListening(port: number, child: ChildProcess, log: () => string): Promise<void> {
  while (!(await isListening(port))) {
    if (child.exitCode !== null) throw new Error(`nginx ended: ${log()}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

function isListening(port: number): Promise<boolean> {
  return new Promise((answered) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      answered(true);
    });
    socket.on("error", () => answered(false));
  });
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((done) => {
    if (child.exitCode !== null || child.signalCode !== null) return done();
    child.on("exit", () => done());
    child.kill("SIGKILL");
  });
}

function parseLog(text: string): readonly LoggedRequest[] {
  return [...text.matchAll(/^(\d+) (\d+) (\d+) (\S+) (\S+) "(.*?)" "(.*?)"$/gm)].map(
    ([, port, status, bodyBytes, method = "", path = "", range = "-", authorization = "-"]) => ({
      ...{ port: Number(port), status: Number(status), bodyBytes: Number(bodyBytes), method, path },
      range: range === "-" ? undefined : range,
      authorization: authorization === "-" ? undefined : authorization,
    }),
  );
}
