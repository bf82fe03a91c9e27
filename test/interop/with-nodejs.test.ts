import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { findTool, projectDir } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";

const directory = mkdtempSync(join(tmpdir(), "with-nodejs-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The version of the Node that a command gets on a machine whose own is `node`. */
function versionWith(node: string, tools?: string): ReturnType<typeof run> {
  const path = mkdtempSync(join(directory, "bin-"));
  symlinkSync(node, join(path, "node"));
  const environment = [`PATH=${path}:/usr/bin:/bin`, ...(tools === undefined ? [] : [`OSDEPLOY_TOOLS=${tools}`])];
  return run("env", [...environment, "sh", join(projectDir, "test/with-nodejs.sh"), "node", "--version"]);
}

describe("with-nodejs.sh", () => {
  const oldest = findTool("node-oldest");
  const newest = findTool("node-newest");
  const without = oldest && newest ? "" : " (skipped: needs node-oldest and node-newest, which test/setup.sh gets)";

  test("a Node that the test runner runs on is taken", () => {
    expect(versionWith(process.execPath, directory)).toMatchObject({ status: 0, stdout: `${process.version}\n` });
  });

  test.skipIf(without !== "")(`where it is older, the one that test/setup.sh got is taken${without}`, () => {
    const tools = dirname(dirname(newest ?? ""));
    const { stdout } = run(newest ?? "", ["--version"]);
    expect(versionWith(oldest ?? "", tools)).toMatchObject({ status: 0, stdout });
  });

  test.skipIf(without !== "")(`where there is none either, that is said${without}`, () => {
    const { status, stderr } = versionWith(oldest ?? "", directory);
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^error: The test runner needs Node 20\.19, 22\.12 /)]);
  });
});
