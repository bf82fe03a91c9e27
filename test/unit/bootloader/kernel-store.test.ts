import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { failingDiskHint } from "../../../src/bootloader/commit-file.ts";
import {
  addKernel,
  listKernels,
  measureKernel,
  type NewKernel,
  removeKernels,
} from "../../../src/bootloader/kernel-store.ts";
import { fromBytes, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import type { ContentSource } from "../../../src/linux/file-content.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const boot = fromText("/boot");
const bytes = (text: string): ContentSource => ({ kind: "bytes", bytes: toBytes(fromText(text)) });
const fromFile = (path: string): ContentSource => ({ kind: "file", path: fromText(path) });

/** Two files of more than one piece. */
const kernelBytes = new Uint8Array(600_000).map((_, at) => at % 249);
const initramfsBytes = new Uint8Array(900_001).map((_, at) => at % 247);

const sha256 = (...parts: readonly Uint8Array[]) => createHash("sha256").update(Buffer.concat(parts)).digest("hex");
const bootDigest = sha256(kernelBytes, initramfsBytes);
const directory = `/boot/osdeploy/${bootDigest}`;
const small: NewKernel = {
  bootDigest: sha256(Buffer.from("kernelinitramfs")),
  vmlinuz: bytes("kernel"),
  initramfs: bytes("initramfs"),
};

function machine(): FakeLinux {
  const linux = new FakeLinux({ mountPoints: [{ path: "/boot" }] });
  linux.files.writeNewFile(fromText("/kernel"), kernelBytes, 0o600);
  linux.files.writeNewFile(fromText("/initramfs"), initramfsBytes, 0o600);
  return linux;
}

const kernel: NewKernel = { bootDigest, vmlinuz: fromFile("/kernel"), initramfs: fromFile("/initramfs") };

function read(linux: FakeLinux, name: string, digest = bootDigest): Uint8Array {
  return linux.files.readFile(fromText(`/boot/osdeploy/${digest}/${name}`), 1 << 20);
}

function expectWhole(linux: FakeLinux): void {
  expect(Buffer.compare(read(linux, "vmlinuz"), kernelBytes)).toBe(0);
  expect(Buffer.compare(read(linux, "initramfs.img"), initramfsBytes)).toBe(0);
  expect(linux.files.readDirectory(fromText(directory))).toEqual(["initramfs.img", "vmlinuz"]);
  expect(linux.openPaths).toEqual([]);
}

describe("addKernel", () => {
  test("puts both files there, durable, and names them as the loader sees them", () => {
    const linux = machine();
    expect(addKernel(linux.files, boot, kernel, "")).toEqual({
      kernelPath: `/osdeploy/${bootDigest}/vmlinuz`,
      initramfsPath: `/osdeploy/${bootDigest}/initramfs.img`,
    });
    expectWhole(linux.crash({ keepUnsynced: false, names: "lost" }));
  });

  test("names them below /boot where that is no partition of its own", () => {
    const linux = machine();
    expect(addKernel(linux.files, boot, kernel, "/boot").kernelPath).toBe(`/boot/osdeploy/${bootDigest}/vmlinuz`);
  });

  test("writes small files from memory", () => {
    const linux = machine();
    addKernel(linux.files, boot, small, "");
    expect(fromBytes(read(linux, "vmlinuz", small.bootDigest))).toBe("kernel");
    expect(fromBytes(read(linux, "initramfs.img", small.bootDigest))).toBe("initramfs");
  });

  test("writes no byte of a kernel that is there, and shares it by its boot digest", () => {
    const linux = machine();
    addKernel(linux.files, boot, kernel, "");
    const calls = linux.trace.length;
    addKernel(linux.files, boot, kernel, "");
    const later = linux.trace.slice(calls).map(({ call }) => call);
    expect(later).toEqual(["syncFileSystem"]);
    addKernel(linux.files, boot, small, "");
    expect(linux.files.readDirectory(fromText("/boot/osdeploy"))).toEqual([bootDigest, small.bootDigest].sort());
    expectWhole(linux);
  });

  test.each<[string, (linux: FakeLinux, path: ReturnType<typeof fromText>) => void]>([
    ["changed in its middle", (linux, path) => linux.damage(path, 400_000)],
    ["changed at its end", (linux, path) => linux.damage(path, 599_999)],
    ["empty", (linux, path) => replace(linux, path, new Uint8Array(0))],
    ["cut", (linux, path) => replace(linux, path, kernelBytes.subarray(0, 300_000))],
    ["too long", (linux, path) => replace(linux, path, new Uint8Array(600_001))],
  ])("replaces a kernel that is %s", (_, spoil) => {
    const linux = machine();
    addKernel(linux.files, boot, kernel, "");
    spoil(linux, fromText(`${directory}/vmlinuz`));
    addKernel(linux.files, boot, kernel, "");
    expectWhole(linux);
  });

  test("replaces a kernel that cannot be read any more", () => {
    const linux = machine();
    addKernel(linux.files, boot, kernel, "");
    const unreadable = new Set<string>();
    const files: LinuxFiles = {
      ...linux.files,
      open: (path, mode, permissions) => {
        if (path === `${directory}/vmlinuz` && mode === "read") {
          unreadable.add(path);
          throw new OsdeployError("system", "Cannot read: an input/output error (EIO)");
        }
        return linux.files.open(path, mode, permissions);
      },
    };
    const calls = linux.trace.length;
    addKernel(files, boot, kernel, "");
    expect(unreadable.size).toBe(1);
    expect(linux.trace.slice(calls).filter(({ call }) => call === "rename")).toHaveLength(2);
    expectWhole(linux);
  });

  test("does not take a missing permission for a kernel that is not whole", () => {
    const linux = machine();
    addKernel(linux.files, boot, kernel, "");
    const refuse = () => {
      throw new OsdeployError("permission-denied", "Cannot read: permission denied (EACCES)");
    };
    expect(() => addKernel({ ...linux.files, read: refuse }, boot, kernel, "")).toThrow("permission denied");
  });

  test("replaces what is no file", () => {
    const linux = machine();
    addKernel(linux.files, boot, kernel, "");
    linux.files.unlink(fromText(`${directory}/vmlinuz`));
    linux.files.symlink(fromText("/kernel"), fromText(`${directory}/vmlinuz`));
    addKernel(linux.files, boot, kernel, "");
    expect(linux.files.lstat(fromText(`${directory}/vmlinuz`)).kind).toBe("regular");
    expectWhole(linux);
  });

  test.each(["vmlinuz", "initramfs.img"])("writes both anew where %s is missing", (name) => {
    const linux = machine();
    addKernel(linux.files, boot, kernel, "");
    linux.files.unlink(fromText(`${directory}/${name}`));
    addKernel(linux.files, boot, kernel, "");
    expectWhole(linux);
  });

  test("what is measured is on the disk, and has no name before", () => {
    const linux = machine();
    addKernel(linux.files, boot, kernel, "");
    const names = ["vmlinuz", "initramfs.img"].map((name) => `${directory}/${name}`);
    const steps = linux.trace.filter(({ call }) => ["sync", "rename", "syncFileSystem"].includes(call));
    expect(steps.map(({ call, path }) => `${call} ${path}`)).toEqual([
      ...names.map((name) => `sync ${name}.new`),
      ...names.map((name) => `rename ${name}.new`),
      "syncFileSystem /boot",
    ]);
  });

  test("names nothing that does not measure to the boot digest", () => {
    const linux = machine();
    const wrong = { ...kernel, vmlinuz: bytes("another kernel") };
    const measured = sha256(Buffer.from("another kernel"), initramfsBytes);
    expect(() => addKernel(linux.files, boot, wrong, "")).toThrow(
      expect.objectContaining({ code: "damaged", facts: { bootDigest, measured, hint: failingDiskHint } }),
    );
    expect(linux.files.readDirectory(fromText(directory))).toEqual([]);
  });

  test("begins anew where a crash left a half-written file", () => {
    const linux = machine();
    linux.files.makeDirectory(fromText("/boot/osdeploy"), 0o755);
    linux.files.makeDirectory(fromText(directory), 0o755);
    linux.files.writeNewFile(fromText(`${directory}/vmlinuz.new`), new Uint8Array(5), 0o600);
    addKernel(linux.files, boot, kernel, "");
    expectWhole(linux);
  });

  test("what cannot be removed of a half-written file matters only where its name is needed", () => {
    const linux = machine();
    addKernel(linux.files, boot, kernel, "");
    linux.files.writeNewFile(fromText(`${directory}/vmlinuz.new`), new Uint8Array(5), 0o600);
    const kept = linux.crash({ keepUnsynced: true }, { failAt: 1, fault: "EIO" });
    addKernel(kept.files, boot, kernel, "");
    expect(kept.trace[0]).toMatchObject({ call: "unlink" });
    linux.damage(fromText(`${directory}/vmlinuz`), 7);
    const needed = linux.crash({ keepUnsynced: true }, { failAt: 1, fault: "EIO" });
    expect(() => addKernel(needed.files, boot, kernel, "")).toThrow(/^Cannot remove ".*\/vmlinuz\.new": /);
  });

  test("leaves the old file when the partition fills up while it is replaced", () => {
    const linux = new FakeLinux({ mountPoints: [{ path: "/boot", totalBytes: 1_600_000 }] });
    linux.files.writeNewFile(fromText("/kernel"), kernelBytes, 0o600);
    linux.files.writeNewFile(fromText("/initramfs"), initramfsBytes, 0o600);
    addKernel(linux.files, boot, kernel, "");
    linux.damage(fromText(`${directory}/vmlinuz`), 7);
    expect(() => addKernel(linux.files, boot, kernel, "")).toThrow(expect.objectContaining({ code: "no-space" }));
    expect(read(linux, "vmlinuz").length).toBe(600_000);
    expect(linux.openPaths).toEqual([]);
  });
});

function replace(linux: FakeLinux, path: ReturnType<typeof fromText>, content: Uint8Array): void {
  linux.files.unlink(path);
  linux.files.writeNewFile(path, content, 0o600);
}

/** A kernel's directory with these files, by name. */
function place(linux: FakeLinux, name: string, contents: Readonly<Record<string, string>>): string {
  for (const path of ["/boot/osdeploy", `/boot/osdeploy/${name}`]) {
    if (linux.files.lstatIfExists(fromText(path)) === undefined) linux.files.makeDirectory(fromText(path), 0o755);
  }
  for (const [file, text] of Object.entries(contents)) {
    linux.files.writeNewFile(fromText(`/boot/osdeploy/${name}/${file}`), toBytes(fromText(text)), 0o600);
  }
  return name;
}

test("listKernels: gives all kernels with the sizes of their files, whole or not, and nothing else", () => {
  const linux = machine();
  expect(listKernels(linux.files, boot)).toEqual([]);
  place(linux, "lost+found", { file: "x" });
  for (const name of [`old-${"ab".repeat(32)}`, `${"ab".repeat(32)}.old`]) place(linux, name, { vmlinuz: "a copy" });
  linux.files.writeNewFile(fromText(`/boot/osdeploy/${"ef".repeat(32)}`), new Uint8Array(3), 0o600);
  expect(listKernels(linux.files, boot)).toEqual([]);
  const half = place(linux, "00".repeat(32), { "vmlinuz.new": "half" });
  addKernel(linux.files, boot, small, "");
  expect(listKernels(linux.files, boot)).toEqual([
    { bootDigest: half, files: [{ name: "vmlinuz.new", sizeBytes: 4 }] },
    {
      bootDigest: small.bootDigest,
      files: [
        { name: "initramfs.img", sizeBytes: 9 },
        { name: "vmlinuz", sizeBytes: 6 },
      ],
    },
  ]);
});

test("measureKernel: the same bytes measure to the same, from files and from memory", () => {
  const linux = machine();
  const fromMemory: ContentSource = { kind: "bytes", bytes: kernelBytes };
  expect(measureKernel(linux.files, [fromMemory, fromFile("/initramfs")])).toBe(bootDigest);
  expect(measureKernel(linux.files, [fromFile("/kernel"), fromFile("/initramfs")])).toBe(bootDigest);
});

describe("removeKernels", () => {
  test("takes away those named, and what a crash left in them, durable", () => {
    const linux = machine();
    addKernel(linux.files, boot, kernel, "");
    addKernel(linux.files, boot, small, "");
    const half = place(linux, "00".repeat(32), { vmlinuz: "whole", "initramfs.img.new": "half" });
    removeKernels(linux.files, boot, [small.bootDigest, half, "ee".repeat(32)]);
    const after = linux.crash({ keepUnsynced: false, names: "lost" });
    expect(after.files.readDirectory(fromText("/boot/osdeploy"))).toEqual([bootDigest]);
    expectWhole(after);
  });

  test("writes nothing where there is nothing to do", () => {
    const linux = machine();
    const calls = linux.trace.length;
    removeKernels(linux.files, boot, [bootDigest]);
    expect(linux.trace.length).toBe(calls);
  });

  test("leaves what somebody else put into a kernel's directory", () => {
    const linux = machine();
    const name = place(linux, "00".repeat(32), { vmlinuz: "x", "devicetree.dtb": "mine" });
    removeKernels(linux.files, boot, [name]);
    expect(linux.files.readDirectory(fromText(`/boot/osdeploy/${name}`))).toEqual(["devicetree.dtb"]);
  });
});
