import { connect, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { toText } from "../core/bytes/byte-string.ts";
import { decodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Linux, Path } from "../linux/linux.ts";
import type { KnownMachine } from "./lab.ts";

/** The words that run a command as root in the guest, or give a shell where there is none. */
export function sshWords(
  sshKey: Path,
  { machine }: Pick<KnownMachine, "machine">,
  command: readonly string[],
): readonly [string, ...string[]] {
  const options = {
    IdentityFile: configured(toText(sshKey)),
    IdentitiesOnly: "yes",
    // While the machine runs, nobody but its QEMU has the port. The guest's own key need not stay: /etc may be new at each boot.
    StrictHostKeyChecking: "no",
    UserKnownHostsFile: "/dev/null",
    GlobalKnownHostsFile: "/dev/null",
    LogLevel: "ERROR",
    ServerAliveInterval: "15",
  };
  return [
    ...(["ssh", "-F", "none", "-p", `${machine.sshPort}`] as const),
    ...Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]),
    ...["root@127.0.0.1", ...(command.length === 0 ? [] : ["--", command.map(quoted).join(" ")])],
  ];
}

/** As {@link sshWords}, for a command that nobody talks to: it reads nothing, and asks nobody for a password. */
export function sshWordsAside(...of: Parameters<typeof sshWords>): readonly [string, ...string[]] {
  const [program, ...rest] = sshWords(...of);
  return [program, "-n", "-o", "BatchMode=yes", ...rest];
}

/** One value of ssh_config(5), whatever is in it. */
function configured(value: string): string {
  return `"${value.replace(/["\\]/g, "\\$&").replaceAll("%", "%%")}"`;
}

/** As the guest's shell takes it for one word. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** How long one attempt waits for the guest's greeting; a translated guest takes its time. */
const greetingMs = 10_000;

/**
 * Whether an ssh server answers on a port of loopback. QEMU takes connections as soon as it runs: only the greeting shows
 * that the guest does. False at once when `signal` is aborted, before or meanwhile.
 */
export function sshAnswers(port: number, signal?: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    const end = (answers: boolean) => {
      signal?.removeEventListener("abort", giveUp);
      socket.destroy();
      resolve(answers);
    };
    const giveUp = () => end(false);
    signal?.addEventListener("abort", giveUp);
    // A signal that was aborted before fires no more.
    if (signal?.aborted) giveUp();
    socket.setTimeout(greetingMs, giveUp);
    socket.on("data", (bytes) => end(decodeText(bytes).startsWith("SSH-")));
    socket.on("error", giveUp);
    socket.on("close", giveUp);
  });
}

/** As long as a translated guest may take to boot, twice. */
const sshMs = 300_000;
const stepMs = 500;

/**
 * Waits until the guest's ssh answers.
 *
 * @throws OsdeployError `busy` when it does not, or the machine was switched off; `interrupted`.
 */
export async function waitForSsh(
  { programs }: Linux,
  { machine, paths, running }: KnownMachine,
  signal: AbortSignal,
): Promise<void> {
  const end = performance.now() + sshMs;
  while (performance.now() < end && running !== undefined && programs.isRunning(running)) {
    if (await sshAnswers(machine.sshPort, signal)) return;
    if (signal.aborted) throw new OsdeployError("interrupted", `Stopped waiting for machine ${machine.name}`);
    await pause(stepMs);
  }
  throw new OsdeployError("busy", `Cannot reach machine ${machine.name}: its ssh does not answer`, {
    facts: { hint: `See what it says: osdeploy lab console --log ${machine.name}`, log: toText(paths.consoleLog) },
  });
}

/** A port of loopback that nobody uses now, and that is none of `taken`. @throws OsdeployError `busy` when there is none. */
export async function freePort(taken: ReadonlySet<number> = new Set()): Promise<number> {
  for (;;) {
    const port = await bindOnce(0);
    if (port === undefined) throw new OsdeployError("busy", "Cannot find a free port: all are in use");
    if (!taken.has(port)) return port;
  }
}

/** Whether nobody uses this port of loopback now. */
export async function isFreePort(port: number): Promise<boolean> {
  return (await bindOnce(port)) !== undefined;
}

/** The port that was to be had, any for 0; undefined when somebody has it. */
function bindOnce(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? address?.port : undefined));
    });
  });
}
