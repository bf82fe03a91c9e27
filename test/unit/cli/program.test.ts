import { describe, expect, test } from "vitest";
import { runMain } from "../../../src/cli/run-main.ts";
import { FakeCliIo } from "../../fakes/fake-cli-io.ts";

async function run(argv: readonly string[], terminal = 80) {
  const io = new FakeCliIo({ terminal });
  const status = await runMain(argv, io);
  return { status, out: io.stdout.text, err: io.stderr.text };
}

describe("help", () => {
  test.each([
    [["help", "bogus"], "osdeploy"],
    [["--help", "bogus"], "osdeploy"],
    [["bogus", "--help"], "osdeploy"],
    [["help", "image", "bogus"], "osdeploy image"],
    [["image", "--help", "bogus"], "osdeploy image"],
  ])("runMain: %j asks for the help of no command", async (argv, command) => {
    expect(await run(argv)).toEqual({
      status: 2,
      out: "",
      err: `osdeploy: Cannot run ${command}: unknown command 'bogus'\nhint: See: ${command} --help\n`,
    });
  });

  test.each([
    [["pull", "--help", "--bogus"], "osdeploy pull"],
    [["image", "--bogus", "--help"], "osdeploy image"],
    [["--help", "--bogus"], "osdeploy"],
  ])("runMain: %j asks for help with an option that is not there", async (argv, command) => {
    expect(await run(argv)).toMatchObject({
      status: 2,
      err: `osdeploy: Cannot run ${command}: unknown option '--bogus'\nhint: See: ${command} --help\n`,
    });
  });

  test.each([
    [["--help", "pull", "--repo", "x"]],
    [["lab", "ssh", "--help", "--", "--bogus"]],
    [["pull", "-h", "--repo", "x"]],
    [["help"]],
    [["help", "pull"]],
    [["--help", "pull"]],
    [["help", "image"]],
    [["image", "ls", "--help", "x"]],
  ])("runMain: %j gives help", async (argv) => {
    expect(await run(argv)).toMatchObject({ status: 0, out: expect.stringMatching(/^Usage: osdeploy /) });
  });

  test("runMain: the help of a group begins with a sentence, as that of a command does", async () => {
    const { out } = await run(["image", "--help"], 80);
    expect(out).toContain("\n\nLook into images, and send them elsewhere.\n\nOptions:\n");
    expect(out).toContain("  inspect            show an image's digests");
  });

  test.each([40, 60, 80])("runMain: in %i columns options wrap as the text above them does", async (columns) => {
    for (const argv of [["help", "pull"], ["help"]]) {
      const [help = ""] = (await run(argv, columns)).out.split("Examples:");
      const wide = help.split("\n").filter((line) => line.length > columns);
      expect(wide).toEqual([]);
    }
  });
});
