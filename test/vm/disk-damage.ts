import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import { run } from "../tools/run-cli.ts";
import type { Trixie } from "./trixie.ts";

/** A disk file of a machine that is switched off, to be looked into and damaged behind the kernel's back. */
export class OfflineDisk {
  readonly #trixie: Trixie;
  /** Raw. */
  readonly file: string;
  /** Where the boot partition and the root file system begin, in bytes. */
  readonly #boot: number;
  readonly #root: number;
  readonly rootBytes: number;

  /** Makes `file` a raw copy of a disk. */
  constructor(trixie: Trixie, disk: string, file: string) {
    this.#trixie = trixie;
    this.file = file;
    rmSync(file, { force: true });
    const from = disk.endsWith(".qcow2") ? "qcow2" : "raw";
    this.#run("usr/bin/qemu-img", "convert", "-f", from, "-O", "raw", disk, file);
    const { partitiontable } = JSON.parse(this.#run("usr/sbin/sfdisk", "--json", file)) as SfdiskAnswer;
    const { start, size } = partitiontable.partitions.at(-1) ?? { start: 0, size: 0 };
    this.#boot = (partitiontable.partitions[0]?.start ?? 0) * partitiontable.sectorsize;
    this.#root = start * partitiontable.sectorsize;
    this.rootBytes = size * partitiontable.sectorsize;
  }

  /** Runs commands of debugfs on the root file system, and gives what they print. */
  debugfs(...commands: readonly string[]): string {
    return commands
      .map((command) => this.#run("usr/sbin/debugfs", "-w", "-R", command, `${this.file}?offset=${this.#root}`))
      .join("");
  }

  /**
   * What a repo on the disk has that is not as it should be: objects whose content does not measure to their name, as the
   * kernel would find them after it has replayed the journal. Names that nothing trusts are passed over.
   */
  damagedObjects(directory: string): readonly string[] {
    const place = `${this.file}.objects`;
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place);
    const root = this.#copyRoot();
    // 1: there was something to do, and it is done.
    if ((this.#trixie.run("usr/sbin/e2fsck", "-fp", root).status ?? 8) > 1)
      throw new Error(`e2fsck cannot repair ${root}`);
    this.#run("usr/sbin/debugfs", "-R", `rdump ${directory}/objects ${place}`, root);
    const damaged = filesBelow(place).filter(
      (path) => verityDigest("sha512", readFileSync(path)) !== path.split("/").slice(-2).join(""),
    );
    for (const path of [place, root]) rmSync(path, { recursive: true });
    return damaged;
  }

  /** Checks the root file system as it is; throws where e2fsck finds anything. */
  checkRoot(): void {
    const root = this.#copyRoot();
    this.#run("usr/sbin/e2fsck", "-fn", root);
    rmSync(root);
  }

  /** The root file system in a file of its own: e2fsck loses an offset when it replays a journal. */
  #copyRoot(): string {
    const root = `${this.file}.root`;
    const part = `driver=raw,offset=${this.#root},size=${this.rootBytes},file.filename=${this.file}`;
    this.#run("usr/bin/qemu-img", "convert", "--image-opts", "-O", "raw", part, root);
    return root;
  }

  /** Runs one of mtools' programs on the boot partition, whose drive has no letter: `::/loader`. */
  boot(program: string, ...words: readonly string[]): string {
    return this.#run(`usr/bin/${program}`, "-i", `${this.file}@@${this.#boot}`, ...words);
  }

  /** The root file system's UUID. */
  rootUuid(): string {
    return /Filesystem UUID: +(\S+)/.exec(this.debugfs("show_super_stats -h"))?.[1] ?? "";
  }

  /** Puts another file system in the place of the root. */
  replaceRoot(file: string): void {
    const holes = ["--punch-hole", "--offset", `${this.#root}`, "--length", `${this.rootBytes}`, this.file];
    const copy = [
      `if=${file}`,
      `of=${this.file}`,
      "status=none",
      "conv=notrunc,sparse",
      "bs=1M",
      `seek=${this.#root / 2 ** 20}`,
    ];
    for (const { status, stderr } of [run("fallocate", holes), run("dd", copy)]) {
      if (status !== 0) throw new Error(`the root file system cannot be replaced: ${stderr}`);
    }
  }

  /** Inverts one byte of a page of a file. */
  flipByte(path: string, page: number): void {
    const block = Number(this.debugfs(`bmap ${path} ${page}`).trim());
    if (!(block > 0)) throw new Error(`${path} has no page ${page}`);
    const position = this.#root + block * 4096 + 100;
    const fd = openSync(this.file, "r+");
    try {
      const byte = Buffer.alloc(1);
      readSync(fd, byte, 0, 1, position);
      writeSync(fd, Buffer.of((byte[0] ?? 0) ^ 0xff), 0, 1, position);
    } finally {
      closeSync(fd);
    }
  }

  #run(program: string, ...words: readonly string[]): string {
    const { status, stdout, stderr } = this.#trixie.run(program, ...words);
    if (status !== 0) throw new Error(`${program} ${words.join(" ")} ended with status ${status}: ${stderr}`);
    return stdout;
  }
}

interface SfdiskAnswer {
  readonly partitiontable: {
    readonly sectorsize: number;
    readonly partitions: readonly { readonly start: number; readonly size: number }[];
  };
}

/** The path of an object in a repo, from its id. */
export function objectPath(id: string): string {
  return `/composefs/objects/${id.slice(0, 2)}/${id.slice(2)}`;
}

function filesBelow(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
