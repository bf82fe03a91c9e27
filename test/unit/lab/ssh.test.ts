import { getEventListeners } from "node:events";
import { createServer, Server, type Socket } from "node:net";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { freePort, isFreePort, sshAnswers, sshWords, sshWordsAside, waitForSsh } from "../../../src/lab/ssh.ts";
import { addMachine, labLinux, labPath } from "../../builders/lab-machines.ts";
import { findTool } from "../../tools/find-tool.ts";
import { run } from "../../tools/run-cli.ts";

describe("sshWords", () => {
  const known = addMachine(labLinux(), { sshPort: 2022 }).get("one");
  const key = fromText(`${labPath}/ssh-key`);

  test("a shell: with the lab's key and nothing of the user's configuration", () => {
    expect(sshWords(key, known, []).join(" ")).toBe(
      'ssh -F none -p 2022 -o IdentityFile="/lab/ssh-key" -o IdentitiesOnly=yes -o StrictHostKeyChecking=no ' +
        "-o UserKnownHostsFile=/dev/null -o GlobalKnownHostsFile=/dev/null -o LogLevel=ERROR -o ServerAliveInterval=15 root@127.0.0.1",
    );
  });

  const ssh = findTool("ssh");

  test.skipIf(ssh === undefined)(
    `ssh takes the key's path as it is${ssh === undefined ? " (missing: ssh)" : ""}`,
    () => {
      const path = '/my "lab"/100%/\\/ssh-key';
      const [, ...words] = sshWords(fromText(path), known, []);
      const { status, stdout } = run(ssh ?? "", ["-G", ...words]);
      expect(status).toBe(0);
      expect(stdout).toContain(`\nidentityfile ${path.replace("%", "%%")}\n`);
    },
  );

  test("aside: reads nothing and asks nobody", () => {
    const words = sshWordsAside(key, known, ["true"]);
    expect(words.slice(0, 4)).toEqual(["ssh", "-n", "-o", "BatchMode=yes"]);
    expect(words.slice(4)).toEqual(sshWords(key, known, ["true"]).slice(1));
  });

  test("a command: its words come through the guest's shell as they are", () => {
    expect(sshWords(key, known, ["echo", "a b", "it's", "$HOME", ""]).slice(-2)).toEqual([
      "--",
      `echo 'a b' 'it'\\''s' '$HOME' ''`,
    ]);
  });
});

describe("sshAnswers", () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  /** A server on a free port that does this with each connection. */
  async function serve(use: (socket: Socket) => void): Promise<number> {
    const server = createServer(use);
    servers.push(server);
    const port = await freePort();
    await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
    return port;
  }

  test("only the greeting of an ssh server counts", async () => {
    expect(await sshAnswers(await serve((socket) => socket.end("SSH-2.0-OpenSSH_10\r\n")))).toBe(true);
    expect(await sshAnswers(await serve((socket) => socket.end("HTTP/1.1 400\r\n")))).toBe(false);
    expect(await sshAnswers(await serve((socket) => socket.end()))).toBe(false);
    expect(await sshAnswers(await freePort())).toBe(false);
  });

  test("waitForSsh: waits for it; gives up when the machine is off or somebody wants an end", async () => {
    const linux = labLinux({ startProgram: () => {} });
    let connections = 0;
    const port = await serve((socket) => socket.end(++connections < 2 ? "" : "SSH-2.0-x\r\n"));
    const lab = addMachine(linux, { sshPort: port });
    const { signal } = new AbortController();
    await expect(waitForSsh(linux, lab.get("one"), signal)).rejects.toMatchObject({
      code: "busy",
      message: "Cannot reach machine one: its ssh does not answer",
    });
    lab.setRunning(lab.get("one").paths, linux.programs.start(["qemu"], { output: fromText("/log") }));
    await waitForSsh(linux, lab.get("one"), signal);
    expect(connections).toBe(2);
    // A guest may take hundreds of attempts: each leaves the signal as it was.
    expect(getEventListeners(signal, "abort")).toEqual([]);
    connections = -5;
    const stopped = waitForSsh(linux, lab.get("one"), AbortSignal.abort());
    await expect(stopped).rejects.toMatchObject({ code: "interrupted" });
  });

  test("waitForSsh: a guest that says nothing keeps nobody who wants an end", async () => {
    const linux = labLinux({ startProgram: () => {} });
    const stop = new AbortController();
    const port = await serve(() => stop.abort());
    const lab = addMachine(linux, { sshPort: port });
    lab.setRunning(lab.get("one").paths, linux.programs.start(["qemu"], { output: fromText("/log") }));
    const start = performance.now();
    await expect(waitForSsh(linux, lab.get("one"), stop.signal)).rejects.toMatchObject({ code: "interrupted" });
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  test("gives no answer at once where somebody wanted an end before", async () => {
    const port = await serve(() => {});
    const start = performance.now();
    expect(await sshAnswers(port, AbortSignal.abort())).toBe(false);
    expect(performance.now() - start).toBeLessThan(5_000);
  });
});

test("freePort, isFreePort: what nobody has", async () => {
  const server = createServer();
  const port = await freePort();
  expect(await isFreePort(port)).toBe(true);
  await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
  expect(await isFreePort(port)).toBe(false);
  server.close();
  const taken = new Set(Array.from({ length: 2 ** 14 }, (_, index) => 4 * index + 1));
  for (let tries = 0; tries < 10; tries++) expect(taken).not.toContain(await freePort(taken));
});

test("freePort: where no port is left, none is looked for without end", async () => {
  const listen = vi.spyOn(Server.prototype, "listen").mockImplementation(function (this: Server) {
    setImmediate(() => this.emit("error", Object.assign(new Error("no port"), { code: "EADDRINUSE" })));
    return this;
  });
  onTestFinished(() => listen.mockRestore());
  await expect(freePort()).rejects.toMatchObject({ code: "busy", message: "Cannot find a free port: all are in use" });
});
