import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { qemuWords } from "../../../src/lab/qemu-command.ts";
import type { VirtualMachine } from "../../../src/lab/virtual-machine.ts";

const machine: VirtualMachine = {
  architecture: "x86_64",
  acceleration: "kvm",
  qemuVersion: 10,
  memoryMegabytes: 2048,
  processors: 2,
  powerOn: { kind: "firmware", code: fromText("/fw/code.fd"), variables: fromText("/vm/variables.fd") },
  disks: [{ file: fromText("/vm/disk.qcow2"), format: "qcow2" }],
  network: { forwards: [{ host: 2022, guest: 22 }] },
  serials: [{ socket: fromText("/vm/console.socket"), log: fromText("/vm/console.log") }],
  monitor: fromText("/vm/qmp.socket"),
  credentials: {},
};

/** The value that follows a word. */
function wordsAfter(words: readonly string[], word: string): readonly string[] {
  return words.filter((_, at) => words[at - 1] === word);
}

describe("qemuWords", () => {
  test("a machine with firmware, disk, network and console", () => {
    const devices = ["-device", "virtio-blk-pci,drive=disk0,bootindex=0"];
    expect(qemuWords(machine)).toEqual([
      ...["-nodefaults", "-display", "none"],
      ...["-machine", "q35,smm=off,sata=off", "-accel", "kvm", "-cpu", "host", "-smp", "2", "-m", "2048"],
      ...["-drive", "if=pflash,unit=0,format=raw,readonly=on,file=/fw/code.fd"],
      ...["-drive", "if=pflash,unit=1,format=raw,file=/vm/variables.fd"],
      ...["-drive", "if=none,id=disk0,format=qcow2,cache=unsafe,file=/vm/disk.qcow2", ...devices],
      ...["-nic", "user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:2022-:22"],
      ...[
        "-chardev",
        "socket,id=serial0,path=/vm/console.socket,server=on,wait=off,logfile=/vm/console.log,logappend=on",
      ],
      ...["-serial", "chardev:serial0", "-device", "virtio-rng-pci"],
      ...["-qmp", "unix:/vm/qmp.socket,server=on,wait=off"],
    ]);
  });

  test("without KVM: a translator with threads; an old one does without the instruction that it gets wrong", () => {
    const cpu = (change: Partial<VirtualMachine>) =>
      wordsAfter(qemuWords({ ...machine, acceleration: "tcg", ...change }), "-cpu");
    expect(wordsAfter(qemuWords({ ...machine, acceleration: "tcg" }), "-accel")).toEqual(["tcg,thread=multi"]);
    expect(cpu({ qemuVersion: 10 })).toEqual(["max"]);
    expect(cpu({ qemuVersion: 8 })).toEqual(["max"]);
    expect(cpu({ qemuVersion: 7 })).toEqual(["Nehalem,-cx16"]);
    expect(cpu({ qemuVersion: undefined })).toEqual(["Nehalem,-cx16"]);
    expect(cpu({ qemuVersion: 7, architecture: "aarch64" })).toEqual(["max,pauth-impdef=on"]);
  });

  test("aarch64: its own board", () => {
    expect(wordsAfter(qemuWords({ ...machine, architecture: "aarch64" }), "-machine")).toEqual([
      "virt,gic-version=max",
    ]);
  });

  test("a kernel instead of firmware, and no network", () => {
    const kernel = fromText("/boot/vmlinuz");
    const powerOn = {
      kind: "kernel",
      kernel,
      initramfs: fromText("/boot/initramfs"),
      arguments: "quiet root=x",
    } as const;
    const words = qemuWords({ ...machine, powerOn, network: undefined });
    expect(wordsAfter(words, "-kernel")).toEqual(["/boot/vmlinuz"]);
    expect(wordsAfter(words, "-initrd")).toEqual(["/boot/initramfs"]);
    expect(wordsAfter(words, "-append")).toEqual(["quiet root=x"]);
    expect(wordsAfter(words, "-nic")).toEqual(["none"]);
    expect(words.join(" ")).not.toContain("pflash");
  });

  test("commas and bytes that are no ASCII in paths come through", () => {
    const words = qemuWords({ ...machine, disks: [{ file: fromText("/vm/a,b/ü.raw"), format: "raw" }] });
    expect(words).toContain("if=none,id=disk0,format=raw,cache=unsafe,file=/vm/a,,b/ü.raw");
  });

  test("several disks; one whose writes are logged", () => {
    const disks = [
      ...machine.disks,
      { file: fromText("/vm/two.raw"), format: "raw", writeLog: fromText("/vm/two.log") } as const,
    ];
    const drives = wordsAfter(qemuWords({ ...machine, disks }), "-drive").filter((drive) =>
      drive.startsWith("if=none"),
    );
    expect(drives).toHaveLength(2);
    expect(drives[1]).toContain("id=disk1,driver=blklogwrites,file.driver=raw");
    expect(drives[1]).toContain("file.file.filename=/vm/two.raw");
    expect(drives[1]).toContain("log.filename=/vm/two.log");
  });

  test("credentials: in base64, so that any text comes through", () => {
    const words = qemuWords({ ...machine, credentials: { "test.one": "a,b\nü", two: "" } });
    expect(wordsAfter(words, "-smbios")).toEqual([
      `type=11,value=io.systemd.credential.binary:test.one=${Buffer.from("a,b\nü").toString("base64")}`,
      "type=11,value=io.systemd.credential.binary:two=",
    ]);
  });
});
