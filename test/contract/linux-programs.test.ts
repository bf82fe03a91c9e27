import { describe, expect, test, vi } from "vitest";
import { fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import type { LinuxPrograms } from "../../src/linux/linux.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { FakeLinux } from "../fakes/fake-linux.ts";

const { programs } = openLinux();

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8");

/** The code and the message of the error that running `words` ends in. */
function failure(words: readonly [string, ...string[]], options?: Parameters<LinuxPrograms["run"]>[1], of = programs) {
  try {
    of.run(words, options);
  } catch (error) {
    if (error instanceof OsdeployError) return { code: error.code, message: error.message };
    throw error;
  }
  return undefined;
}

test.each([
  ["live", programs],
  ["fake", new FakeLinux().programs],
])("run: a program that is not there is not found (%s)", (_, of) => {
  expect(failure(["no-such-program-anywhere"], {}, of)).toMatchObject({
    code: "not-found",
    message: expect.stringContaining("no-such-program-anywhere"),
  });
});

describe("run, live", () => {
  test("gives standard output in bytes, standard error as text, and the status", () => {
    const result = programs.run(["sh", "-c", "printf '\\377a'; printf 'b\\033' >&2; exit 3"]);
    expect(result.status).toBe(3);
    expect([...result.stdout]).toEqual([0xff, 0x61]);
    expect(result.stderr).toBe("b\u001b");
  });

  test("hands its input on, and an empty one without", () => {
    const input = toBytes(fromText("x".repeat(300_000)));
    expect(programs.run(["cat"], { input }).stdout).toHaveLength(300_000);
    expect(programs.run(["cat"]).stdout).toHaveLength(0);
  });

  test("takes words as they are: no shell reads them", () => {
    expect(text(programs.run(["printf", "%s|", "$HOME", "a b", "'", "*"]).stdout)).toBe("$HOME|a b|'|*|");
  });

  test("hands on PATH and HOME, a plain locale, and what is asked for, nothing else", () => {
    vi.stubEnv("OSDEPLOY_SECRET", "1");
    const lines = text(programs.run(["env"], { environment: { ASKED: "yes" } }).stdout)
      .trim()
      .split("\n");
    vi.unstubAllEnvs();
    const names = lines.map((line) => line.slice(0, line.indexOf("="))).sort();
    expect(names).toEqual(["ASKED", "HOME", "LC_ALL", "PATH"]);
    expect(lines).toContain("LC_ALL=C");
    expect(lines).toContain("ASKED=yes");
  });

  test("finds programs and a home where the environment names none", () => {
    for (const name of ["PATH", "HOME"]) vi.stubEnv(name, undefined);
    const lines = text(programs.run(["env"]).stdout);
    vi.unstubAllEnvs();
    expect(lines).toContain("PATH=/usr/sbin:/usr/bin:/sbin:/bin\n");
    expect(lines).toContain("HOME=/\n");
  });

  test("a program that a signal ends has the status that shells give it", () => {
    expect(programs.run(["sh", "-c", "kill -TERM $$"]).status).toBe(143);
  });

  test("a program that does not end is ended", () => {
    expect(failure(["sleep", "60"], { limitSeconds: 1 })).toEqual({
      code: "system",
      message: "Cannot run sleep: it did not end within 1 s",
    });
  });

  test("what is no program is told with the kernel's reason", () => {
    expect(failure(["/"])).toMatchObject({
      code: "system",
      message: expect.stringMatching(/^Cannot run \/: .*EACCES/),
    });
  });
});
