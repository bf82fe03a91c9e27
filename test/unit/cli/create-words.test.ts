import { Command } from "commander";
import { describe, expect, test } from "vitest";
import { type CreateOptions, createRequest, readCreateWords } from "../../../src/cli/create-words.ts";
import { FakeCliIo } from "../../fakes/fake-cli-io.ts";

const command = new Command("create").usage("SOURCE IMAGE");
const usage = "\nUsage: create SOURCE IMAGE";

describe("readCreateWords", () => {
  test.each<readonly [readonly string[], CreateOptions, string]>([
    [[], {}, `No source path specified${usage}`],
    [["a"], {}, `No destination path specified${usage}`],
    [["a", "b", "c"], {}, `Too many arguments${usage}`],
    [["a", "b"], { printDigestOnly: true }, `Cannot specify destination path with --print-digest-only${usage}`],
    [["", "b"], {}, "Empty source path specified"],
    [[], { minVersion: "x" }, "Invalid min version x"],
    [[], { maxVersion: "1x" }, "Invalid max version 1x"],
    [[], { threads: "" }, "Invalid threads count "],
    [[], { threads: "0" }, "Invalid threads count 0"],
    [[], { threads: "-3" }, "Invalid threads count -3"],
    [[], { minVersion: "\u00a01" }, "Invalid min version \u00a01"],
    [[], { maxVersion: "+-1" }, "Invalid max version +-1"],
  ])("readCreateWords: %j with %j is refused in mkcomposefs's words", (words, options, text) => {
    expect(() => readCreateWords(words, options, command)).toThrow(expect.objectContaining({ message: text }));
  });

  // Tried with mkcomposefs 1.0.8: where only one of both is given, the other one is 0.
  test.each<readonly [CreateOptions, number, number]>([
    [{}, 0, 1],
    [{ maxVersion: "0" }, 0, 0],
    [{ maxVersion: "1" }, 0, 1],
    [{ minVersion: "0" }, 0, 0],
    [{ minVersion: "1" }, 1, 1],
    [{ minVersion: "1", maxVersion: "0" }, 1, 1],
    [{ minVersion: " \t\n\v\f\r+1", threads: "3" }, 1, 1],
    [{ minVersion: "-1" }, 4294967295, 4294967295],
    [{ maxVersion: "-1" }, 0, 4294967295],
    [{ maxVersion: "99999999999999999999" }, 0, 4294967295],
    [{ minVersion: "-99999999999999999999" }, 0, 0],
  ])("readCreateWords: the versions for %j are %i to %i", (options, min, max) => {
    expect(readCreateWords(["a", "b"], options, command).version).toEqual({ min, max });
  });

  test("readCreateWords: only for the digest no image is needed", () => {
    const words = readCreateWords(["a"], { printDigestOnly: true }, command);
    expect([words.source, words.image]).toEqual(["a", undefined]);
  });
});

describe("createRequest", () => {
  const version = { min: 0, max: 1 };

  test("createRequest: a directory with all its options", async () => {
    const options: CreateOptions = { digestStore: "/o", useEpoch: true, skipDevices: true, userXattrs: true };
    expect(await createRequest({ source: "/d", image: "/i", version }, options, new FakeCliIo())).toEqual({
      source: { kind: "directory", path: "/d", digestStore: "/o", useEpoch: true, skipDevices: true, xattrs: "user" },
      version,
      output: "/i",
    });
  });

  test("createRequest: which xattrs are stored; mkcomposefs refuses to leave out all and store the user's", async () => {
    const xattrs = async (options: CreateOptions) =>
      (await createRequest({ source: "/d", image: undefined, version }, options, new FakeCliIo())).source;
    expect(await xattrs({ skipXattrs: true })).toMatchObject({ xattrs: "none" });
    expect(await xattrs({ userXattrs: true })).toMatchObject({ xattrs: "user" });
    await expect(xattrs({ skipXattrs: true, userXattrs: true })).rejects.toThrow(
      "error accessing /d: Invalid argument",
    );
    expect(await xattrs({})).toMatchObject({ xattrs: "all", digestStore: undefined });
  });

  test("createRequest: a dump is read strictly when CFS_PARSE_STRICT is in the environment, even if empty", async () => {
    const io = new FakeCliIo({ environment: { CFS_PARSE_STRICT: "" }, stdin: Uint8Array.of(1) });
    expect(await createRequest({ source: "-", image: "-", version }, { fromFile: true }, io)).toEqual({
      source: { kind: "dump", bytes: Uint8Array.of(1), strict: true },
      version,
      output: undefined,
    });
    expect(
      await createRequest({ source: "f", image: "-", version }, { fromFile: true }, new FakeCliIo()),
    ).toMatchObject({ source: { kind: "dump-file", path: "f", strict: false } });
  });
});
