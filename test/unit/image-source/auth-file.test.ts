import { describe, expect, test } from "vitest";
import { parseAuthFile, parseCredentials, parseOldAuthFile } from "../../../src/image-source/auth-file.ts";

const auth = (user: string, password: string) => ({ auth: Buffer.from(`${user}:${password}`).toString("base64") });
const parse = (value: unknown) => parseAuthFile(Buffer.from(JSON.stringify(value)), "auth.json");
const os = { host: "quay.io", repository: "ns/repo/os" };

describe("parseAuthFile", () => {
  test.each([
    [
      "the longest key counts",
      { "quay.io": auth("a", "1"), "quay.io/ns": auth("b", "2"), "quay.io/ns/repo": auth("c", "3") },
      "c",
    ],
    [
      "the whole name counts before that",
      { "quay.io/ns/repo": auth("c", "3"), "quay.io/ns/repo/os": auth("d", "4") },
      "d",
    ],
    ["only whole components count", { "quay.io/n": auth("a", "1"), "quay.io/ns/rep": auth("b", "2") }, undefined],
    ["the host counts", { "quay.io": auth("a", "1"), "example.org": auth("b", "2") }, "a"],
    ["Docker's addresses count as hosts", { "https://quay.io/v1/": auth("a", "1") }, "a"],
    [
      "a plain host counts before an address",
      { "quay.io": auth("a", "1"), "https://quay.io/v1/": auth("b", "2") },
      "a",
    ],
    [
      "a plain host counts before an address that stands before it",
      { "https://quay.io/v1/": auth("b", "2"), "quay.io": auth("a", "1") },
      "a",
    ],
    ["an empty entry of the best key ends the search", { "quay.io": auth("a", "1"), "quay.io/ns": {} }, undefined],
    ["an entry without a colon is none", { "quay.io": { auth: Buffer.from("abc").toString("base64") } }, undefined],
    ["an entry without a user is none", { "quay.io": auth("", "x") }, undefined],
    ["nothing is there", {}, undefined],
  ])("%s", (_, auths, user) => {
    const found = parse({ auths }).find(os);
    expect(found?.kind === "password" ? found.user : undefined).toBe(user);
  });

  test("a password may hold colons; NULs at its end are dropped", () => {
    expect(parse({ auths: { "quay.io": auth("a", "b:c\0\0") } }).find(os)).toEqual({
      ...{ kind: "password", user: "a", password: "b:c" },
    });
  });

  test("an identity token counts before the user that stands beside it", () => {
    expect(parse({ auths: { "quay.io": { ...auth("a", ""), identitytoken: "t" } } }).find(os)).toEqual({
      ...{ kind: "identity-token", token: "t" },
    });
  });

  test("Docker Hub has several names", () => {
    const hub = { host: "docker.io", repository: "library/os" };
    for (const name of ["https://index.docker.io/v1/", "registry-1.docker.io", "docker.io"]) {
      expect(parse({ auths: { [name]: auth("a", "1") } }).find(hub)).toMatchObject({ user: "a" });
    }
  });

  test("the programs that keep credentials: one for a host, one for all", () => {
    const file = parse({
      credHelpers: { "quay.io": "ecr-login", "https://index.docker.io/v1/": "hub" },
      credsStore: "ring",
    });
    expect([file.helperOf("quay.io.example.org"), file.helperOf("quay.io:5000")]).toEqual([undefined, undefined]);
    expect([file.helperOf("quay.io"), file.helperOf("docker.io"), file.helperOf("example.org")]).toEqual([
      ...["ecr-login", "hub", undefined],
    ]);
    expect(file.store).toBe("ring");
    expect(file.find(os)).toBeUndefined();
    expect(parse({}).helperOf("quay.io")).toBeUndefined();
  });

  test("base64 may have line ends and lack its padding; what is none is an error that does not show it", () => {
    const { auth: padded } = auth("ann", "1234");
    for (const text of [padded, `${padded}\n`, padded.replace(/=+$/, "")]) {
      expect(parse({ auths: { "quay.io": { auth: text } } }).find(os)).toMatchObject({ user: "ann", password: "1234" });
    }
    for (const text of ["!!!", "ann:1234", `${padded}=x`]) {
      const file = parse({ auths: { "quay.io": { auth: text }, "a.b": auth("b", "2") } });
      expect(() => file.find(os)).toThrow(/^Cannot read auth.json: auths.quay.io.auth is not base64$/);
      expect(file.find({ ...os, host: "a.b" })).toMatchObject({ user: "b" });
    }
  });

  test.each(["{", "", '{"auths":[]}', '{"auths":{"quay.io":7}}', '{"auths":{"quay.io":{"auth":7}}}'])(
    "refuses %j",
    (text) => {
      expect(() => parseAuthFile(Buffer.from(text), "auth.json").find(os)).toThrow(/^Cannot read auth.json: /);
    },
  );
});

test("parseOldAuthFile: the whole object is the entries, by host or address", () => {
  const bytes = Buffer.from(JSON.stringify({ "https://quay.io/v1/": auth("a", "1"), "example.org/x": auth("b", "2") }));
  const file = parseOldAuthFile(bytes, ".dockercfg");
  expect(file.find(os)).toMatchObject({ user: "a" });
  expect(file.find({ host: "example.org", repository: "y" })).toMatchObject({ user: "b" });
  expect([file.helperOf("quay.io"), file.store]).toEqual([undefined, undefined]);
});

test("parseCredentials: USER:PASSWORD, and nothing of it in the error", () => {
  expect(parseCredentials("a:b:c")).toEqual({ user: "a", password: "b:c" });
  for (const text of ["secret", ":secret", ""]) {
    expect(() => parseCredentials(text)).toThrow("Cannot use the credentials: write them as USER:PASSWORD");
  }
});
