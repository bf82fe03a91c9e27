import { Command } from "commander";
import { expect, test } from "vitest";
import {
  addInfoOptions,
  addLeadingOptions,
  type InfoOptions,
  readFileWords,
  readInfoWords,
  refuseLeadingOptions,
} from "../../../src/cli/info-words.ts";

/** What the commands of a group make of its words. */
function read(...words: readonly string[]): unknown {
  let result: unknown;
  const group = new Command("composefs").exitOverride();
  addLeadingOptions(group);
  addInfoOptions(group.command("ls")).action((given: readonly string[], options: InfoOptions, command: Command) => {
    result = readInfoWords(given, options, command);
  });
  addInfoOptions(group.command("measure")).action(
    (given: readonly string[], options: InfoOptions, command: Command) => {
      result = readFileWords(given, options, command);
    },
  );
  group.command("create").action((_options: unknown, command: Command) => {
    refuseLeadingOptions(command);
    result = "made";
  });
  group.parse([...words], { from: "user" });
  return result;
}

test.each([
  [
    ["ls", "--filter=a", "--filter", "b", "--basedir=o", "x"],
    ["a", "b"],
  ],
  [
    ["--filter=a", "--basedir", "o", "ls", "--filter", "b", "x"],
    ["a", "b"],
  ],
  [["--basedir=before", "ls", "--basedir=o", "x", "--filter=a"], ["a"]],
  [["--basedir=o", "ls", "x"], []],
])("readInfoWords: %j has the options from before and behind the command's name", (words, filter) => {
  expect(read(...words)).toEqual({ images: ["x"], filter, baseDirectory: "o" });
});

test("readFileWords: looks at the filter before the name too", () => {
  expect(read("--filter=a", "measure", "x")).toEqual(["x"]);
  expect(() => read("--filter=a/b", "measure", "x")).toThrow("Filter must be a single name: a/b: Success");
});

test("refuseLeadingOptions: a command without these options takes none before its name", () => {
  expect(read("create")).toBe("made");
  for (const option of ["--filter=a", "--basedir=o"]) expect(() => read(option, "create")).toThrow("Usage: ");
});
