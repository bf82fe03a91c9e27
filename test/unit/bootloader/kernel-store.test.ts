import { describe, expect, test } from "vitest";
import { addKernel, hasKernel, type NewKernel } from "../../../src/bootloader/kernel-store.ts";
import { fromBytes, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import type { ContentSource } from "../../../src/linux/file-content.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const boot = fromText("/boot");
const bootDigest = "ab".repeat(32);
const directory = `/boot/osdeploy/${bootDigest}`;
const bytes = (text: string): ContentSource => ({ kind: "bytes", bytes: toBytes(fromText(text)) });
const fromFile = (path: string): ContentSource => ({ kind: "file", path: fromText(path) });

/** Two files of more than one piece. */
const kernelBytes = new Uint8Array(600_000).map((_, at) => at % 249);
const initramfsBytes = new Uint8Array(900_001).map((_, at) => at % 247);

function machine(): FakeLinux {
  const linux = new FakeLinux({ mountPoints: [{ path: "/boot" }] });
  linux.files.writeNewFile(fromText("/kernel"), kernelBytes, 0o600);
  linux.files.writeNewFile(fromText("/initramfs"), initramfsBytes, 0o600);
  return linux;
}

const kernel: NewKernel = { bootDigest, vmlinuz: fromFile("/kernel"), initramfs: fromFile("/initramfs") };

function read(linux: FakeLinux, name: string): Uint8Array {
  return linux.files.readFile(fromText(`${directory}/${name}`), 1 << 20);
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
    addKernel(linux.files, boot, { bootDigest, vmlinuz: bytes("kernel"), initramfs: bytes("initramfs") }, "");
    expect(fromBytes(read(linux, "vmlinuz"))).toBe("kernel");
    expect(fromBytes(read(linux, "initramfs.img"))).toBe("initramfs");
  });

  test("writes no byte of a kernel that is there, and shares it by its boot digest", () => {
    const linux = machine();
    addKernel(linux.files, boot, kernel, "");
    const calls = linux.trace.length;
    addKernel(linux.files, boot, kernel, "");
    const later = linux.trace.slice(calls).map(({ call }) => call);
    expect(later).toEqual(["syncFileSystem"]);
    addKernel(linux.files, boot, { ...kernel, bootDigest: "cd".repeat(32) }, "");
    expect(linux.files.readDirectory(fromText("/boot/osdeploy"))).toEqual([bootDigest, "cd".repeat(32)]);
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

  test("replaces a small file that was changed", () => {
    const linux = machine();
    const small = { bootDigest, vmlinuz: bytes("kernel"), initramfs: bytes("initramfs") };
    addKernel(linux.files, boot, small, "");
    replace(linux, fromText(`${directory}/vmlinuz`), toBytes(fromText("KERNEL")));
    replace(linux, fromText(`${directory}/initramfs.img`), toBytes(fromText("longer than it was")));
    addKernel(linux.files, boot, small, "");
    expect([fromBytes(read(linux, "vmlinuz")), fromBytes(read(linux, "initramfs.img"))]).toEqual([
      "kernel",
      "initramfs",
    ]);
  });

  test("begins anew where a crash left a half-written file", () => {
    const linux = machine();
    linux.files.makeDirectory(fromText("/boot/osdeploy"), 0o755);
    linux.files.makeDirectory(fromText(directory), 0o755);
    linux.files.writeNewFile(fromText(`${directory}/vmlinuz.new`), new Uint8Array(5), 0o600);
    addKernel(linux.files, boot, kernel, "");
    expectWhole(linux);
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

test("hasKernel: only when both files are there", () => {
  const linux = machine();
  expect(hasKernel(linux.files, boot, bootDigest)).toBe(false);
  addKernel(linux.files, boot, kernel, "");
  expect(hasKernel(linux.files, boot, bootDigest)).toBe(true);
  linux.files.unlink(fromText(`${directory}/initramfs.img`));
  expect(hasKernel(linux.files, boot, bootDigest)).toBe(false);
});
