import { Command } from "commander";
import { expect, test } from "vitest";
import type { Voice } from "../../../src/cli/output/error-text.ts";
import { wordsError } from "../../../src/cli/words-error.ts";
import { OsdeployError } from "../../../src/core/errors.ts";

/** What the words of a command that knows `ls` and `--filter` get wrong, in the voice of a program. */
function mistakeIn(words: readonly string[], voice: Voice): string {
  const program = new Command("x").configureOutput({ outputError: () => undefined, writeErr: () => undefined });
  program.exitOverride().option("--filter <name>").command("ls");
  try {
    program.parse([...words], { from: "user" });
  } catch (error) {
    const told = wordsError(error, { name: "osdeploy x", voice, usage: "Usage: x" });
    if (told instanceof OsdeployError) return told.message;
  }
  return "";
}

test.each([
  [[""], "Unknown command ''"],
  [["=x"], "Unknown command '=x'"],
  [["a b"], "Unknown command 'a b'"],
  [["a=b"], "Unknown command 'a=b'"],
  [["it's"], "Unknown command 'it's'"],
  [["a\nb"], "Unknown command 'a\nb'"],
  [["lss"], "Unknown command 'lss'"],
  [["--xx=3"], "unrecognized option '--xx=3'"],
  [["--filterr"], "unrecognized option '--filterr'"],
  [["--a'<b> c"], "unrecognized option '--a'<b> c'"],
  [["-x"], "invalid option -- 'x'"],
  [["-xyz"], "invalid option -- 'x'"],
  [["--filter"], "option '--filter' requires an argument"],
])("wordsError: %j is told in composefs-info's words, whole", (words, text) => {
  const usage = text.startsWith("Unknown command") ? "" : "Usage: x";
  expect(mistakeIn(words, "composefs-info")).toBe(`composefs-info: ${text}\n${usage}`);
});

test.each([
  ["osdeploy", "Cannot run osdeploy x: unknown command 'lss' (Did you mean ls?)"],
  ["mkcomposefs", "Usage: x"],
] as const)("wordsError: %s has its own words for it", (voice, text) => {
  expect(mistakeIn(["lss"], voice)).toBe(text);
});
