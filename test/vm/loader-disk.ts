import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Bootloader } from "../../src/bootloader/bootloader.ts";
import { addKernel } from "../../src/bootloader/kernel-store.ts";
import { openBootloader } from "../../src/bootloader/open-bootloader.ts";
import { type BootEntry, makeBootEntry } from "../../src/core/boot/boot-menu.ts";
import { entryOfCmdline, triesLeftOfCmdline } from "../../src/core/boot/kernel-cmdline.ts";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseObjectId } from "../../src/core/digest/object-id.ts";
import type { Path } from "../../src/linux/linux.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import type { Trixie } from "./trixie.ts";

/** The serial number by which GRUB finds the partition. */
const volumeSerial = "ABCD1234";

const partitionSectors = 262_144;
const limitMs = 240_000;

/** A boot of the machine, by what the kernel said. */
export interface SeenBoot {
  readonly entry: string | undefined;
  readonly triesLeft: number | undefined;
  readonly commandLine: string;
}

/**
 * A machine with nothing but a FAT partition: its kernels find no root file system, panic, and reset at once, so that a boot
 * takes a few seconds. The partition is a directory between the boots, as osdeploy sees it.
 */
export class LoaderDisk {
  readonly #trixie: Trixie;
  readonly #place: string;
  readonly files = openLinux().files;

  constructor(trixie: Trixie, place: string) {
    this.#trixie = trixie;
    this.#place = place;
    mkdirSync(join(place, "boot"), { recursive: true });
    copyFileSync(trixie.firmwareVariables, join(place, "variables.fd"));
  }

  /** The partition's directory. */
  get boot(): Path {
    return fromText(join(this.#place, "boot"));
  }

  at(path: string): string {
    return join(this.#place, "boot", path);
  }

  get loader(): Bootloader {
    return openBootloader(this.files, { boot: this.boot });
  }

  /** Puts a file of Debian's there, as whoever installs does. */
  install(file: string, path: string): void {
    mkdirSync(join(this.at(path), ".."), { recursive: true });
    copyFileSync(this.#trixie.path(file), this.at(path));
  }

  /** Adds an entry for a kernel that panics. */
  addEntry(sequence: number, { tries, title = "Test OS", options = "" }: NewEntry): BootEntry {
    const initramfs = Buffer.from(`no initramfs ${sequence}`);
    const bootDigest = createHash("sha256").update(readFileSync(this.#trixie.kernel)).update(initramfs).digest("hex");
    const source = { kind: "file", path: fromText(this.#trixie.kernel) } as const;
    const stored = addKernel(
      this.files,
      this.boot,
      { bootDigest, vmlinuz: source, initramfs: { kind: "bytes", bytes: initramfs } },
      "",
    );
    const rootImage = parseObjectId("ab".repeat(32), "sha256");
    return this.loader.addEntry(
      makeBootEntry({
        sequence,
        rootImage,
        osRelease: { id: "test", prettyName: title, version: "13" },
        ...stored,
        options: `console=ttyS0 no_timer_check panic=-1 ${options} composefs=${rootImage}`,
        tries,
      }),
    );
  }

  /** Switches the machine on until so many kernels have started; the directory then holds what they left. */
  async boots(count: number): Promise<readonly SeenBoot[]> {
    this.#writePartition();
    const log = join(this.#place, "console.log");
    rmSync(log, { force: true });
    const [program, ...words] = this.#trixie.qemu(...this.#words(log));
    const qemu = spawn(program, words, { env: this.#trixie.environment, stdio: "ignore" });
    const ended = new Promise((resolve) => qemu.on("close", resolve));
    for (let waited = 0; waited < limitMs && seenBoots(log).length < count; waited += 100) await pause(100);
    qemu.kill("SIGKILL");
    await ended;
    this.#readPartition();
    const seen = seenBoots(log).slice(0, count);
    if (seen.length < count) throw new Error(`Only ${seen.length} boots: ${readFileSync(log, "latin1").slice(-3000)}`);
    return seen;
  }

  #words(log: string): readonly string[] {
    const flash = (file: string, more: string) => ["-drive", `if=pflash,format=raw,file=${file}${more}`];
    return [
      ...["-machine", "q35,smm=off,sata=off", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "512"],
      ...["-nodefaults", "-display", "none", "-nic", "none", "-serial", `file:${log}`],
      ...flash(this.#trixie.firmwareCode, ",readonly=on"),
      ...flash(join(this.#place, "variables.fd"), ""),
      ...["-drive", `if=virtio,format=raw,cache=unsafe,file=${this.#image}`],
    ];
  }

  get #image(): string {
    return join(this.#place, "esp.img");
  }

  #writePartition(): void {
    rmSync(this.#image, { force: true });
    this.#mtool(
      "mformat",
      "-C",
      "-i",
      this.#image,
      "-T",
      `${partitionSectors}`,
      "-h",
      "64",
      "-s",
      "32",
      "-F",
      "-N",
      volumeSerial,
      "::",
    );
    const names = this.files.readDirectory(this.boot).map((name) => this.at(name));
    this.#mtool("mcopy", "-s", "-i", this.#image, ...names, "::/");
  }

  #readPartition(): void {
    rmSync(this.at(""), { recursive: true });
    mkdirSync(this.at(""));
    this.#mtool("mcopy", "-s", "-n", "-i", this.#image, "::/*", this.at(""));
  }

  #mtool(tool: string, ...args: readonly string[]): void {
    const { status, stderr } = this.#trixie.run(`usr/bin/${tool}`, ...args);
    if (status !== 0) throw new Error(`${tool} ended with status ${status}: ${stderr}`);
  }
}

interface NewEntry {
  readonly tries?: number;
  readonly title?: string;
  readonly options?: string;
}

/** Early in its log each kernel says what it was told. */
function seenBoots(log: string): readonly SeenBoot[] {
  const text = existsSync(log) && statSync(log).size > 0 ? readFileSync(log, "latin1") : "";
  return [...text.matchAll(/\] Command line: (.*)\r?\n/g)].map(([, commandLine = ""]) => ({
    entry: entryOfCmdline(commandLine),
    triesLeft: triesLeftOfCmdline(commandLine),
    commandLine,
  }));
}
