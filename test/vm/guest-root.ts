import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Tagged, writeLayout } from "../builders/oci-layout.ts";
import { projectDir } from "../tools/find-tool.ts";
import { type Ended, run } from "../tools/run-cli.ts";
import type { Trixie } from "./trixie.ts";

/** The kernel modules for composefs and the data disk, each after those it depends on. */
const kernelModules = ["drivers/block/virtio_blk", "lib/libcrc32c", "fs/erofs/erofs", "fs/overlayfs/overlay"];

/** Programs of Debian 13 that the guest has besides busybox. */
const guestPrograms = ["usr/bin/fsverity", "usr/sbin/debugfs"];

/** What a guest finds on its root disk. */
export interface GuestContent {
  /** The images of the OCI layout in /images. */
  readonly images: readonly Tagged[];
  /** Shell variables of its scripts. */
  readonly variables: Readonly<Record<string, string>>;
}

/**
 * Makes the disk that a guest boots from: this machine's Node with this checkout's build of osdeploy, busybox and a few
 * programs of Debian 13, the scripts in `test/vm/guest`, and images. Without a mount, and so without root's rights.
 */
export function makeGuestRoot(trixie: Trixie, disk: string, content: GuestContent): void {
  const tree = `${disk}.tree`;
  rmSync(tree, { recursive: true, force: true });
  for (const name of ["bin", "data", "dev", "etc", "mnt", "proc", "run", "sys", "tmp"]) {
    mkdirSync(join(tree, name), { recursive: true });
  }
  addBusybox(trixie, tree);
  addPrograms(trixie, tree);
  addModules(trixie, tree);
  addNode(tree);
  addOsdeploy(tree);
  cpSync(join(import.meta.dirname, "guest"), join(tree, "guest"), { recursive: true });
  chmodSync(join(tree, "guest/init"), 0o755);
  const variables = Object.entries(content.variables).map(([name, value]) => `${name}='${value}'\n`);
  writeFileSync(join(tree, "guest/variables.sh"), variables.join(""));
  writeLayout(join(tree, "images"), content.images);
  makeDisk(trixie, disk, { megabytes: 512, options: ["-d", tree] });
  rmSync(tree, { recursive: true });
}

/** Makes an empty disk whose ext4 can seal files. */
export function makeDataDisk(trixie: Trixie, disk: string): void {
  makeDisk(trixie, disk, { megabytes: 512, options: ["-O", "verity"] });
}

function makeDisk(
  trixie: Trixie,
  disk: string,
  how: { readonly megabytes: number; readonly options: readonly string[] },
): void {
  rmSync(disk, { force: true });
  writeFileSync(disk, "");
  truncateSync(disk, how.megabytes * 1024 * 1024);
  expectDone(trixie.run("usr/sbin/mkfs.ext4", "-q", "-b", "4096", ...how.options, disk));
}

function expectDone({ status, stderr }: Ended): void {
  if (status !== 0) throw new Error(`a program ended with status ${status}: ${stderr}`);
}

function addBusybox(trixie: Trixie, tree: string): void {
  cpSync(trixie.path("usr/bin/busybox"), join(tree, "bin/busybox"));
  symlinkSync("busybox", join(tree, "bin/sh"));
}

/** Their libraries are not this machine's, which Node needs: so they have a place of their own, and their own loader. */
function addPrograms(trixie: Trixie, tree: string): void {
  mkdirSync(join(tree, "trixie"));
  cpSync(trixie.loader, join(tree, "trixie/loader"), { dereference: true });
  for (const program of guestPrograms) {
    const name = basename(program);
    for (const file of [trixie.path(program), ...trixie.librariesOf(program)]) {
      cpSync(file, join(tree, "trixie", basename(file)), { dereference: true });
    }
    writeProgram(join(tree, "bin", name), `exec /trixie/loader --library-path /trixie /trixie/${name} "$@"`);
  }
}

function addModules(trixie: Trixie, tree: string): void {
  mkdirSync(join(tree, "modules"));
  for (const [index, name] of kernelModules.entries()) {
    cpSync(trixie.kernelModule(name), join(tree, `modules/${index}-${basename(name)}.ko.xz`));
  }
}

function addNode(tree: string): void {
  cpSync(realpathSync(process.execPath), join(tree, "bin/node"));
  const libraries = [...run("ldd", [process.execPath]).stdout.matchAll(/(?:=> |^\s*)(\/\S+)/gm)].map(
    ([, path = ""]) => path,
  );
  const place = dirname(libraries.find((path) => basename(path).startsWith("libc.so")) ?? "/lib/libc.so");
  // osdeploy loads it by name.
  const zstd = [place, "/usr/lib/x86_64-linux-gnu"].map((path) => join(path, "libzstd.so.1")).find(existsSync);
  for (const library of [...libraries, ...(zstd === undefined ? [] : [zstd])]) {
    mkdirSync(join(tree, dirname(library)), { recursive: true });
    cpSync(library, join(tree, library), { dereference: true });
  }
  for (const part of nodeParts.map((name) => `/usr/share/nodejs/${name}`).filter(existsSync)) {
    cpSync(part, join(tree, part), { recursive: true, dereference: true });
  }
}

/** Parts of Node that Debian's own package keeps as files. */
const nodeParts = ["acorn", "acorn-walk", "amaro", "cjs-module-lexer", "minimatch", "undici"];

interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
}

function addOsdeploy(tree: string): void {
  const place = join(tree, "osdeploy");
  const { packages } = JSON.parse(readFileSync(join(projectDir, "package-lock.json"), "utf8")) as Lockfile;
  const needed = Object.keys(packages).filter((path) => path !== "" && packages[path]?.dev !== true);
  for (const path of ["dist", "package.json", ...needed]) {
    if (existsSync(join(projectDir, path))) {
      cpSync(join(projectDir, path), join(place, path), { recursive: true, dereference: true });
    }
  }
  writeProgram(join(tree, "bin/osdeploy"), 'exec node /osdeploy/dist/cli/main.js "$@"');
}

function writeProgram(file: string, text: string): void {
  writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
}
