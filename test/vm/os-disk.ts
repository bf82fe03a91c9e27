import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import type { VirtualDisk } from "../../src/lab/virtual-machine.ts";
import { extractImage } from "../tools/extract-image.ts";
import { projectDir } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";
import { findTrixie, type Trixie } from "./trixie.ts";

const {
  OSDEPLOY_IMAGES = ".cache/images",
  OSDEPLOY_DIST = "dist",
  OSDEPLOY_VM = ".cache/vm",
  OSDEPLOY_VM_RUN = "",
} = process.env;

/** The OCI layout of `images/build.sh`, with the tags v1, v2, panic, hang and sick. */
export const osLayout = resolve(projectDir, OSDEPLOY_IMAGES, "debian-small-zstd");

/** Where the machines of these tests are. Kept after the tests: the consoles tell what happened. */
export const vmPlace = resolve(projectDir, OSDEPLOY_VM);

export type TestLoader = "systemd-boot" | "grub";

/** What the guests follow. Where that registry is, their registries.conf says: each test file has one of its own. */
export const guestRegistry = "registry.test";
export const guestImage = `${guestRegistry}/os:latest`;

/** The time limit of a counted boot, as base disks have it. */
export const deadlineSeconds = 400;

/**
 * What a guest needs to be seen and to work without KVM. On a machine that has much else to do, a good boot may take minutes,
 * and devices come later than the 90 seconds after which systemd goes on without them.
 */
export const guestArguments = ["console=ttyS0", "no_timer_check", "systemd.default_device_timeout_sec=600"] as const;

/** The same as words of `osdeploy install`. */
export const guestWords = kernelWords(guestArguments);

/** After a panic nobody is there to read it. */
const kernelArguments = [...guestArguments, "panic=1", `osdeploy.deadline=${deadlineSeconds}`];

/** The tools and the image that tests on a whole system need; undefined where they are not, and the tests are skipped by name. */
export function findMachineRoom(): Trixie | undefined {
  return existsSync(join(osLayout, "index.json")) ? findTrixie() : undefined;
}

/** Says in a test's name why it is skipped. */
export const needs = "(skipped without what test/vm/setup.sh and images/build.sh make)";

/** Runs this checkout's build of osdeploy. */
export function osdeploy(...words: readonly string[]) {
  return run(process.execPath, [resolve(projectDir, OSDEPLOY_DIST, "cli/main.js"), ...words]);
}

/** The disk with v1 and a loader, as `osdeploy install to-disk` makes it. */
export function baseDisk(loader: TestLoader): string {
  return join(vmPlace, `${loader}.raw`);
}

/** Makes {@link baseDisk}, once for all test files of a run. */
export async function installBaseDisk(loader: TestLoader): Promise<void> {
  await onceARun(`install-${loader}`, () => install(loader));
}

/** Does `make` unless that was done in this run. Test files do not share a process: the others wait until it is done. */
export async function onceARun(name: string, make: () => void | Promise<void>): Promise<void> {
  const marks = join(vmPlace, "runs", OSDEPLOY_VM_RUN);
  mkdirSync(marks, { recursive: true });
  const at = (state: string) => join(marks, `${name}.${state}`);
  if (!isFirst(at("begun"))) {
    while (!existsSync(at("ended"))) {
      await pause(200);
      const maker = readFileSync(at("begun"), "utf8");
      if (maker !== "" && !existsSync(`/proc/${maker}`)) throw new Error(`${name} was not made: its maker has ended`);
    }
    const why = readFileSync(at("ended"), "utf8");
    if (why !== "") throw new Error(`${name} was not made: ${why}`);
    return;
  }
  try {
    await make();
    writeFileSync(at("ended"), "");
  } catch (error) {
    writeFileSync(at("ended"), `${error}`);
    throw error;
  }
}

/** Makes a file; whether it was not there. */
function isFirst(file: string): boolean {
  try {
    writeFileSync(file, `${process.pid}`, { flag: "wx" });
    return true;
  } catch (error) {
    if (existsSync(file)) return false;
    throw error;
  }
}

function kernelWords(kernel: readonly string[]): readonly string[] {
  return kernel.flatMap((argument) => ["--karg", argument]);
}

function install(loader: TestLoader): void {
  rmSync(baseDisk(loader), { force: true });
  const source = ["--source-imgref", `oci:${osLayout}:v1`, "--target-imgref", guestImage];
  const words = kernelWords(kernelArguments);
  const size = ["--size", "4G", "--boot-size", "256M"];
  const { status, stderr } = osdeploy(
    "install",
    "to-disk",
    ...source,
    ...words,
    ...size,
    "--bootloader",
    loader,
    baseDisk(loader),
  );
  if (status !== 0) throw new Error(`osdeploy install to-disk ended with status ${status}: ${stderr}`);
  hideMenu(loader);
}

/** The loader's menu is not waited for: nobody is there to choose, and there are many boots. */
function hideMenu(loader: TestLoader): void {
  const path = loader === "grub" ? "::/grub/grub.cfg" : "::/loader/loader.conf";
  // The ESP is the first partition.
  const esp = `${baseDisk(loader)}@@1M`;
  const file = join(vmPlace, `${loader}.menu`);
  const mtool = (program: string, ...words: readonly string[]) => {
    const ended = findTrixie()?.run(`usr/bin/${program}`, "-n", "-o", "-i", esp, ...words);
    if (ended?.status !== 0) throw new Error(`${program} ended with status ${ended?.status}: ${ended?.stderr}`);
  };
  mtool("mcopy", path, file);
  const text = readFileSync(file, "utf8");
  const hidden = text.replace(/^(timeout |set timeout=)\d+$/m, "$10");
  if (hidden === text) throw new Error(`${path} has no time limit`);
  writeFileSync(file, hidden);
  mtool("mcopy", file, path);
}

/** A new disk that begins as another one; only what differs from it is kept. */
export function overlayDisk(trixie: Trixie, base: string, file: string): VirtualDisk {
  rmSync(file, { force: true });
  const format = base.endsWith(".qcow2") ? "qcow2" : "raw";
  const { status, stderr } = trixie.run(
    "usr/bin/qemu-img",
    "create",
    "-q",
    "-f",
    "qcow2",
    "-F",
    format,
    "-b",
    base,
    file,
  );
  if (status !== 0) throw new Error(`qemu-img ended with status ${status}: ${stderr}`);
  return { file: fromText(file), format: "qcow2" };
}

/** The bytes of all different contents of regular files in the images together. */
export function uniqueBytes(tags: readonly string[]): number {
  const sizes = new Map<string, number>();
  for (const tag of tags) {
    const tree = join(vmPlace, `tree-${tag}`);
    rmSync(tree, { recursive: true, force: true });
    extractImage(osLayout, tag, tree);
    const { stdout } = run("find", [tree, "-type", "f", "-exec", "sha256sum", "--zero", "{}", "+"]);
    for (const line of stdout.split("\0")) {
      const file = Buffer.from(line.slice(66), "latin1");
      if (line !== "") sizes.set(line.slice(0, 64), statSync(file).size);
    }
    rmSync(tree, { recursive: true });
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
