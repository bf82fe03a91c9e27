import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import type { VirtualDisk } from "../../src/lab/virtual-machine.ts";
import { extractImage } from "../tools/extract-image.ts";
import { projectDir } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";
import { findTrixie, type Trixie } from "./trixie.ts";

const { OSDEPLOY_IMAGES = ".cache/images", OSDEPLOY_DIST = "dist", OSDEPLOY_VM_RUN = "" } = process.env;

/** The OCI layout of `images/build.sh`, with the tags v1, v2, panic, hang and sick. */
export const osLayout = resolve(projectDir, OSDEPLOY_IMAGES, "debian-small-zstd");

/** Where the machines of these tests are. Kept after the tests: the consoles tell what happened. */
export const vmPlace = resolve(projectDir, ".cache/vm");

export type TestLoader = "systemd-boot" | "grub";

/** What the guests follow: the port leads to the registry of the test that runs. */
export const guestPort = 5999;
export const guestImage = `10.0.2.2:${guestPort}/os:latest`;

/** The time limit of a counted boot, as base disks have it. */
export const deadlineSeconds = 400;

/**
 * What a guest needs to be seen and to work without KVM. On a machine that has much else to do, a good boot may take minutes.
 * After a panic nobody is there to read it.
 */
const kernelArguments = ["console=ttyS0", "no_timer_check", "panic=1", `osdeploy.deadline=${deadlineSeconds}`];

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

/** Does `make` unless that was done in this run; test files do not share a process. */
export async function onceARun(name: string, make: () => void | Promise<void>): Promise<void> {
  mkdirSync(vmPlace, { recursive: true });
  const mark = join(vmPlace, `${name}.run`);
  if (existsSync(mark) && readFileSync(mark, "utf8") === OSDEPLOY_VM_RUN) return;
  await make();
  writeFileSync(mark, OSDEPLOY_VM_RUN);
}

function install(loader: TestLoader): void {
  rmSync(baseDisk(loader), { force: true });
  const source = ["--source-imgref", `oci:${osLayout}:v1`, "--target-imgref", guestImage];
  const words = kernelArguments.flatMap((argument) => ["--karg", argument]);
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
