import { fromText } from "../core/bytes/byte-string.ts";
import { decodeText } from "../core/bytes/utf8.ts";
import { OsdeployError, unless } from "../core/errors.ts";
import type { Linux, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import type { GuestArchitecture } from "./virtual-machine.ts";

/** UEFI for virtual machines: its code, and a template of its variables. */
export interface Firmware {
  readonly code: Path;
  readonly variables: Path;
}

/** What the lab needs of this machine. */
export interface LabPrograms {
  readonly qemu: string;
  /** QEMU's main version. */
  readonly qemuVersion: number | undefined;
  readonly firmware: Firmware;
}

/** Below a directory of shared data, for each architecture, in the order in which distributions are looked for. */
const firmwareFiles: Readonly<Record<GuestArchitecture, readonly (readonly [code: string, variables: string])[]>> = {
  x86_64: [
    ["OVMF/OVMF_CODE_4M.fd", "OVMF/OVMF_VARS_4M.fd"],
    ["edk2/ovmf/OVMF_CODE.fd", "edk2/ovmf/OVMF_VARS.fd"],
    ["edk2/x64/OVMF_CODE.4m.fd", "edk2/x64/OVMF_VARS.4m.fd"],
  ],
  aarch64: [
    ["AAVMF/AAVMF_CODE.fd", "AAVMF/AAVMF_VARS.fd"],
    ["edk2/aarch64/QEMU_EFI-pflash.raw", "edk2/aarch64/vars-template-pflash.raw"],
  ],
};

const packages: Readonly<Record<GuestArchitecture, { readonly qemu: string; readonly firmware: string }>> = {
  x86_64: { qemu: "qemu-system-x86", firmware: "ovmf" },
  aarch64: { qemu: "qemu-system-arm", firmware: "qemu-efi-aarch64" },
};

/**
 * Finds QEMU, its disk tool, ssh and the firmware on this machine.
 *
 * `dataDirectories` as in XDG_DATA_DIRS.
 *
 * @throws OsdeployError `unsupported` that names the Debian packages to install: all of them at once.
 */
export function findLabPrograms(
  linux: Linux,
  architecture: GuestArchitecture,
  dataDirectories: readonly string[],
): LabPrograms {
  const qemu = `qemu-system-${architecture}`;
  const version = said(linux, [qemu, "--version"]);
  const firmware = findFirmware(linux, architecture, dataDirectories);
  const wanted = packages[architecture];
  const lacking = [
    ...(version === undefined ? [wanted.qemu] : []),
    ...(said(linux, ["qemu-img", "--version"]) === undefined ? ["qemu-utils"] : []),
    ...(firmware === undefined ? [wanted.firmware] : []),
    ...(said(linux, ["ssh", "-V"]) === undefined ? ["openssh-client"] : []),
  ];
  if (version !== undefined && firmware !== undefined && lacking.length === 0) {
    return { qemu, qemuVersion: mainVersion(version), firmware };
  }
  throw missingPackages("Cannot run virtual machines here", lacking);
}

/** The error that programs are missing, with what to do about it on Debian. */
export function missingPackages(verb: string, names: readonly string[]): OsdeployError {
  return new OsdeployError(
    "unsupported",
    `${verb}: ${names.join(", ")} ${names.length === 1 ? "is" : "are"} not installed`,
    {
      facts: { hint: `Install the Debian packages: apt install ${names.join(" ")}` },
    },
  );
}

/** What a program prints; undefined where there is none. */
function said(linux: Linux, words: readonly [string, ...string[]]): string | undefined {
  return unless("not-found", () => decodeText(linux.programs.run(words).stdout));
}

function mainVersion(text: string): number | undefined {
  const digits = /version (\d+)\./.exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function findFirmware(
  linux: Linux,
  architecture: GuestArchitecture,
  directories: readonly string[],
): Firmware | undefined {
  // What packages put there may be a link.
  const find = (path: Path) => unless("not-found", () => linux.files.realPath(path));
  for (const directory of directories) {
    for (const [codeFile, variablesFile] of firmwareFiles[architecture]) {
      const [code, variables] = [find(below(directory, codeFile)), find(below(directory, variablesFile))];
      if (code !== undefined && variables !== undefined) return { code, variables };
    }
  }
  return undefined;
}

function below(directory: string, file: string): Path {
  return pathBelow(fromText(directory.replace(/\/+$/, "")), file);
}
