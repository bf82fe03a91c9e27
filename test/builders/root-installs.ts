import { readBootEntries } from "../../src/bootloader/bls-directory.ts";
import { fromBytes, fromText } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import {
  type InstallToRootRequest,
  type InstallToRootResult,
  installToRoot,
} from "../../src/operations/install-to-root.ts";
import type { FakeLinux, FakeLinuxOptions } from "../fakes/fake-linux.ts";
import { buildImageWithKernel, buildInstallImage } from "./install-images.ts";
import type { LayerFile } from "./oci-layer.ts";
import { layoutReference, linuxAmd64, machineWith, sysrootPath, systemOn } from "./operation-machine.ts";
import { type FakeMount, putMounts, toolsThatSay } from "./tool-runs.ts";

/** The lists of modules of an image's kernel: all of these are built in. */
function moduleLists(builtin: readonly string[]): readonly LayerFile[] {
  const directory = "usr/lib/modules/6.12.1-test";
  return [
    { path: `${directory}/modules.builtin`, content: builtin.map((name) => `kernel/fs/${name}.ko\n`).join("") },
    { path: `${directory}/modules.dep`, content: "kernel/fs/fuse/fuse.ko:\n" },
  ];
}

/** The images that can be installed, by tag. */
const images = {
  os: await buildInstallImage(),
  driverless: await buildInstallImage({
    changes: moduleLists(["erofs"]),
  }),
  bootless: await buildInstallImage({ changes: moduleLists(["erofs", "overlay", "ext4"]) }),
  older: await buildImageWithKernel("6.4.0"),
  loaderless: await buildInstallImage({ without: ["usr/lib/systemd/boot"] }),
  homeless: await buildInstallImage({ without: ["etc/ssh", "etc/ssh/sshd_config.d"] }),
  roaming: await buildInstallImage({
    without: ["root"],
    changes: [
      { path: "root", symlink: "var/roothome" },
      { path: "var/roothome", mode: 0o700 },
    ],
  }),
  nested: await buildInstallImage({
    without: ["root"],
    changes: [
      { path: "root", symlink: "var/roothome" },
      { path: "var/roothome", symlink: "/elsewhere" },
    ],
  }),
  nestedKeys: await buildInstallImage({
    without: ["root"],
    changes: [
      { path: "root", symlink: "var/roothome" },
      { path: "var/roothome", mode: 0o700 },
      { path: "var/roothome/.ssh", symlink: "/elsewhere" },
    ],
  }),
  efi: await buildInstallImage({ changes: [{ path: "efi" }] }),
  overlaid: await buildInstallImage({
    without: ["etc/ssh"],
    changes: [
      { path: "etc/ssh", mode: 0o711, xattrs: { "security.capability": "of the image" } },
      { path: "etc/ssh/sshd_config.d" },
      { path: "usr/lib/composefs" },
      { path: "usr/lib/composefs/setup-root-conf.toml", content: '[etc]\nmount = "overlay"\n' },
    ],
  }),
  nestedSsh: await buildInstallImage({ changes: [{ path: "etc/ssh/authorized_keys.d", symlink: "/elsewhere" }] }),
};

export const rootMount = { at: "/target", type: "ext4", source: "/dev/sda2" };
export const espMount = { at: "/esp", type: "vfat", source: "/dev/sda3" };
export const bootMount = { at: "/target/boot", type: "vfat", source: "/dev/sda1" };

/** How the machine differs from the usual one. */
export interface MachineOptions extends FakeLinuxOptions {
  readonly mounts?: readonly FakeMount[];
  readonly rootUuid?: string;
  /** What the partition table says that the boot partition is for. */
  readonly bootType?: string;
}

/** A machine with empty file systems at /target and /target/boot, or with other mounts. */
export function machine({
  mounts = [rootMount, bootMount],
  rootUuid = "root-uuid\n",
  bootType = "bc13c2ff-59e6-4262-a352-b275fd6f7172\n",
  ...options
}: MachineOptions = {}): FakeLinux {
  const linux = machineWith(images, {
    mountPoints: [{ path: "/target" }, ...mounts.filter(({ at }) => at !== "/target").map(({ at }) => ({ path: at }))],
    runProgram: toolsThatSay((words) => {
      if (words.includes("PART_ENTRY_TYPE")) return bootType;
      if (words.at(-1) === espMount.source) return "E59-0001\n";
      return words.at(-1) === "/dev/sda2" ? rootUuid : "B007-0001\n";
    }),
    ...options,
  });
  putMounts(linux, mounts);
  return linux;
}

/** A request to install the usual image there, with changes. */
export function requestFor(changes: Partial<InstallToRootRequest> = {}): InstallToRootRequest {
  return {
    image: parseImageReference(layoutReference("os")),
    platform: linuxAmd64,
    source: { environment: { variables: {}, userId: 0 } },
    targetImage: parseImageReference(layoutReference("os")),
    kernelArguments: [],
    bootloader: "systemd-boot",
    rootKeys: undefined,
    allowMissingVerity: false,
    root: sysrootPath,
    isExisting: false,
    rootSpec: undefined,
    ...changes,
  };
}

/** Runs it. */
export async function install(
  linux: FakeLinux,
  changes: Partial<InstallToRootRequest> = {},
): Promise<InstallToRootResult> {
  return await installToRoot(systemOn(linux), requestFor(changes));
}

/** What it refuses with. */
export async function refusal(linux: FakeLinux, changes: Partial<InstallToRootRequest> = {}): Promise<string> {
  try {
    await install(linux, changes);
  } catch (error) {
    if (error instanceof OsdeployError) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "nothing was refused";
}

/** The text of a file. */
export function text(linux: FakeLinux, path: string): string {
  return fromBytes(linux.files.readFile(fromText(path), 1_000_000));
}

/** Our entries on the boot partition. */
export function entriesOf(linux: FakeLinux) {
  return readBootEntries(linux.files, fromText("/target/boot")).entries;
}
