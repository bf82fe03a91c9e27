import { describe, expect, test } from "vitest";
import { OsdeployError } from "../../../src/core/errors.ts";
import { connectionFailure, PassingFailure, speaksNoTls } from "../../../src/image-source/http-failure.ts";
import { ProxyFailure } from "../../../src/image-source/proxies.ts";

const errorWith = (code: string) => Object.assign(new Error("told by undici or the kernel"), { code });
const at = { host: "quay.io", signal: undefined };

describe("connectionFailure", () => {
  test.each([
    ["ECONNRESET", "the connection broke"],
    ["EPIPE", "the connection broke"],
    ["UND_ERR_SOCKET", "the connection broke"],
    ["UND_ERR_RES_CONTENT_LENGTH_MISMATCH", "the connection broke"],
    ["UND_ERR_CONNECT_TIMEOUT", "no connection within the time allowed"],
    ["ETIMEDOUT", "no connection within the time allowed"],
    ["UND_ERR_HEADERS_TIMEOUT", "no answer within the time allowed"],
    ["UND_ERR_BODY_TIMEOUT", "nothing more came within the time allowed"],
    ["EAI_AGAIN", "its name cannot be looked up at the moment"],
  ])("%s passes", (code, state) => {
    const failure = connectionFailure(errorWith(code), "fetch it", at);
    expect(failure).toBeInstanceOf(PassingFailure);
    expect((failure as PassingFailure).reason).toMatchObject({
      code: "network",
      message: `Cannot fetch it: quay.io: ${state}`,
      facts: { errno: code },
    });
  });

  test.each([
    ["ECONNREFUSED", "nothing listens there"],
    ["ENOTFOUND", "its name is unknown"],
    ["UND_ERR_ABORTED", "the proxy refuses the connection"],
    ["CERT_HAS_EXPIRED", "by this machine's clock its certificate has expired"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "its certificate cannot be trusted (DEPTH_ZERO_SELF_SIGNED_CERT)"],
    ["EPROTO", "it does not speak TLS"],
    ["ESTRANGE", "the connection failed (ESTRANGE)"],
  ])("%s does not pass by itself", (code, state) => {
    const failure = connectionFailure(errorWith(code), "fetch it", at);
    expect(failure).toBeInstanceOf(OsdeployError);
    expect(failure).toMatchObject({ code: "network", message: `Cannot fetch it: quay.io: ${state}` });
  });

  test("of a proxy that cannot be reached it is the proxy that is told", () => {
    const failure = (code: string) => connectionFailure(ProxyFailure.of(errorWith(code), "proxy:3128"), "fetch it", at);
    const refused = failure("ECONNREFUSED");
    expect(refused).toMatchObject({ message: "Cannot fetch it: the proxy proxy:3128: nothing listens there" });
    expect(failure("UND_ERR_CONNECT_TIMEOUT")).toBeInstanceOf(PassingFailure);
    expect(ProxyFailure.of(errorWith("DEPTH_ZERO_SELF_SIGNED_CERT"), "proxy:3128")).toBeUndefined();
  });

  test("whatever the error is called: who was told to stop was interrupted", () => {
    for (const code of ["UND_ERR_ABORTED", "ECONNRESET"]) {
      const failure = connectionFailure(errorWith(code), "fetch it", { ...at, signal: AbortSignal.abort() });
      expect(failure).toMatchObject({ code: "interrupted", message: "Cannot fetch it: it was interrupted" });
    }
  });
});

test.each([
  ["EPROTO", true],
  ["ECONNRESET", true],
  ["ERR_SSL_WRONG_VERSION_NUMBER", true],
  ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", false],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", false],
  ["UND_ERR_SOCKET", false],
  ["UND_ERR_CONNECT_TIMEOUT", false],
  ["ECONNREFUSED", false],
])("speaksNoTls: of who ends a connection with %s it is %j", (code, expected) => {
  expect(speaksNoTls(errorWith(code))).toBe(expected);
});
