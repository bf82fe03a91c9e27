import { describe, expect, test } from "vitest";
import { fromText, toText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import {
  authFilePaths,
  findCredentials,
  parseAuthFile,
  parseCredentials,
} from "../../../src/image-source/auth-file.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";

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
    ["an empty entry of the best key ends the search", { "quay.io": auth("a", "1"), "quay.io/ns": {} }, undefined],
    ["an entry without a colon is none", { "quay.io": { auth: Buffer.from("abc").toString("base64") } }, undefined],
    ["an entry without a user is none", { "quay.io": auth("", "x") }, undefined],
    ["nothing is there", {}, undefined],
  ])("%s", (_, auths, found) => {
    expect(parse({ auths }).find(os)?.user).toBe(found);
  });

  test("a password may hold colons; NULs at its end are dropped", () => {
    expect(parse({ auths: { "quay.io": auth("a", "b:c\0\0") } }).find(os)).toEqual({ user: "a", password: "b:c" });
  });

  test("Docker Hub has several names", () => {
    const hub = { host: "docker.io", repository: "library/os" };
    expect(parse({ auths: { "https://index.docker.io/v1/": auth("a", "1") } }).find(hub)?.user).toBe("a");
  });

  test("a file without logins is fine", () => {
    expect(parse({ credsStore: "desktop" }).find(os)).toBeUndefined();
  });

  test.each(["{", '{"auths":[]}', '{"auths":{"quay.io":7}}', '{"auths":{"quay.io":{"auth":7}}}'])(
    "refuses %s",
    (text) => {
      expect(() => parseAuthFile(Buffer.from(text), "auth.json").find(os)).toThrow(/^Cannot read auth.json: /);
    },
  );
});

describe("authFilePaths", () => {
  const paths = (variables: Readonly<Record<string, string>>) => authFilePaths({ variables, userId: 7 }).map(toText);

  test.each([
    [{ REGISTRY_AUTH_FILE: "/x/auth.json", HOME: "/h" }, ["/x/auth.json"]],
    [{ HOME: "/h" }, ["/run/containers/7/auth.json", "/h/.config/containers/auth.json", "/h/.docker/config.json"]],
    [
      { HOME: "/h", XDG_RUNTIME_DIR: "/r", XDG_CONFIG_HOME: "/c", DOCKER_CONFIG: "/d" },
      ["/r/containers/auth.json", "/c/containers/auth.json", "/d/config.json"],
    ],
    [{}, ["/run/containers/7/auth.json", "/root/.config/containers/auth.json", "/root/.docker/config.json"]],
  ])("%j", (variables, expected) => {
    expect(paths(variables)).toEqual(expected);
  });
});

describe("findCredentials", () => {
  /** Files that exist, by path; all else is as on this machine, where these are not. */
  function filesWith(contents: Readonly<Record<string, unknown>>) {
    const { files } = openLinux();
    const bytesOf = (path: string) => Buffer.from(JSON.stringify(contents[path]));
    return {
      ...files,
      lstatIfExists: (path: string) => (path in contents ? files.lstat(fromText("/")) : undefined),
      readFile: (path: string) => {
        if (path in contents) return bytesOf(path);
        throw new OsdeployError("not-found", `Cannot open ${path}`);
      },
    };
  }
  const from = { explicit: undefined, environment: { variables: { HOME: "/h" }, userId: 7 } };

  test("the first file with an entry counts", () => {
    const files = filesWith({
      "/run/containers/7/auth.json": { auths: { "example.org": auth("a", "1") } },
      "/h/.config/containers/auth.json": { auths: { "quay.io": auth("b", "2") } },
      "/h/.docker/config.json": { auths: { "quay.io": auth("c", "3") } },
    });
    expect(findCredentials(os, files, from)?.user).toBe("b");
  });

  test("no files, no credentials; but the file of --authfile has to be there", () => {
    expect(findCredentials(os, filesWith({}), from)).toBeUndefined();
    expect(() => findCredentials(os, filesWith({}), { ...from, explicit: fromText("/x") })).toThrow("Cannot open /x");
  });

  test("the file of --authfile stands for all others", () => {
    const files = filesWith({
      "/x": { auths: {} },
      "/h/.docker/config.json": { auths: { "quay.io": auth("c", "3") } },
    });
    expect(findCredentials(os, files, { ...from, explicit: fromText("/x") })).toBeUndefined();
  });
});

test("parseCredentials: USER:PASSWORD, and nothing of it in the error", () => {
  expect(parseCredentials("a:b:c")).toEqual({ user: "a", password: "b:c" });
  for (const text of ["secret", ":secret", ""]) {
    expect(() => parseCredentials(text)).toThrow("Cannot use the credentials: write them as USER:PASSWORD");
  }
});
