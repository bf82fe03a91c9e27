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

test.each([
  ["live", programs],
  ["fake", new FakeLinux().programs],
])("runAside: a program that is not there is not found (%s)", async (_, of) => {
  await expect(of.runAside(["no-such-program-anywhere"])).rejects.toMatchObject({ code: "not-found" });
});

describe("runAside, live", () => {
  test("gives what run gives", async () => {
    const words = ["sh", "-c", "cat; printf '\\377a'; printf 'b\\033' >&2; exit 3"] as const;
    for (const input of [undefined, toBytes(fromText("x".repeat(300_000)))]) {
      const options = input === undefined ? {} : { input };
      expect(await programs.runAside(words, options)).toEqual(programs.run(words, options));
    }
    expect(text((await programs.runAside(["env"], { environment: { ASKED: "yes" } })).stdout)).toContain("ASKED=yes");
    expect((await programs.runAside(["true"])).status).toBe(0);
    expect((await programs.runAside(["sh", "-c", "kill -TERM $$"])).status).toBe(143);
  });

  test("a program that reads nothing of its input is no failure", async () => {
    const input = new Uint8Array(3_000_000);
    expect((await programs.runAside(["true"], { input })).status).toBe(0);
  });

  test("other things go on meanwhile", async () => {
    let isDone = false;
    const running = programs.runAside(["sleep", "0.2"]).then(() => {
      isDone = true;
    });
    await new Promise((done) => setTimeout(done, 50));
    expect(isDone).toBe(false);
    await running;
  });

  test("a program that does not end is ended", async () => {
    await expect(programs.runAside(["sleep", "60"], { limitSeconds: 0.2 })).rejects.toMatchObject({
      ...{ code: "system", message: "Cannot run sleep: it did not end within 0.2 s" },
    });
  });

  test("an abort ends it at once, also one that hears no signals and has children", async () => {
    const abort = new AbortController();
    const script = "trap '' TERM INT; echo $$; sleep 60; sleep 60";
    const running = programs.runAside(["sh", "-c", script], { signal: abort.signal });
    const start = performance.now();
    setTimeout(() => abort.abort(), 100);
    await expect(running).rejects.toMatchObject({
      ...{ code: "interrupted", message: "Cannot run sh to its end: it was interrupted" },
    });
    expect(performance.now() - start).toBeLessThan(5_000);
    await expect(programs.runAside(["true"], { signal: abort.signal })).rejects.toMatchObject({ code: "interrupted" });
  });

  test("what is no program is told with the kernel's reason", async () => {
    await expect(programs.runAside(["/"])).rejects.toMatchObject({
      ...{ code: "system", message: expect.stringMatching(/^Cannot run \/: .*EACCES/) },
    });
  });
});
