import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runMain } from "../../../src/cli/run-main.ts";
import { Lab } from "../../../src/lab/lab.ts";
import { freePort } from "../../../src/lab/ssh.ts";
import { type LabHost, labHost } from "../../builders/lab-host.ts";
import { addMachine, labPath, place } from "../../builders/lab-machines.ts";
import { layoutReference } from "../../builders/operation-machine.ts";
import { FakeCliIo } from "../../fakes/fake-cli-io.ts";
import { type JsonSchema, schemaErrors } from "../../tools/json-schema.ts";

let host: LabHost;
let guestSsh: Server;
beforeEach(async () => {
  host = await labHost();
  guestSsh = createServer((socket) => socket.end("SSH-2.0-x\r\n"));
});
afterEach(() => guestSsh.close());

async function run(...argv: readonly string[]) {
  const io = new FakeCliIo({ linux: host.linux, environment: { HOME: "/root", XDG_DATA_DIRS: "/usr/share" } });
  const status = await runMain(inLab(argv), io);
  return { status, out: io.stdout.text, err: io.stderr.text };
}

/** The words with `--lab` behind the command. */
function inLab(argv: readonly string[]): readonly string[] {
  const at = argv.indexOf("lab") + 2;
  return [...argv.slice(0, at), "--lab", labPath, ...argv.slice(at)];
}

/** Runs a command with --json, and checks the document against the schema `name`. */
async function json(name: string, ...argv: readonly string[]): Promise<unknown> {
  const { status, out, err } = await run("--json", ...argv);
  expect({ argv, status, err: status === 0 ? "" : err }).toEqual({ argv, status: 0, err: "" });
  const value: unknown = JSON.parse(out);
  const url = new URL(`../../../docs/reference/schema/${name}.json`, import.meta.url);
  expect(schemaErrors(value, JSON.parse(readFileSync(url, "utf8")) as JsonSchema)).toEqual([]);
  return value;
}

/** A running machine whose guest's ssh answers. */
async function machineWithSsh(): Promise<void> {
  const sshPort = await freePort();
  await new Promise<void>((done) => guestSsh.listen(sshPort, "127.0.0.1", done));
  const lab = addMachine(host.linux, { sshPort, registryPort: await freePort() });
  lab.setRunning(lab.get("one").paths, host.linux.programs.start(["qemu"], { output: labPath }));
}

describe("lab", () => {
  test("run, list, stop, rm: a machine's life", async () => {
    const image = layoutReference("v1");
    const made = await json("lab-run", "lab", "run", "--disk-size", "8G", "--karg", "debug", "--name", "os", image);
    expect(made).toMatchObject({ name: "os", image, diskReused: true });
    expect(await json("lab-list", "lab", "list")).toMatchObject([{ name: "os", running: true }]);
    expect((await run("lab", "list")).out).toMatch(/^NAME .*\nos +running /);
    expect(await run("lab", "run", "--name", "os")).toMatchObject({ status: 13 });
    expect(await run("lab", "rm", "os")).toMatchObject({ status: 13, err: expect.stringContaining("it runs") });
    expect(await json("lab-stop", "lab", "stop", "--force", "os")).toEqual({ stopped: ["os"], wereOff: [] });
    expect((await run("lab", "stop", "os")).out).toBe("os was off already\n");
    expect((await run("lab", "run", "--name", "os")).out).toMatch(/^Machine os is starting/);
    expect(await json("lab-rm", "lab", "rm", "--force", "--keep-disks", "os")).toEqual({
      removed: ["os"],
      removedDisks: [],
    });
    expect((await run("lab", "list")).out).toBe("There is no machine in the lab\n");
  });

  test("run: asks for an image or a name, and refuses sizes that are none", async () => {
    expect(await run("lab", "run")).toMatchObject({
      status: 2,
      err: expect.stringContaining("name an image, or with --name a machine"),
    });
    expect(await run("lab", "run", "--memory", "much", layoutReference("v1"))).toMatchObject({ status: 2 });
    expect(await run("lab", "run", "--cpus", "0", layoutReference("v1"))).toMatchObject({ status: 2 });
  });

  test("run: what a new machine is made of means nothing for one that is there", async () => {
    addMachine(host.linux);
    const words = ["--name", "one", "--memory", "8G", "--karg", "debug", "--cpus", "2", "--tls-verify", "false"];
    expect(await run("lab", "run", ...words)).toMatchObject({
      status: 2,
      err: expect.stringContaining(
        "Cannot use --tls-verify, --memory, --cpus, --karg without an image: a machine that is there stays as it was made",
      ),
    });
    expect(host.started).toEqual([]);
    expect(await run("lab", "run", "--name", "one", "--progress", "plain")).toMatchObject({ status: 0 });
  });

  test("ssh, console: the status is that of the program", async () => {
    host = await labHost({}, (words) => (words[0] === "ssh" ? 7 : 3));
    await machineWithSsh();
    expect(await run("lab", "ssh", "one", "--", "ls", "-l")).toEqual({ status: 7, out: "", err: "" });
    expect(await run("lab", "console", "one")).toEqual({ status: 3, out: "", err: "" });
    place(host.linux, new Lab(host.linux, labPath).get("one").paths.consoleLog, "login:");
    expect(await run("lab", "console", "--log", "one")).toEqual({ status: 0, out: "login:", err: "" });
  });

  test("upgrade: offers the image to the guest", async () => {
    host = await labHost({}, () => 0);
    await machineWithSsh();
    const upgraded = await json("lab-upgrade", "lab", "upgrade", "--apply", "one", layoutReference("v1"));
    expect(upgraded).toMatchObject({ name: "one", manifestDigest: host.image.manifestDigest, rebooting: true });
    expect((await run("lab", "upgrade", "one", layoutReference("v1"))).out).toMatch(/^one boots the image next\n/);
  });
});
