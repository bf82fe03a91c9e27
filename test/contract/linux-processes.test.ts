import { afterEach, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import type { Linux, StartedProgram } from "../../src/linux/linux.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { failure, implementations, MachineOfTest } from "../builders/linux-machines.ts";
import { FakeLinux, type FakeLinuxOptions } from "../fakes/fake-linux.ts";

/** As far as this contract goes, a machine with two programs. */
const twoPrograms: FakeLinuxOptions = {
  startProgram: ([program]) => {
    if (program !== "sh") throw missing(program);
  },
  attachProgram: ([program, , script = ""]) => {
    if (program !== "sh") throw missing(program);
    return Number(script.replace("exit ", ""));
  },
};

function missing(program: string): OsdeployError {
  return new OsdeployError("not-found", `Cannot run ${program}: there is no such program`);
}

const machines: readonly { readonly name: string; readonly open: () => Linux }[] = [
  { name: "live", open: openLinux },
  { name: "fake", open: () => new FakeLinux(twoPrograms) },
];

const nowhere = { output: fromText("/dev/null") };
const longRun = ["sh", "-c", "exec sleep 60"] as const;

describe.each(machines)("programs of $name Linux", ({ open }) => {
  const programs = open().programs;
  const started: StartedProgram[] = [];
  afterEach(() => {
    for (const program of started.splice(0)) programs.signal(program, "SIGKILL");
  });

  function start(): StartedProgram {
    const program = programs.start(longRun, nowhere);
    started.push(program);
    return program;
  }

  async function ended(program: StartedProgram): Promise<boolean> {
    for (let tries = 0; tries < 200 && programs.isRunning(program); tries++) {
      await new Promise((done) => setTimeout(done, 10));
    }
    return !programs.isRunning(program);
  }

  test.each(["SIGTERM", "SIGKILL"] as const)("start: runs until %s", async (name) => {
    const [one, other] = [start(), start()];
    expect(one.pid).not.toBe(other.pid);
    expect(programs.isRunning(one)).toBe(true);
    expect(programs.signal(one, name)).toBe(true);
    expect(await ended(one)).toBe(true);
    expect(programs.isRunning(other)).toBe(true);
    expect(programs.signal(one, name)).toBe(false);
  });

  test("isRunning, signal: never mean another program that has the number", () => {
    const program = start();
    const other = { ...program, startTicks: program.startTicks + 1 };
    expect(programs.isRunning(other)).toBe(false);
    expect(programs.signal(other, "SIGKILL")).toBe(false);
    expect(programs.isRunning(program)).toBe(true);
    expect(programs.isRunning({ pid: 2 ** 30, startTicks: 1 })).toBe(false);
  });

  test("start, attach: refuse a program that is not there", async () => {
    const refused = { code: "not-found", message: "Cannot run no-such-program: there is no such program" };
    expect(failure(() => programs.start(["no-such-program"], nowhere))).toMatchObject(refused);
    await expect(programs.attach(["no-such-program"])).rejects.toMatchObject(refused);
  });

  test("attach: gives the exit status", async () => {
    expect(await programs.attach(["sh", "-c", "exit 7"])).toBe(7);
    expect(await programs.attach(["sh", "-c", "exit 0"], { output: "stderr" })).toBe(0);
  });
});

describe("programs of live Linux alone", () => {
  const start = implementations.find(({ name }) => name === "live")?.start;
  if (start === undefined) throw new Error("there is a live implementation");
  const here = new MachineOfTest(start);

  test("attach: refuses a program in PATH that may not be run as one that is not there", async () => {
    here.write("plain", "no program\n");
    const { PATH: path } = process.env;
    process.env["PATH"] = here.machine.root;
    const refused = { code: "not-found", message: "Cannot run plain: there is none that this user may run" };
    await expect(here.machine.linux.programs.attach(["plain"])).rejects.toMatchObject(refused);
    process.env["PATH"] = path;
  });

  test("start: output goes to the end of the file; variables are set, and no others are handed on", async () => {
    const { programs } = here.machine.linux;
    here.write("log", "before\n");
    const words = ["sh", "-c", 'echo out "$HERE$OSDEPLOY_SECRET"; echo err >&2; cat'] as const;
    process.env["OSDEPLOY_SECRET"] = "secret";
    const program = programs.start(words, { output: here.at("log"), environment: { HERE: "there" } });
    delete process.env["OSDEPLOY_SECRET"];
    for (let tries = 0; tries < 200 && programs.isRunning(program); tries++) {
      await new Promise((done) => setTimeout(done, 10));
    }
    expect(here.text("log")).toBe("before\nout there\nerr\n");
  });

  test("attach: a signal's status is 128 and its number", async () => {
    expect(await here.machine.linux.programs.attach(["sh", "-c", "kill -9 $$"])).toBe(137);
  });

  test("attach: a program that is asked to stop ends by SIGTERM", async () => {
    const stop = new AbortController();
    const ended = here.machine.linux.programs.attach(["sleep", "60"], { signal: stop.signal });
    stop.abort();
    expect(await ended).toBe(143);
  });

  test("attach: this process goes on while the program runs", async () => {
    const ended = here.machine.linux.programs.attach([
      "sh",
      "-c",
      'until [ -e "$0" ]; do sleep 0.01; done',
      here.at("sign"),
    ]);
    here.write("sign", "");
    expect(await ended).toBe(0);
  });
});
