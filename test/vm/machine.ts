import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Trixie, translatedProcessor } from "./trixie.ts";

/** What a command in the guest did. */
export interface Step {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A machine that is to be switched on. */
export interface Machine {
  readonly trixie: Trixie;
  readonly rootDisk: string;
  /** The guest writes to it; nothing is ever written to the root disk. */
  readonly dataDisk: string;
  /** Where what it says is kept. */
  readonly logs: string;
}

/** No boot of these tests takes half of it, on a slow machine that has more to do. */
const limitMs = 300_000;

/**
 * Switches a machine on, without KVM, and lets it run `test/vm/guest/SCENARIO.sh` until it switches itself off or resets.
 * Gives the steps of the script by their names.
 */
export async function boot(machine: Machine, scenario: string): Promise<Steps> {
  const place = (name: string) => join(machine.logs, `${scenario}.${name}`);
  for (const name of ["console", "results", "qemu"]) rmSync(place(name), { force: true });
  const said = await runQemu(machine, [
    ...["-serial", `file:${place("console")}`, "-serial", `file:${place("results")}`],
    ...[
      "-append",
      `console=ttyS0 root=/dev/nvme0n1 rootfstype=ext4 rw init=/guest/init panic=-1 ${kernelWords} scenario=${scenario}`,
    ],
  ]);
  const steps = parseSteps(readLog(place("results")));
  return new Steps(steps, () => `${said}\n${readLog(place("console")).slice(-3000)}`);
}

/** `no_timer_check`: without it a guest on a busy machine can find that its timer does not work. */
const kernelWords = "no_timer_check quiet";

/**
 * The root disk is NVMe, because Debian's cloud kernel has that driver built in: so there is no need of an initramfs. The
 * other disk is of another kind, because the kernel numbers several of one kind in the order in which they answer. One
 * processor: without KVM a second one costs more time than it saves.
 */
async function runQemu({ trixie, rootDisk, dataDisk }: Machine, more: readonly string[]): Promise<string> {
  const [program, ...words] = trixie.command(
    "usr/bin/qemu-system-x86_64",
    ...["-L", trixie.path("usr/share/qemu"), "-L", trixie.path("usr/share/seabios")],
    ...["-machine", "q35,smm=off,sata=off", "-accel", "tcg", "-cpu", translatedProcessor, "-smp", "1", "-m", "1024"],
    ...["-nodefaults", "-display", "none", "-nic", "none", "-no-reboot", "-kernel", trixie.kernel],
    ...["-drive", `file=${rootDisk},format=raw,if=none,id=root,snapshot=on`, "-device", "nvme,drive=root,serial=root"],
    ...["-drive", `file=${dataDisk},format=raw,if=none,id=data,cache=unsafe`, "-device", "virtio-blk,drive=data"],
    ...more,
  );
  const environment = { ...process.env, QEMU_MODULE_DIR: join(trixie.libraries, "qemu") };
  const child = spawn(program, words, {
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: limitMs,
    killSignal: "SIGKILL",
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
  return await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => resolve(`${said}QEMU ended with ${signal ?? `status ${status}`}`));
  });
}

function readLog(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

/** What `step` of `guest/steps.sh` writes. */
const stepPattern = /^@begin (.*)\n@end (\d+)\n([\s\S]*?)\n@stderr\n([\s\S]*?)\n@done$/gm;

function parseSteps(text: string): ReadonlyMap<string, Step> {
  const steps = new Map<string, Step>();
  for (const [, name = "", status = "", stdout = "", stderr = ""] of text.matchAll(stepPattern)) {
    steps.set(name, { status: Number(status), stdout, stderr });
  }
  return steps;
}

/** The steps that a boot did. */
export class Steps {
  readonly #steps: ReadonlyMap<string, Step>;
  readonly #story: () => string;

  constructor(steps: ReadonlyMap<string, Step>, story: () => string) {
    this.#steps = steps;
    this.#story = story;
  }

  /** @throws Error with the end of the console where the guest did not come so far. */
  get(name: string): Step {
    const step = this.#steps.get(name);
    if (step === undefined) throw new Error(`The guest did not do "${name}". Its last words:\n${this.#story()}`);
    return step;
  }

  /** The standard output of a step that must have succeeded. */
  output(name: string): string {
    const { status, stdout, stderr } = this.get(name);
    if (status !== 0) throw new Error(`"${name}" ended with status ${status} in the guest: ${stderr}${stdout}`);
    return stdout;
  }

  /** The lines of {@link output}. */
  lines(name: string): readonly string[] {
    return this.output(name)
      .split("\n")
      .filter((line) => line !== "");
  }

  /** The JSON document that a step printed, whatever its status. */
  json(name: string): unknown {
    const { status, stdout, stderr } = this.get(name);
    try {
      return JSON.parse(stdout);
    } catch {
      throw new Error(`"${name}" printed no JSON in the guest and ended with status ${status}: ${stderr}${stdout}`);
    }
  }
}
