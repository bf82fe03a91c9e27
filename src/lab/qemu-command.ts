import { toText } from "../core/bytes/byte-string.ts";
import { encodeText } from "../core/bytes/utf8.ts";
import type { Path } from "../linux/linux.ts";
import type { PowerOn, SerialPort, VirtualDisk, VirtualMachine } from "./virtual-machine.ts";

/**
 * The words after QEMU's name that switch `machine` on.
 *
 * No display, no default devices; random numbers from the host, because a fresh guest has none to make keys from.
 *
 * @see https://www.qemu.org/docs/master/system/invocation.html
 */
export function qemuWords(machine: VirtualMachine): readonly string[] {
  return [
    ...["-nodefaults", "-display", "none"],
    ...["-machine", boards[machine.architecture], "-accel", accelerator(machine), "-cpu", processor(machine)],
    ...["-smp", `${machine.processors}`, "-m", `${machine.memoryMegabytes}`],
    ...powerOnWords(machine.powerOn),
    ...machine.disks.flatMap(diskWords),
    ...networkWords(machine.network),
    ...machine.serials.flatMap(serialWords),
    ...["-device", "virtio-rng-pci"],
    ...["-qmp", `unix:${escaped(machine.monitor)},server=on,wait=off`],
    ...credentialWords(machine.credentials),
  ];
}

/**
 * `smm=off,sata=off`: the translator is faster without what nothing uses here. `-M microvm` would be faster still, and
 * hangs in Debian's kernels.
 */
const boards = { x86_64: "q35,smm=off,sata=off", aarch64: "virt,gic-version=max" } as const;

function accelerator({ acceleration }: VirtualMachine): string {
  return acceleration === "kvm" ? "kvm" : "tcg,thread=multi";
}

/** Old translators corrupt the flags in cmpxchg16b: kernels that do without it live. */
const firstSoundTranslator = 8;

function processor({ architecture, acceleration, qemuVersion }: VirtualMachine): string {
  if (acceleration === "kvm") return "host";
  if (architecture === "aarch64") return "max,pauth-impdef=on";
  return qemuVersion === undefined || qemuVersion < firstSoundTranslator ? "Nehalem,-cx16" : "max";
}

function powerOnWords(powerOn: PowerOn): readonly string[] {
  if (powerOn.kind === "kernel") {
    return ["-kernel", toText(powerOn.kernel), "-initrd", toText(powerOn.initramfs), "-append", powerOn.arguments];
  }
  return [
    ...["-drive", `if=pflash,unit=0,format=raw,readonly=on,file=${escaped(powerOn.code)}`],
    ...["-drive", `if=pflash,unit=1,format=raw,file=${escaped(powerOn.variables)}`],
  ];
}

/**
 * Flushes are not waited for: what a guest has written survives its power cut in this machine's memory. Only a crash of
 * this machine can damage the disk, and lab machines are made to be thrown away.
 */
function diskWords({ file, format, writeLog }: VirtualDisk, index: number): readonly string[] {
  const id = `disk${index}`;
  const place = `format=${format},cache=unsafe,file=${escaped(file)}`;
  const logged = `driver=blklogwrites,file.driver=${format},file.file.driver=file,file.file.filename=${escaped(file)}`;
  const drive = writeLog === undefined ? place : `${logged},log.driver=file,log.filename=${escaped(writeLog)}`;
  return ["-drive", `if=none,id=${id},${drive}`, "-device", `virtio-blk-pci,drive=${id},bootindex=${index}`];
}

function networkWords(network: VirtualMachine["network"]): readonly string[] {
  if (network === undefined) return ["-nic", "none"];
  const forwards = network.forwards.map(({ host, guest }) => `,hostfwd=tcp:127.0.0.1:${host}-:${guest}`);
  return ["-nic", `user,model=virtio-net-pci${forwards.join("")}`];
}

function serialWords({ socket, log }: SerialPort, index: number): readonly string[] {
  const id = `serial${index}`;
  const place = `path=${escaped(socket)},server=on,wait=off,logfile=${escaped(log)},logappend=on`;
  return ["-chardev", `socket,id=${id},${place}`, "-serial", `chardev:${id}`];
}

/** @see systemd.system-credentials(7), "io.systemd.credential.binary" in systemd(1) */
function credentialWords(credentials: VirtualMachine["credentials"]): readonly string[] {
  return Object.entries(credentials).flatMap(([name, value]) => {
    const bytes = encodeText(value);
    const base64 = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    return ["-smbios", `type=11,value=io.systemd.credential.binary:${name}=${base64}`];
  });
}

/** A path inside of one of QEMU's comma-separated options. */
function escaped(path: Path): string {
  return toText(path).replaceAll(",", ",,");
}
