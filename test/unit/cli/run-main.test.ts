import { describe, expect, test } from "vitest";
import type { CommandRow } from "../../../src/cli/command-table.ts";
import type { DefineCommand } from "../../../src/cli/frame.ts";
import { repoOption, sysrootOption } from "../../../src/cli/options.ts";
import type { Voice } from "../../../src/cli/output/error-text.ts";
import { runMain } from "../../../src/cli/run-main.ts";
import { addSourceOptions } from "../../../src/cli/source-options.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { putFile } from "../../builders/tool-runs.ts";
import { FakeCliIo, type FakeCliIoOptions } from "../../fakes/fake-cli-io.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const linux = new FakeLinux({ now: 1_700_000_000_000 });

function row(words: CommandRow["words"], define: DefineCommand, voice?: Voice): CommandRow {
  return { words, summary: `does ${words.join(" ")}`, load: async () => ({ define }), ...(voice && { voice }) };
}

const showOptions: DefineCommand = (command, frame) =>
  addSourceOptions(command.addOption(repoOption()).addOption(sysrootOption()))
    .argument("<image>", "an image")
    .action((image: string, options) => frame.read(async () => ({ image, ...options }), { text: () => `${image}\n` }));

const table: readonly CommandRow[] = [
  row(["pull"], showOptions),
  row(["image", "ls"], (command, frame) => {
    command
      .description("Lists.")
      .action(() => frame.read(async () => frame.defaultRepo(), { text: (path) => `${path}\n` }));
  }),
  row(["image", "cat"], () => {
    throw new Error("This test did not expect the command to be loaded");
  }),
  row(["fail"], (command, frame) => {
    command.action(() =>
      frame.write(
        async () => {
          throw new OsdeployError("damaged", "Cannot use object ab: it is damaged", { facts: { object: "ab" } });
        },
        { text: () => "" },
      ),
    );
  }),
  row(["stop"], (command, frame) => {
    command.action(() =>
      frame.write(
        async (system) => {
          system.progress({ kind: "start", task: "pull", subject: "os" });
          (frame.io as FakeCliIo).stop("SIGTERM");
          throw new Error("the worker was stopped");
        },
        { text: () => "" },
      ),
    );
  }),
  row(["bug"], (command) => {
    command.action(() => {
      throw new TypeError("x is undefined");
    });
  }),
  row(["odd"], (command, frame) => {
    command.action(() => frame.read(async () => 1n, { text: () => Uint8Array.of(0xff), status: () => 8 }));
  }),
  row(
    ["composefs", "create"],
    (command, frame) => {
      command
        .option("--threads <n>")
        .argument("[source]")
        .action((source?: string) => {
          if (source === undefined) throw new OsdeployError("usage", "No source path specified");
          const message = source === "x" ? "Invalid empty path" : fromText(`error accessing ${source}`);
          return frame.read(async () => Promise.reject(new OsdeployError("bad-format", message)), { text: String });
        });
    },
    "mkcomposefs",
  ),
];

async function run(argv: readonly string[], options: FakeCliIoOptions = {}) {
  const io = new FakeCliIo({ linux, ...options });
  const status = await runMain(argv, io, table);
  return { status, out: io.stdout.text, err: io.stderr.text, io };
}

describe("words", () => {
  test("runMain: runs the named command and prints its value", async () => {
    expect(await run(["pull", "os:1"])).toMatchObject({ status: 0, out: "os:1\n", err: "" });
  });

  test("runMain: --json prints the value, whether it stands before or after the command", async () => {
    const expected = {
      image: "os:1",
      repo: "/r",
      sysroot: "/sysroot",
      tlsVerify: false,
      authfile: "/a",
      creds: "me:x",
    };
    const words = ["pull", "--repo", "/r", "--tls-verify=false", "--authfile=/a", "--creds", "me:x", "os:1"];
    for (const argv of [
      ["--json", ...words],
      [...words, "--json"],
    ]) {
      const { status, out } = await run(argv);
      expect([status, JSON.parse(out)]).toEqual([0, expected]);
    }
  });

  test.each([
    [[], "no command is named", "osdeploy"],
    [["pul", "x"], "unknown command 'pul' (Did you mean pull?)", "osdeploy"],
    [["image"], "no command is named", "osdeploy image"],
    [["image", "lss"], "unknown command 'lss' (Did you mean ls?)", "osdeploy image"],
    [["pull"], "missing required argument 'image'", "osdeploy pull"],
    [["pull", "a", "b"], "too many arguments for 'pull'. Expected 1 argument but got 2", "osdeploy pull"],
    [["pull", "--rep", "x"], "unknown option '--rep' (Did you mean --repo?)", "osdeploy pull"],
    [["pull", "a", "--repo", ""], "option '--repo <dir>' argument '' is invalid: it is empty", "osdeploy pull"],
    [
      ["pull", "a", "--tls-verify", "maybe"],
      "option '--tls-verify [bool]' argument 'maybe' is invalid: it is neither true nor false",
      "osdeploy pull",
    ],
    [
      ["pull", "--progress", "loud"],
      "option '--progress <mode>' argument 'loud' is invalid. Allowed choices are auto, terminal, plain, json, none",
      "osdeploy",
    ],
  ])("runMain: %j is refused with one line, a hint and status 2", async (argv, state, command) => {
    const { status, out, err } = await run(argv);
    expect(err).toBe(`osdeploy: Cannot run ${command}: ${state}\nhint: See: ${command} --help\n`);
    expect([status, out]).toEqual([2, ""]);
  });

  test("runMain: --version prints the version, also where main.ts did not see it", async () => {
    expect(await run(["--quiet", "--version"])).toMatchObject({ status: 0, out: "0.1.0\n" });
  });
});

describe("help", () => {
  test("runMain: the help lists all commands and loads none", async () => {
    const { status, out } = await run(["--help"]);
    expect(status).toBe(0);
    expect(out).toMatch(/ {2}pull +does pull\n {2}image +look into images[^\n]*\n/);
  });

  test.each([[["image", "--help"]], [["help", "image"]]])("runMain: %j lists the group's commands", async (argv) => {
    expect((await run(argv)).out).toMatch(/ {2}ls +does image ls\n {2}cat +does image cat\n/);
  });

  test("runMain: the help of a command holds its description and the global options", async () => {
    const { out } = await run(["help", "image", "ls"]);
    expect(out).toContain("Lists.");
    expect(out).toContain("--progress <mode>");
  });
});

describe("failures", () => {
  test("runMain: an error is one clear line and a hint, and its code gives the status", async () => {
    expect(await run(["fail"])).toMatchObject({
      status: 8,
      out: "",
      err: expect.stringMatching(/^osdeploy: Cannot use object ab: it is damaged\nhint: [^\n]+\n$/),
    });
  });

  test("runMain: --verbose shows the facts", async () => {
    expect((await run(["fail", "-v"])).err).toContain("code: damaged\nobject: ab\n");
  });

  test.each([[], ["--quiet"], ["--verbose"]])(
    "runMain: with JSON progress the failure is one JSON line %s",
    async (...more) => {
      const { status, err } = await run(["fail", "--progress=json", ...more]);
      expect([status, JSON.parse(err)]).toEqual([
        8,
        {
          type: "Error",
          code: "damaged",
          message: "Cannot use object ab: it is damaged",
          facts: { object: "ab" },
        },
      ]);
    },
  );

  test("runMain: with JSON progress all lines are JSON, and the last one is of a failure or a signal", async () => {
    const lines = (err: string) =>
      err
        .trimEnd()
        .split("\n")
        .map((line): Record<string, unknown> => JSON.parse(line));
    const { status, err } = await run(["stop", "--progress=json"]);
    expect([status, lines(err)]).toEqual([
      143,
      [
        { type: "Start", version: "0.1.0", task: "pull", id: "os" },
        {
          type: "Error",
          code: "interrupted",
          message: "Stopped by SIGTERM: nothing is half done, and running it again goes on",
          facts: {},
        },
      ],
    ]);
  });

  test.each([
    [["--progress=json", "fail", "--bogus"], "Cannot run osdeploy fail: unknown option '--bogus'", "osdeploy fail"],
    [["fail", "--bogus", "--progress", "json"], "Cannot run osdeploy fail: unknown option '--bogus'", "osdeploy fail"],
    [["--progress=json"], "Cannot run osdeploy: no command is named", "osdeploy"],
  ])("runMain: with JSON progress wrong words are a JSON line, too: %j", async (argv, message, command) => {
    const { status, err } = await run(argv);
    const facts = { hint: `See: ${command} --help` };
    expect([status, JSON.parse(err)]).toEqual([2, { type: "Error", code: "usage", message, facts }]);
  });

  test("runMain: with JSON progress a bug tells its stack among the facts", async () => {
    const { status, err } = await run(["bug", "--progress=json"]);
    expect([status, JSON.parse(err)]).toEqual([
      1,
      {
        type: "Error",
        code: "bug",
        message: "x is undefined",
        facts: { stack: expect.stringContaining("TypeError: x is undefined\n    at ") },
      },
    ]);
  });

  test("runMain: a bug has status 1 and a stack", async () => {
    const { status, err } = await run(["bug"]);
    expect(status).toBe(1);
    expect(err).toContain("osdeploy: This is a bug in osdeploy.");
    expect(err).toContain("TypeError: x is undefined\n    at ");
  });

  test("runMain: a value can decide the status, and bytes are printed as they are", async () => {
    const { status, io } = await run(["odd"]);
    expect([status, [...io.stdout.bytes]]).toEqual([8, [0xff]]);
    expect((await run(["odd", "--json"])).out).toBe("1\n");
  });
});

describe("mkcomposefs's voice", () => {
  const usage = "Usage: osdeploy composefs create [options] [source]\n";
  test.each([
    [["composefs", "create"], "No source path specified\n"],
    [["composefs", "create", "x"], "mkcomposefs: Invalid empty path\n"],
    [["composefs", "create", "--foo"], usage],
    [["composefs", "create", "--threads"], "option needs a value\n"],
    [["composefs", "create", "a", "b"], usage],
    [["composefs"], "No command specified\nUsage: osdeploy composefs [options] [command]\n"],
    [["composefs", "foo"], "composefs-info: Unknown command 'foo'\n\n"],
  ])("runMain: %j fails with mkcomposefs's text and status 1", async (argv, text) => {
    expect(await run(argv)).toMatchObject({ status: 1, out: "", err: text });
  });

  test("runMain: with JSON progress the same texts are in a JSON line, and names in it are text", async () => {
    const message = "error accessing /tä";
    const { status, err } = await run(["composefs", "create", "--progress=json", "/tä"]);
    expect([status, JSON.parse(err)]).toEqual([1, { type: "Error", code: "bad-format", message, facts: {} }]);
    const text = `No source path specified`;
    const wrong = JSON.parse((await run(["composefs", "create", "--progress=json"])).err);
    expect(wrong).toEqual({ type: "Error", code: "usage", message: text, facts: {} });
  });
});

describe("the default repo", () => {
  test.each([
    [{ uid: 0 }, "/sysroot/composefs\n"],
    [{ uid: 1000, environment: { HOME: "/home/é" } }, "/home/Ã©/.var/lib/composefs\n"],
  ])("Frame: is the system's for root and one's own for others", async (options, path) => {
    expect((await run(["image", "ls"], options)).out).toBe(path);
  });

  test.each([
    [0, "hint: Name a repo with --repo DIR\n"],
    [1000, "hint: Name a repo with --repo DIR, or make this one with: osdeploy repo init\n"],
  ])("Frame: where there is none, user %i is told what to do", async (uid, hint) => {
    const io = new FakeCliIo({ linux: new FakeLinux(), uid });
    const status = await runMain(["images"], io);
    expect([status, io.stderr.text]).toEqual([3, expect.stringContaining(`: there is no such directory\n${hint}`)]);
  });

  test("repo init: makes all of a user's own place, and nothing above one that is named", async () => {
    const machine = new FakeLinux();
    machine.files.makeDirectory(fromText("/root"), 0o755);
    putFile(machine.files, "/root/file", "");
    const runAsUser = async (...words: readonly string[]) => {
      const io = new FakeCliIo({ linux: machine, uid: 1000, environment: { HOME: "/root" } });
      return { status: await runMain(words, io), out: io.stdout.text, err: io.stderr.text };
    };
    const made = "Made a sha512 repo without fs-verity at /root/.var/lib/composefs\n";
    expect(await runAsUser("repo", "init", "--insecure")).toMatchObject({ status: 0, out: made });
    expect(await runAsUser("images")).toMatchObject({ status: 0 });
    expect(await runAsUser("repo", "init", "--insecure", "--repo", "/root/a/b")).toMatchObject({
      status: 3,
      err: 'osdeploy: Cannot make the directory "/root/a/b": the directory above it does not exist (ENOENT)\n',
    });
    expect(await runAsUser("images", "--repo", "/root/file")).toMatchObject({
      status: 3,
      err: 'osdeploy: Cannot open repo "/root/file": it is not a directory\n',
    });
  });

  test("Frame: without HOME the user is asked for --repo", async () => {
    expect(await run(["image", "ls"], { uid: 1000, environment: {} })).toMatchObject({
      status: 2,
      err: "osdeploy: Cannot find your repo: HOME is not set\nhint: Name it with --repo DIR\n",
    });
  });
});
