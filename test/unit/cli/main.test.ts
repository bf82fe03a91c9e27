import { spawn, spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const built = fileURLToPath(new URL("../../../dist/cli/main.js", import.meta.url));
const source = (name: string): string => readFileSync(new URL(`../../../src/cli/${name}`, import.meta.url), "utf8");

test("main: the version is answered without loading anything but the version", () => {
  const imports = (text: string): readonly string[] =>
    [...text.matchAll(/^import .*"(.*)";$/gm)].map((match) => match[1] ?? "");
  expect([imports(source("main.ts")), imports(source("version.ts"))]).toEqual([["./version.ts"], []]);
});

describe.skipIf(!existsSync(built))("the built program (made by npm run build)", () => {
  const run = (...argv: readonly string[]) => spawnSync(process.execPath, [built, ...argv], { encoding: "utf8" });

  test("main: prints the version, help, and a failure with its status", () => {
    expect(run("--version")).toMatchObject({ status: 0, stdout: "0.1.0\n", stderr: "" });
    expect(run("--help").stdout).toMatch(/^Usage: osdeploy /);
    expect(run("nope")).toMatchObject({
      status: 2,
      stdout: "",
      stderr: expect.stringMatching(/^osdeploy: Cannot run/),
    });
  });

  test("main: a reader that goes away is no error, and the status is a shell's for SIGPIPE", async () => {
    const child = spawn(process.execPath, [built, "--help"], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.destroy();
    let errors = "";
    child.stderr.on("data", (chunk) => {
      errors += chunk;
    });
    const status = await new Promise((resolve) => child.on("close", resolve));
    expect([status, errors]).toEqual([141, ""]);
  });

  test.each(["--version", "--help"])(
    "main: %s that cannot be written is told, and has the status of its cause",
    (word) => {
      const full = openSync("/dev/full", "w");
      const { status, stderr } = spawnSync(process.execPath, [built, word], {
        stdio: ["ignore", full, "pipe"],
        encoding: "utf8",
      });
      closeSync(full);
      expect([status, stderr]).toEqual([
        12,
        expect.stringMatching(/^osdeploy: Cannot write "standard output": .*\(ENOSPC\)\n/),
      ]);
    },
  );

  test("main: a failure that nobody can be told has its status", () => {
    const full = openSync("/dev/full", "w");
    const { status } = spawnSync(process.execPath, [built, "nope"], { stdio: ["ignore", "ignore", full] });
    closeSync(full);
    expect(status).toBe(2);
  });
});
