import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import { fromBytes, fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import type { Linux, LinuxFiles, Path } from "../../src/linux/linux.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { FakeLinux } from "../fakes/fake-linux.ts";

/** An implementation of `Linux` with an empty directory `root` to work in. */
export interface Machine {
  readonly linux: Linux;
  readonly root: string;
  readonly end: () => void;
}

/** What the contract of `Linux` is tested against.. */
export const implementations: readonly { readonly name: string; readonly start: () => Machine }[] = [
  {
    name: "live",
    start: () => {
      const root = realpathSync(mkdtempSync(join(tmpdir(), "osdeploy-files-")));
      return { linux: openLinux(), root, end: () => rmSync(root, { recursive: true, force: true }) };
    },
  },
  {
    name: "fake",
    start: () => {
      const linux = new FakeLinux({ verity: false });
      linux.files.makeDirectory(fromText("/directory"), 0o755);
      return { linux, root: "/directory", end: () => assertAllClosed(linux) };
    },
  },
];

function assertAllClosed(linux: FakeLinux): void {
  if (linux.openPaths.length > 0) throw new Error(`Left open: ${linux.openPaths.join(", ")}`);
}

/** Whether owners and devices can be made. */
export const isRoot = process.getuid?.() === 0;

/** Bytes that are neither ASCII nor UTF-8. */
export const oddName = fromBytes(Uint8Array.of(0x61, 0xff, 0x0a, 0xc3));

/** The code and the errno of the error that `action` throws. */
export function failure(action: () => unknown): { code: string; errno: unknown; message: string } {
  try {
    action();
  } catch (error) {
    if (!(error instanceof OsdeployError)) throw error;
    const { errno } = error.facts;
    return { code: error.code, errno, message: error.message };
  }
  throw new Error("Nothing was thrown");
}

/** A fresh machine for each test of the `describe` in which it is made. */
export class MachineOfTest {
  #machine: Machine | undefined;

  constructor(start: () => Machine) {
    beforeEach(() => {
      this.#machine = start();
    });
    afterEach(() => this.machine.end());
  }

  get machine(): Machine {
    if (this.#machine === undefined) throw new Error("A machine lives as long as its test");
    return this.#machine;
  }

  get files(): LinuxFiles {
    return this.machine.linux.files;
  }

  /** `name` in the directory to work in. */
  readonly at = (name: string): Path => fromText(`${this.machine.root}/${name}`);

  readonly write = (name: string, text: string, permissions = 0o644): void =>
    this.files.writeNewFile(this.at(name), toBytes(fromText(text)), permissions);

  readonly text = (name: string): string => fromBytes(this.files.readFile(this.at(name), 1_000_000));
}
