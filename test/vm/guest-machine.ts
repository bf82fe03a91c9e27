import { type ChildProcess, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { monitorCommand } from "../../src/lab/monitor.ts";
import { qemuWords } from "../../src/lab/qemu-command.ts";
import type { PowerOn, VirtualDisk } from "../../src/lab/virtual-machine.ts";
import { commandLine, findAnswer, readyPattern, type Step, shellCredentials } from "./guest-shell.ts";
import { endsAtReset, wasReset } from "./qemu-reset.ts";
import { type Trixie, translatedProcessor } from "./trixie.ts";

/** How long the slowest thing may take on a machine that has much else to do. */
const limitMs = 600_000;
const stepMs = 50;
const sockets = ["console.socket", "shell.socket", "qmp.socket", "events.socket"] as const;

/** What a state has besides memory and disks. */
const keptFiles = ["variables.fd", "console.log"];

/** What a guest is made of. */
export interface GuestMake {
  readonly trixie: Trixie;
  /** For its files. They stay after the tests: the console tells what happened. */
  readonly place: string;
  readonly disks: readonly VirtualDisk[];
  /** UEFI when not given. */
  readonly kernel?: Extract<PowerOn, { kind: "kernel" }>;
  readonly memoryMegabytes?: number;
  /** One when not given: two machines run at once, and the translator is the better for it. */
  readonly processors?: number;
  readonly credentials?: Readonly<Record<string, string>>;
}

/** A state of a running guest, in a directory: its memory, and its disks as they were at that moment. */
export interface GuestSnapshot {
  readonly place: string;
}

/**
 * A virtual machine that runs an OS image of `images/` as it is, with a root shell on a serial port, so that tests can
 * see and do everything in it, over any number of reboots. Its power can be cut at any moment.
 */
export class Guest {
  readonly #make: GuestMake;
  #qemu: ChildProcess | undefined;
  #shell: Socket | undefined;
  #said = "";
  #ids = 0;
  #stopped = "";

  constructor(make: GuestMake) {
    this.#make = make;
    mkdirSync(make.place, { recursive: true });
  }

  /** Switches it on. A boot is complete at {@link ready}. */
  switchOn(moreWords: readonly string[] = []): void {
    const { trixie } = this.#make;
    for (const name of sockets) rmSync(this.#at(name), { force: true });
    if (!existsSync(this.#at("variables.fd"))) copyFileSync(trixie.firmwareVariables, this.#at("variables.fd"));
    const [program, ...words] = trixie.qemu(...this.#words(), ...endsAtReset(this.#at("events.socket")), ...moreWords);
    this.#stopped = "";
    this.#said = "";
    const qemu = spawn(program, words, { env: trixie.environment, stdio: ["ignore", "pipe", "pipe"] });
    let told = "";
    for (const stream of [qemu.stdout, qemu.stderr]) stream.setEncoding("utf8").on("data", (text) => (told += text));
    // A test that failed must not leave it behind.
    const kill = () => void qemu.kill("SIGKILL");
    process.once("exit", kill);
    this.#qemu = qemu;
    const reset = wasReset(qemu, this.#at("events.socket"));
    qemu.on("close", async (status, signal) => {
      process.off("exit", kill);
      const goesOn = await reset;
      if (this.#qemu !== qemu) return;
      if (goesOn) this.#startAgain();
      else this.#stopped = `QEMU ended with ${signal ?? `status ${status}`}: ${told}`;
    });
  }

  /** What a reset is to the guest: only its memory is lost. */
  #startAgain(): void {
    this.#shell?.destroy();
    this.#shell = undefined;
    this.switchOn();
    this.#connect().catch(() => undefined);
  }

  #words(): readonly string[] {
    const { trixie, disks, kernel, memoryMegabytes = 1024, processors = 1, credentials = {} } = this.#make;
    const words = qemuWords({
      architecture: "x86_64",
      acceleration: "tcg",
      qemuVersion: 10,
      memoryMegabytes,
      processors,
      powerOn: kernel ?? {
        kind: "firmware",
        code: fromText(trixie.firmwareCode),
        variables: fromText(this.#at("variables.fd")),
      },
      disks,
      network: { forwards: [] },
      serials: ["console", "shell"].map((name) => ({
        socket: fromText(this.#at(`${name}.socket`)),
        log: fromText(this.#at(`${name}.log`)),
      })),
      monitor: fromText(this.#at("qmp.socket")),
      credentials: { ...shellCredentials, ...credentials },
    });
    return words.map((word, at) => (words[at - 1] === "-cpu" ? translatedProcessor : word));
  }

  #at(name: string): string {
    return join(this.#make.place, name);
  }

  /** All that the console has said since the machine was made: firmware, loader, kernel, initramfs. */
  get console(): string {
    return existsSync(this.#at("console.log")) ? readFileSync(this.#at("console.log"), "latin1") : "";
  }

  /** Whether QEMU still runs. */
  get isOn(): boolean {
    return this.#qemu !== undefined && this.#qemu.exitCode === null && this.#qemu.signalCode === null;
  }

  /** What QEMU has used of the processors since the machine was switched on or reset. */
  get cpuSeconds(): number {
    const stat = readFileSync(`/proc/${this.#qemu?.pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // utime and stime, in clock ticks of a hundredth of a second
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }

  /** Waits until `done` gives something. @throws Error with the end of the console when it takes too long. */
  async until<T>(what: string, done: () => T | undefined, limit = limitMs): Promise<T> {
    for (let waited = 0; waited < limit; waited += stepMs) {
      const found = done();
      if (found !== undefined) return found;
      if (this.#stopped !== "") break;
      await pause(stepMs);
    }
    const state = this.#stopped || `not within ${limit / 1000} s`;
    throw new Error(`Waiting for ${what}: ${state}. The console's last words:\n${this.console.slice(-4000)}`);
  }

  /** Waits until the console says something that it had not said before `from`. Gives where it ends. */
  async consoleSays(pattern: RegExp, { from = 0, limit = limitMs } = {}): Promise<number> {
    return await this.until(
      `${pattern} on the console`,
      () => {
        const match = pattern.exec(this.console.slice(from));
        return match === null ? undefined : from + match.index + match[0].length;
      },
      limit,
    );
  }

  /** Waits until the shell of a boot is there; once after each start and restart. */
  async ready(limit = limitMs): Promise<void> {
    await this.#connect();
    await this.until("the guest's shell", () => (readyPattern.test(this.#said) ? true : undefined), limit);
    this.#said = this.#said.slice(this.#said.search(readyPattern) + "@ready".length);
  }

  /** Forgets all shells that have been there: {@link ready} waits for the next. */
  forgetShells(): void {
    this.#said = "";
  }

  /** Runs a command line in the guest, as root. */
  async run(command: string, limit = limitMs): Promise<Step> {
    const answer = await this.begin(command);
    return await answer(limit);
  }

  /** Starts a command line; what it gives waits for its end. The power may go in between. */
  async begin(command: string): Promise<(limit?: number) => Promise<Step>> {
    const shell = await this.#connect();
    this.#ids += 1;
    const id = this.#ids;
    shell.write(commandLine(id, command));
    return (limit = limitMs) => this.until(`the end of "${command}"`, () => findAnswer(this.#said, id), limit);
  }

  /** The standard output of a command line that must succeed. */
  async output(command: string, limit = limitMs): Promise<string> {
    const { status, stdout, stderr } = await this.run(command, limit);
    if (status !== 0) throw new Error(`"${command}" ended with status ${status} in the guest: ${stderr}${stdout}`);
    return stdout;
  }

  /** The JSON document that a command line prints, whatever its status. */
  async json(command: string, limit = limitMs): Promise<unknown> {
    const { status, stdout, stderr } = await this.run(command, limit);
    try {
      return JSON.parse(stdout) as unknown;
    } catch {
      throw new Error(`"${command}" printed no JSON in the guest and ended with ${status}: ${stderr}${stdout}`);
    }
  }

  /** Waits until systemd has done all of a boot, and gives its verdict: `running` or `degraded`. */
  async booted(): Promise<string> {
    await this.ready();
    return await this.settled();
  }

  /** The same of a boot whose shell is there. */
  async settled(): Promise<string> {
    return (await this.run("systemctl is-system-running --wait")).stdout.trim();
  }

  /** Reboots in the proper way. The next boot is complete at the next {@link ready}. */
  async reboot(): Promise<void> {
    await this.run("systemctl --no-block reboot");
  }

  /** Shuts down in the proper way. */
  async shutDown(): Promise<void> {
    await this.run("systemctl --no-block poweroff");
    await this.#end();
  }

  /** The power goes. What the guest had not written to its disk is lost. */
  async cutPower(): Promise<void> {
    this.#qemu?.kill("SIGKILL");
    await this.#end();
  }

  async #end(): Promise<void> {
    for (let waited = 0; this.isOn && waited < limitMs; waited += stepMs) await pause(stepMs);
    if (this.isOn) throw new Error(`The machine did not switch off. Its last words:\n${this.console.slice(-4000)}`);
    this.#shell?.destroy();
    this.#shell = undefined;
    this.#qemu = undefined;
  }

  /**
   * Keeps the state of the running guest for {@link resume}, and switches it off. The disks stay as they were at that
   * moment: machines that resume have to write to something else that shows the same.
   */
  async save(snapshot: GuestSnapshot): Promise<void> {
    mkdirSync(snapshot.place, { recursive: true });
    const monitor = fromText(this.#at("qmp.socket"));
    await monitorCommand(monitor, "stop");
    await monitorCommand(monitor, "migrate", { uri: `file:${join(snapshot.place, "memory")}` });
    for (let state = "active"; state !== "completed"; await pause(stepMs)) {
      ({ status: state } = (await monitorCommand(monitor, "query-migrate")) as { status: string });
      if (state === "failed") throw new Error("QEMU could not save the guest's memory");
    }
    await this.cutPower();
    for (const name of keptFiles) copyFileSync(this.#at(name), join(snapshot.place, name));
  }

  /** Goes on where a guest of the same make was when it was saved; takes a second or two. */
  async resume(snapshot: GuestSnapshot): Promise<void> {
    for (const name of keptFiles) copyFileSync(join(snapshot.place, name), this.#at(name));
    this.switchOn(["-incoming", `file:${join(snapshot.place, "memory")}`]);
    await this.#connect();
    const monitor = fromText(this.#at("qmp.socket"));
    for (let state = "inmigrate"; state === "inmigrate"; await pause(stepMs)) {
      ({ status: state } = (await monitorCommand(monitor, "query-status")) as { status: string });
    }
    await monitorCommand(monitor, "cont");
  }

  async #connect(): Promise<Socket> {
    if (this.#shell !== undefined) return this.#shell;
    const path = this.#at("shell.socket");
    await this.until("QEMU's sockets", () => (existsSync(path) ? true : undefined));
    const socket = connect(path);
    socket.setEncoding("latin1").on("data", (text) => (this.#said += text));
    socket.on("error", () => undefined);
    this.#shell = socket;
    return socket;
  }
}
