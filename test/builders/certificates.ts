import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findTool } from "../tools/find-tool.ts";

/** A key and its certificate, as PEM. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

/** Undefined on machines without openssl. */
export const openssl = findTool("openssl");

/** A certificate for 127.0.0.1 and localhost that vouches for itself, and can vouch for others. */
export function selfSigned(name = "fake"): Certificate {
  return inDirectory((directory) => {
    const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
    const request = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=${name}`.split(" ");
    const names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"];
    execFileSync(String(openssl), [...request, ...names, "-keyout", key, "-out", cert], { stdio: "ignore" });
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
  });
}

/** A client's certificate that `authority` vouches for. */
export function signedBy(authority: Certificate, kind: "ec" | "rsa" = "ec"): Certificate {
  return inDirectory((directory) => {
    const file = (name: string) => join(directory, name);
    writeFileSync(file("ca.pem"), authority.cert);
    writeFileSync(file("ca.key"), authority.key);
    const run = (words: string) => execFileSync(String(openssl), words.split(" "), { cwd: directory, stdio: "ignore" });
    const key = kind === "rsa" ? "rsa:2048" : "ec -pkeyopt ec_paramgen_curve:P-256";
    run(`req -newkey ${key} -nodes -subj /CN=client -keyout key.pem -out request.pem`);
    run("x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out cert.pem");
    return { key: readFileSync(file("key.pem"), "utf8"), cert: readFileSync(file("cert.pem"), "utf8") };
  });
}

function inDirectory<T>(use: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), "certificates-"));
  try {
    return use(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
