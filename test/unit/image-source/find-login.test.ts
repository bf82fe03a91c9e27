import { describe, expect, test } from "vitest";
import { fromText, toText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { authFilePaths, findLogin, type LoginPlaces } from "../../../src/image-source/find-login.ts";
import type { LinuxPrograms } from "../../../src/linux/linux.ts";
import { machineWithFiles } from "../../builders/configuration.ts";

const auth = (user: string, password: string) => ({ auth: Buffer.from(`${user}:${password}`).toString("base64") });
const os = { host: "quay.io", repository: "ns/os" };
const places: LoginPlaces = {
  ...{ explicit: undefined, environment: { variables: { HOME: "/h", TOKEN: "x" }, userId: 7 }, helpers: undefined },
};

async function userFrom(files: Readonly<Record<string, unknown>>, changes: Partial<LoginPlaces> = {}, name = os) {
  const found = await findLogin(name, machineWithFiles(files), { ...places, ...changes });
  return found?.kind === "password" ? found.user : found?.kind;
}

describe("authFilePaths", () => {
  const paths = (variables: Readonly<Record<string, string>>) =>
    authFilePaths({ variables, userId: 7 }).map(({ path }) => toText(path));
  const ofMachine = ["/run/osdeploy", "/etc/osdeploy", "/run/ostree", "/etc/ostree", "/usr/lib/ostree"].map(
    (directory) => `${directory}/auth.json`,
  );

  test.each([
    [{ REGISTRY_AUTH_FILE: "/x/auth.json", HOME: "/h" }, ["/x/auth.json"]],
    [
      { HOME: "/h" },
      [
        "/run/containers/7/auth.json",
        ...ofMachine,
        ...["/h/.config/containers/auth.json", "/h/.docker/config.json", "/h/.dockercfg"],
      ],
    ],
    [
      { HOME: "/h", XDG_RUNTIME_DIR: "/r", XDG_CONFIG_HOME: "/c", DOCKER_CONFIG: "/d" },
      ["/r/containers/auth.json", ...ofMachine, "/c/containers/auth.json", "/d/config.json", "/h/.dockercfg"],
    ],
    [
      {},
      [
        "/run/containers/7/auth.json",
        ...ofMachine,
        ...["/root/.config/containers/auth.json", "/root/.docker/config.json", "/root/.dockercfg"],
      ],
    ],
  ])("%j", (variables, expected) => {
    expect(paths(variables)).toEqual(expected);
  });
});

describe("findLogin: files", () => {
  test("a file that was named counts alone, whatever helpers are configured", async () => {
    const files = { "/x.json": { auths: { "quay.io": auth("named", "1") } } };
    for (const helpers of [[], ["ring"], ["ring", "containers-auth.json"]]) {
      expect(await userFrom(files, { explicit: fromText("/x.json"), helpers })).toBe("named");
    }
  });

  test("each place serves, and an earlier one counts before a later one", async () => {
    const all = authFilePaths(places.environment);
    for (const [index, { path, isOld }] of all.entries()) {
      const entry = { "quay.io": auth(`user${index}`, "1") };
      const files: Record<string, unknown> = { [toText(path)]: isOld ? entry : { auths: entry } };
      expect(await userFrom(files)).toBe(`user${index}`);
      const next = all[index + 1];
      if (next === undefined) continue;
      const other = { "quay.io": auth("other", "1") };
      files[toText(next.path)] = next.isOld ? other : { auths: other };
      expect(await userFrom(files)).toBe(`user${index}`);
    }
  });

  test("a file without an entry for the host is passed over, and so is an entry without credentials", async () => {
    expect(
      await userFrom({
        "/run/containers/7/auth.json": { auths: { "example.org": auth("a", "1") } },
        "/etc/osdeploy/auth.json": { auths: { "quay.io": {} } },
        "/h/.docker/config.json": { auths: { "quay.io": auth("c", "3") } },
      }),
    ).toBe("c");
  });

  test("a symlink is followed, as bootc's documentation has it; one that leads nowhere is nothing", async () => {
    const linux = machineWithFiles({
      "/usr/share/auth.json": { auths: { "quay.io": auth("a", "1") } },
      "/etc/ostree/x": "",
    });
    linux.files.symlink(fromText("/usr/share/auth.json"), fromText("/etc/ostree/auth.json"));
    expect(await findLogin(os, linux, places)).toMatchObject({ user: "a" });
    linux.files.unlink(fromText("/usr/share/auth.json"));
    expect(await findLogin(os, linux, places)).toBeUndefined();
  });

  test("what only root may read holds nothing for others; a user's own file that cannot be read is an error", async () => {
    const refused = (secret: string) => {
      const linux = machineWithFiles({ [secret]: {} });
      const open: typeof linux.files.open = (path, mode, permissions) => {
        if (toText(path) === secret) throw new OsdeployError("permission-denied", `Cannot open ${secret}`);
        return linux.files.open(path, mode, permissions);
      };
      return findLogin(os, { ...linux, programs: linux.programs, files: { ...linux.files, open } }, places);
    };
    expect(await refused("/etc/osdeploy/auth.json")).toBeUndefined();
    await expect(refused("/h/.docker/config.json")).rejects.toThrow("Cannot open /h/.docker/config.json");
  });

  test("the file of --authfile stands for all others, and has to be there", async () => {
    const files = { "/x": { auths: {} }, "/h/.docker/config.json": { auths: { "quay.io": auth("c", "3") } } };
    expect(await userFrom(files, { explicit: fromText("/x") })).toBeUndefined();
    await expect(userFrom({}, { explicit: fromText("/x") })).rejects.toThrow(
      expect.objectContaining({ code: "not-found", message: 'Cannot read the login file "/x": there is no such file' }),
    );
  });

  test("an empty file is an error that names it", async () => {
    await expect(userFrom({ "/etc/ostree/auth.json": "" })).rejects.toThrow(
      "Cannot read /etc/ostree/auth.json: it is not JSON",
    );
  });
});

describe("findLogin: programs that keep credentials", () => {
  const asked: string[] = [];
  const answers: Readonly<Record<string, { readonly status: number; readonly text: string }>> = {
    "docker-credential-ring": { status: 0, text: '{"ServerURL":"x","Username":"ann","Secret":"s3cret"}' },
    "docker-credential-token": { status: 0, text: '{"ServerURL":"x","Username":"<token>","Secret":"t"}' },
    "docker-credential-empty": { status: 1, text: "credentials not found in native keychain\n" },
    "docker-credential-locked": { status: 1, text: "the key\nring is\u001b[1m locked" },
    "docker-credential-silent": { status: 3, text: "" },
    "docker-credential-stopped": { status: 143, text: "" },
    "docker-credential-odd": { status: 0, text: "s3cret" },
    "docker-credential-blank": { status: 0, text: '{"Username":"ann","Secret":""}' },
    "docker-credential-nobody": { status: 0, text: '{"Username":"","Secret":"s3cret"}' },
  };
  const runProgram: LinuxPrograms["run"] = ([program, ...rest], options = {}) => {
    const answer = answers[program];
    asked.push(
      [
        program,
        ...rest,
        Buffer.from(options.input ?? []).toString(),
        Object.values(options.environment ?? {}).at(-1),
      ].join(" "),
    );
    if (answer === undefined) throw new OsdeployError("not-found", `Cannot run ${program}: there is no such program`);
    return { status: answer.status, stdout: Buffer.from(answer.text), stderr: "" };
  };
  const find = (files: Readonly<Record<string, unknown>>, changes: Partial<LoginPlaces> = {}, name = os) => {
    asked.length = 0;
    return findLogin(name, machineWithFiles(files, { runProgram }), { ...places, ...changes });
  };
  const config = "/h/.docker/config.json";

  test("credHelpers: the program of the host is asked for it, with this process's environment", async () => {
    expect(await find({ [config]: { credHelpers: { "quay.io": "ring" } } })).toEqual({
      ...{ kind: "password", user: "ann", password: "s3cret" },
    });
    expect(asked).toEqual(["docker-credential-ring get quay.io x"]);
    expect(await find({ [config]: { credHelpers: { "quay.io": "token" } } })).toEqual({
      kind: "identity-token",
      token: "t",
    });
  });

  test("credHelpers: its answer is final for this file, and only for this one", async () => {
    const auths = { "quay.io/ns": auth("b", "2") };
    const ofOrder = { "/etc/osdeploy/auth.json": { auths, credHelpers: { "quay.io": "empty" } } };
    expect(await find(ofOrder)).toBeUndefined();
    expect(await find({ ...ofOrder, [config]: { auths } })).toMatchObject({ user: "b" });
  });

  test("credsStore: asked for all hosts, under Docker's name for its hub; what it lacks, the file may have", async () => {
    expect(
      await find({ [config]: { credsStore: "ring" } }, {}, { host: "docker.io", repository: "library/os" }),
    ).toMatchObject({
      user: "ann",
    });
    expect(asked).toEqual(["docker-credential-ring get https://index.docker.io/v1/ x"]);
    const auths = { "quay.io": auth("b", "2") };
    expect(await find({ [config]: { auths, credsStore: "empty" } })).toMatchObject({ user: "b" });
    expect(await find({ [config]: { auths, credsStore: "desktop" } })).toMatchObject({ user: "b" });
    await expect(find({ [config]: { auths, credsStore: "locked" } })).rejects.toThrow("the key ring is [1m locked");
  });

  test("credential-helpers of registries.conf come first, and name the files among them", async () => {
    const files = { [config]: { auths: { "quay.io": auth("b", "2") } } };
    expect(await find(files, { helpers: ["ring", "containers-auth.json"] })).toMatchObject({ user: "ann" });
    expect(await find(files, { helpers: ["empty", "containers-auth.json"] })).toMatchObject({ user: "b" });
    expect(await find(files, { helpers: ["containers-auth.json", "ring"] })).toMatchObject({ user: "b" });
    expect(await find(files, { helpers: ["empty"] })).toBeUndefined();
    expect(await find(files, { helpers: [] })).toBeUndefined();
  });

  test.each([
    ["locked", "unauthorized", "docker-credential-locked: the key ring is [1m locked"],
    ["silent", "unauthorized", "docker-credential-silent: it ended with status 3"],
    ["stopped", "interrupted", "docker-credential-stopped: it was stopped"],
    ["odd", "bad-format", "it is not JSON"],
    ["gone", "not-found", "Cannot run docker-credential-gone: there is no such program"],
    ["../evil", "bad-format", "it is no helper's name"],
  ])("%s: an error that says what is wrong, and never the secret", async (helper, code, message) => {
    const attempt = () => find({ [config]: { credHelpers: { "quay.io": helper } } });
    await expect(attempt()).rejects.toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
    await expect(attempt()).rejects.not.toThrow("s3cret");
  });

  test("a signal ends it", async () => {
    const linux = machineWithFiles({ [config]: { credHelpers: { "quay.io": "ring" } } }, { runProgram });
    const { signal } = new AbortController();
    const seen: unknown[] = [];
    const runAside: LinuxPrograms["runAside"] = async (words, options) => {
      seen.push(options?.signal, options?.limitSeconds);
      return runProgram(words, options);
    };
    await findLogin(
      os,
      { ...linux, files: linux.files, programs: { ...linux.programs, runAside } },
      { ...places, signal },
    );
    expect(seen).toEqual([signal, 30]);
  });

  test.each(["blank", "nobody"])("%s: an answer without a user or a secret is none", async (helper) => {
    expect(await find({ [config]: { credHelpers: { "quay.io": helper } } })).toBeUndefined();
  });
});
