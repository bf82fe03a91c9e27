import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { projectDir } from "../tools/find-tool.ts";
import { type Ended, run } from "../tools/run-cli.ts";

/** All that QEMU has but wide vectors: those are translated number by number, and what sums bytes takes longer with them. */
export const translatedProcessor = "max,-avx,-avx2";

const { OSDEPLOY_TOOLS = ".cache/tools" } = process.env;

/** Packages of Debian 13, unpacked by `test/vm/setup.sh`: programs that run with their own loader and libraries. */
export class Trixie {
  readonly #root: string;
  /** The C library's loader, absolute. */
  readonly loader: string;
  readonly libraries: string;

  constructor(root: string) {
    this.#root = root;
    this.loader = join(root, "usr/lib64/ld-linux-x86-64.so.2");
    this.libraries = join(root, "usr/lib/x86_64-linux-gnu");
  }

  /** The path of a file of the packages, absolute. */
  path(file: string): string {
    return join(this.#root, file);
  }

  /** The words that run a program of the packages on this machine. */
  command(program: string, ...args: readonly string[]): readonly [string, ...string[]] {
    return [this.loader, "--library-path", this.libraries, this.path(program), ...args];
  }

  /** Runs a program of the packages to its end. */
  run(program: string, ...args: readonly string[]): Ended {
    const [loader, ...words] = this.command(program, ...args);
    return run(loader, words);
  }

  /** The libraries that a program of the packages loads, absolute. */
  librariesOf(program: string): readonly string[] {
    const { stdout } = run(this.loader, ["--library-path", this.libraries, "--list", this.path(program)]);
    return [...stdout.matchAll(/=> (\/\S+)/g)].map(([, path = ""]) => path);
  }

  /** The words that start QEMU, to be run in {@link environment}. */
  qemu(...args: readonly string[]): readonly [string, ...string[]] {
    const data = ["-L", this.path("usr/share/qemu"), "-L", this.path("usr/share/seabios")];
    return this.command("usr/bin/qemu-system-x86_64", ...data, ...args);
  }

  get environment(): NodeJS.ProcessEnv {
    return { ...process.env, QEMU_MODULE_DIR: join(this.libraries, "qemu") };
  }

  get firmwareCode(): string {
    return this.path("usr/share/OVMF/OVMF_CODE_4M.fd");
  }

  /** A template. */
  get firmwareVariables(): string {
    return this.path("usr/share/OVMF/OVMF_VARS_4M.fd");
  }

  get kernel(): string {
    return this.path(`boot/vmlinuz-${this.#kernelVersion}`);
  }

  /** The file of a kernel module, as `fs/erofs/erofs`; compressed with xz. */
  kernelModule(name: string): string {
    return this.path(`usr/lib/modules/${this.#kernelVersion}/kernel/${name}.ko.xz`);
  }

  get #kernelVersion(): string {
    const [version] = readdirSync(this.path("usr/lib/modules"));
    if (version === undefined) throw new Error("test/vm/setup.sh unpacked no kernel");
    return version;
  }
}

/** What `test/vm/setup.sh` got, or undefined where it could not: then the tests on virtual machines are skipped by name. */
export function findTrixie(): Trixie | undefined {
  const tools = resolve(projectDir, OSDEPLOY_TOOLS);
  return existsSync(join(tools, ".vm")) ? new Trixie(join(tools, "vm")) : undefined;
}
