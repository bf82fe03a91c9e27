import { OsdeployError } from "../core/errors.ts";
import type { Path } from "../linux/linux.ts";

/** The processors that lab machines can have. */
export type GuestArchitecture = "x86_64" | "aarch64";

/** What executes the guest's instructions: this processor, or QEMU's translator. */
export type Acceleration = "kvm" | "tcg";

/** A disk of a virtual machine; the guest sees a virtio block device. */
export interface VirtualDisk {
  readonly file: Path;
  readonly format: "qcow2" | "raw";
  /** Each write of the guest also goes to this file, in the order in which they came (dm-log-writes' format). */
  readonly writeLog?: Path;
}

/** How the machine comes from power-on to a kernel. */
export type PowerOn =
  /** UEFI: firmware code, and the file that holds its variables, which it writes to. */
  | { readonly kind: "firmware"; readonly code: Path; readonly variables: Path }
  /** QEMU itself loads the kernel. */
  | {
      readonly kind: "kernel";
      readonly kernel: Path;
      readonly initramfs: Path;
      readonly arguments: string;
    };

/** A serial port of the machine: a socket on which one at a time can talk, and a file to which all that it says goes. */
export interface SerialPort {
  readonly socket: Path;
  readonly log: Path;
}

/** A virtual machine as a value: all that QEMU has to know. */
export interface VirtualMachine {
  readonly architecture: GuestArchitecture;
  readonly acceleration: Acceleration;
  /** QEMU's main version; undefined where it would not say. */
  readonly qemuVersion: number | undefined;
  readonly memoryMegabytes: number;
  readonly processors: number;
  readonly powerOn: PowerOn;
  readonly disks: readonly VirtualDisk[];
  /** Ports of this machine's loopback that lead to ports of the guest; undefined for no network. */
  readonly network: { readonly forwards: readonly { readonly host: number; readonly guest: number }[] } | undefined;
  /** The first is the guest's console. */
  readonly serials: readonly SerialPort[];
  /** The socket on which QEMU takes commands (QMP). */
  readonly monitor: Path;
  /** Systemd credentials by name, handed over as SMBIOS strings. */
  readonly credentials: Readonly<Record<string, string>>;
}

/** Where a guest with user networking reaches this machine's loopback. @see QEMU's documentation of `-netdev user` */
export const hostSeenByGuest = "10.0.2.2";

/** Node's word for the processor → QEMU's. @throws OsdeployError `unsupported` for others. */
export function guestArchitecture(machine: string): GuestArchitecture {
  if (machine === "x64") return "x86_64";
  if (machine === "arm64") return "aarch64";
  throw new OsdeployError(
    "unsupported",
    `Cannot run virtual machines here: the lab knows x86-64 and aarch64, not ${machine}`,
  );
}

/** The kernel arguments without which a guest may not come up or not be seen. */
export function guestKernelArguments({
  architecture,
  acceleration,
}: Pick<VirtualMachine, "architecture" | "acceleration">): readonly string[] {
  const console = architecture === "x86_64" ? "console=ttyS0" : "console=ttyAMA0";
  // On a busy machine a translated guest can find that its timer does not work, and stops.
  return acceleration === "tcg" && architecture === "x86_64" ? [console, "no_timer_check"] : [console];
}
