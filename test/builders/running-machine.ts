import type { BootloaderKind } from "../../src/bootloader/bootloader.ts";
import { openBootloader } from "../../src/bootloader/open-bootloader.ts";
import { type LoaderSettings, prepareBootPartition } from "../../src/bootloader/prepare-boot-partition.ts";
import { type BootEntry, bootEntryFileName, bootEntryId } from "../../src/core/boot/boot-menu.ts";
import {
  formatGrubEnvironment,
  parseGrubEnvironment,
  withGrubVariables,
} from "../../src/core/boot/grub-environment.ts";
import { grubTriesVariable } from "../../src/core/boot/grub-menu.ts";
import { fromBytes, fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import { nextEntry } from "../../src/core/deployment/deployment.ts";
import { assert } from "../../src/core/errors.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { LinuxPrograms } from "../../src/linux/linux.ts";
import { removeTree } from "../../src/linux/remove-tree.ts";
import { type SwitchResult, switchImage } from "../../src/operations/switch.ts";
import { readSysrootState } from "../../src/operations/sysroot-state.ts";
import type { System } from "../../src/operations/system.ts";
import { openSysroot } from "../../src/sysroot/sysroot.ts";
import { FakeLinux, type FakeLinuxOptions } from "../fakes/fake-linux.ts";
import type { BuiltImage } from "./oci-image.ts";
import { layoutPath, layoutReference, linuxAmd64, noLogin, systemOn } from "./operation-machine.ts";
import { placeLayout } from "./os-images.ts";

/** Where a running system has its physical root, and its boot partition. */
export const physicalRoot = fromText("/sysroot");
const bootPartition = fromText("/boot");

/** What the machine of a test is, besides its images. */
export interface RunningMachineOptions extends FakeLinuxOptions {
  readonly bootloader?: BootloaderKind;
  readonly bootBytes?: number;
}

const timeOfTests = Date.UTC(2026, 0, 2, 3, 4, 5);

/**
 * A machine that was installed with the image of this tag and has booted it: a boot partition at /boot, /run that is lost at
 * a reboot, and /proc as the initramfs and the loader leave it.
 */
export async function runningMachine(
  images: Readonly<Record<string, BuiltImage>>,
  tag: string,
  options: RunningMachineOptions = {},
): Promise<FakeLinux> {
  const { bootloader = "systemd-boot", bootBytes, ...make } = options;
  const linux = new FakeLinux({
    now: timeOfTests,
    ...make,
    mountPoints: [
      { path: "/sysroot" },
      { path: "/boot", ...(bootBytes !== undefined && { totalBytes: bootBytes }) },
      { path: "/run", volatile: true },
    ],
  });
  placeLayout(linux.files, layoutPath, images);
  prepareLoader(linux, bootloader);
  // As install does it: before the machine runs from there, what is to be /boot is given by the mount.
  writeProc(linux, "composefs:none", "");
  await install(linux, tag);
  boot(linux);
  return linux;
}

function prepareLoader({ files }: FakeLinux, kind: BootloaderKind): void {
  const settings: Readonly<Record<BootloaderKind, LoaderSettings>> = {
    "systemd-boot": { kind: "systemd-boot", timeoutSeconds: 1 },
    grub: { kind: "grub", fileSystemUuid: "ABCD-1234", directory: "/grub", timeoutSeconds: 1 },
    none: { kind: "none" },
  };
  prepareBootPartition(files, bootPartition, settings[kind]);
}

async function install(linux: FakeLinux, tag: string): Promise<void> {
  // The boot partition of the sysroot being installed is /sysroot/boot: a link to where the fake has mounted it.
  linux.files.symlink(fromText("/boot"), fromText("/sysroot/boot"));
  await switchImage(systemOn(linux), {
    image: parseImageReference(layoutReference(tag)),
    sysroot: physicalRoot,
    platform: linuxAmd64,
    source: noLogin,
    kernelArguments: ["root=UUID=1"],
  });
  linux.files.unlink(fromText("/sysroot/boot"));
  syncAll(linux);
}

/** Switches the running system to the image with this tag in the layout. */
export async function switchRunning(
  linux: FakeLinux,
  tag: string,
  options: { readonly finalizationLocked?: boolean; readonly system?: Partial<System> } = {},
): Promise<SwitchResult> {
  const { finalizationLocked = false } = options;
  return await switchImage(systemOn(linux, options.system), {
    image: parseImageReference(layoutReference(tag)),
    sysroot: physicalRoot,
    platform: linuxAmd64,
    source: noLogin,
    kernelArguments: [],
    finalizationLocked,
  });
}

/** Puts other images into the layout: what a tag names now. */
export function replaceLayout(linux: FakeLinux, images: Readonly<Record<string, BuiltImage>>): void {
  removeTree(linux.files, layoutPath);
  placeLayout(linux.files, layoutPath, images);
}

/** Makes all that is on the disks durable. */
export function syncAll({ files }: FakeLinux): void {
  for (const path of ["/", "/sysroot", "/boot"]) {
    const fd = files.open(fromText(path), "directory");
    files.syncFileSystem(fd);
    files.close(fd);
  }
}

/** The state of the sysroot of a running machine. */
export function stateOf(linux: FakeLinux): ReturnType<typeof readSysrootState> {
  const sysroot = openSysroot(linux.files, physicalRoot);
  return readSysrootState(sysroot, openBootloader(linux.files, { boot: bootPartition }).readMenu());
}

/**
 * What firmware, loader and initramfs do: choose the entry, count the try, and mount its root image. Gives the entry as it
 * was chosen.
 */
export function boot(linux: FakeLinux, options: { readonly counts?: boolean } = {}): BootEntry {
  const entry = nextEntry(stateOf(linux));
  assert(entry !== undefined, "there is something to boot");
  const { tries, fileName, sequence } = entry;
  const isCounted = tries !== undefined && tries.left > 0 && options.counts !== false;
  const isCountedByName = isCounted && fileName.includes("+");
  if (isCountedByName) {
    const counted = bootEntryFileName(sequence, { left: tries.left - 1, done: tries.done + 1 });
    linux.files.rename(fromText(`/boot/loader/entries/${fileName}`), fromText(`/boot/loader/entries/${counted}`));
  }
  // GRUB counts in its environment block, and says so before it knows whether that can be written.
  const isCountedByGrub = tries !== undefined && tries.left > 0 && !fileName.includes("+");
  if (isCounted && isCountedByGrub) writeGrubTries(linux, sequence, tries.left - 1);
  const said = isCountedByGrub ? ` osdeploy.tries=${tries.left - 1}` : "";
  writeProc(
    linux,
    `composefs:${entry.rootImage}`,
    `initrd=\\x root=UUID=1 osdeploy.entry=${bootEntryId(sequence)}${said}`,
  );
  syncAll(linux);
  return entry;
}

function writeGrubTries(linux: FakeLinux, sequence: number, left: number): void {
  const path = "/boot/grub/grubenv";
  const block = parseGrubEnvironment(linux.files.readFile(fromText(path), 1_000_000));
  const changes = new Map([[fromText(grubTriesVariable(sequence)), fromText(String(left))]]);
  writeText(linux, path, fromBytes(formatGrubEnvironment(withGrubVariables(block, changes))));
}

/** The kernel's own files, as far as osdeploy reads them. */
export function writeProc(linux: FakeLinux, rootSource: string, cmdline: string): void {
  const mountinfo = [
    `22 1 0:20 / / ro,relatime shared:1 - overlay ${rootSource} ro,lowerdir+=x`,
    "23 22 254:2 / /sysroot ro,relatime shared:2 - ext4 /dev/vda2 ro",
    "24 22 254:1 / /boot rw,nosuid shared:3 - vfat /dev/vda1 rw",
    "25 22 0:21 / /run rw,nosuid shared:4 - tmpfs tmpfs rw",
    "",
  ].join("\n");
  for (const [path, text] of [
    ["/proc/self/mountinfo", mountinfo],
    ["/proc/cmdline", `${cmdline}\n`],
  ] as const) {
    const parents = path.split("/").slice(1, -1);
    parents.forEach((_, index) => {
      const directory = fromText(`/${parents.slice(0, index + 1).join("/")}`);
      if (linux.files.lstatIfExists(directory) === undefined) linux.files.makeDirectory(directory, 0o755);
    });
    writeText(linux, path, text);
  }
}

/** Writes a file, whether or not it is there. */
export function writeText({ files }: FakeLinux, path: string, text: string): void {
  if (files.lstatIfExists(fromText(path)) !== undefined) files.unlink(fromText(path));
  files.writeNewFile(fromText(path), toBytes(fromText(text)), 0o644);
}

/** The text of a file. */
export function readText({ files }: FakeLinux, path: string): string {
  return fromBytes(files.readFile(fromText(path), 1_000_000));
}

/** Programs that write down how they were called, and answer as `answers` has it by their first word; else with success. */
export class RecordedPrograms {
  readonly calls: string[] = [];
  readonly #answers: Readonly<Record<string, (words: readonly string[]) => string>>;

  constructor(answers: Readonly<Record<string, (words: readonly string[]) => string>> = {}) {
    this.#answers = answers;
  }

  readonly run: LinuxPrograms["run"] = (words) => {
    this.calls.push(words.join(" "));
    const answer = this.#answers[words[0]];
    return { status: 0, stdout: toBytes(fromText(answer === undefined ? "" : answer(words))), stderr: "" };
  };
}
