import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { freePort } from "../../../src/lab/ssh.ts";
import type { Path } from "../../../src/linux/linux.ts";
import { labConsole, labConsoleLog, labSsh } from "../../../src/operations/lab-access.ts";
import { addMachine, labLinux, labPath, place } from "../../builders/lab-machines.ts";
import { systemOn } from "../../builders/operation-machine.ts";
import type { FakeLinuxOptions } from "../../fakes/fake-linux.ts";

/** A lab with a machine that runs, whose programs on the terminal are `attachProgram`. */
function running(
  attachProgram: NonNullable<FakeLinuxOptions["attachProgram"]>,
  { sshPort = 2022, root = labPath }: { readonly sshPort?: number; readonly root?: Path } = {},
) {
  const linux = labLinux({ startProgram: () => {}, attachProgram });
  const lab = addMachine(linux, { sshPort }, root);
  lab.setRunning(lab.get("one").paths, linux.programs.start(["qemu"], { output: fromText("/log") }));
  return { linux, lab, system: systemOn(linux) };
}

const request = { lab: labPath, name: "one" };

describe("labSsh", () => {
  test("runs the command by ssh when the guest answers, and gives its status", async () => {
    const port = await freePort();
    const server = createServer((socket) => socket.end("SSH-2.0-x\r\n"));
    await new Promise<void>((done) => server.listen(port, "127.0.0.1", done));
    const seen: string[] = [];
    const { system } = running((words) => seen.push(words.join(" ")) + 6, { sshPort: port });
    expect(await labSsh(system, { ...request, command: ["uname", "-a b"] })).toEqual({ name: "one", status: 7 });
    expect(seen[0]).toMatch(/^ssh .* root@127\.0\.0\.1 -- uname '-a b'$/);
    server.close();
  });

  test("refuses a machine that is off", async () => {
    const linux = labLinux();
    addMachine(linux);
    await expect(labSsh(systemOn(linux), { ...request, command: [] })).rejects.toMatchObject({ code: "busy" });
  });
});

describe("labConsole", () => {
  test("connects the terminal to the console's socket", async () => {
    const { system } = running((words) => {
      expect(words).toEqual(["socat", "-,raw,echo=0,escape=0x1d", "UNIX-CONNECT:/lab/machines/one/console.socket"]);
      return 0;
    });
    expect(await labConsole(system, request)).toEqual({ name: "one", status: 0 });
  });

  test("socat takes the socket's path as it is", async () => {
    const root = fromText('/a,b:c !!d/"q"\'s/(x)\\é');
    const { system } = running(
      (words) => {
        const path = '/a\\,b\\:c \\!\\!d/\\"q\\"\\\'s/\\(x\\)\\\\é/machines/one/console.socket';
        expect(words.at(-1)).toBe(`UNIX-CONNECT:${path}`);
        return 0;
      },
      { root },
    );
    await labConsole(system, { lab: root, name: "one" });
  });

  test("names the package where socat is missing; other failures are told as they are", async () => {
    const failing = (error: OsdeployError) =>
      labConsole(
        running(() => {
          throw error;
        }).system,
        request,
      );
    await expect(failing(new OsdeployError("not-found", "no socat"))).rejects.toMatchObject({
      message: "Cannot open the console: socat is not installed",
      facts: { hint: "Install the Debian packages: apt install socat" },
    });
    await expect(failing(new OsdeployError("system", "broken"))).rejects.toThrow("broken");
  });

  test("labConsoleLog: what the console has said, also of a machine that is off", async () => {
    const linux = labLinux();
    const lab = addMachine(linux);
    expect(await labConsoleLog(systemOn(linux), request)).toEqual(new Uint8Array());
    place(linux, lab.get("one").paths.consoleLog, "login:");
    expect(new TextDecoder().decode(await labConsoleLog(systemOn(linux), request))).toBe("login:");
  });
});
