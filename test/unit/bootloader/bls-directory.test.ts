import { describe, expect, test } from "vitest";
import { readBootEntries, writeEntryFile } from "../../../src/bootloader/bls-directory.ts";
import { blsField } from "../../../src/core/boot/bls-entry.ts";
import { type BootEntry, makeBootEntry } from "../../../src/core/boot/boot-menu.ts";
import { fromBytes, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { parseObjectId } from "../../../src/core/digest/object-id.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const boot = fromText("/boot");
const rootImage = parseObjectId("ab".repeat(64), "sha512");

function entryOf(sequence: number): BootEntry {
  return makeBootEntry({
    sequence,
    rootImage,
    osRelease: { id: "test", prettyName: "Test OS", version: "9" },
    kernelPath: "/osdeploy/k/vmlinuz",
    initramfsPath: "/osdeploy/k/initramfs.img",
    options: `rw quiet composefs=${rootImage}`,
  });
}

function machine(options: ConstructorParameters<typeof FakeLinux>[0] = {}): FakeLinux {
  return new FakeLinux({ mountPoints: [{ path: "/boot" }], ...options });
}

function write(linux: FakeLinux, name: string, text: string): void {
  for (const path of ["/boot/loader", "/boot/loader/entries"]) {
    if (linux.files.lstatIfExists(fromText(path)) === undefined) linux.files.makeDirectory(fromText(path), 0o755);
  }
  linux.files.writeNewFile(fromText(`/boot/loader/entries/${name}`), toBytes(fromText(text)), 0o644);
}

describe("writeEntryFile", () => {
  test("writes what readBootEntries reads, durable", () => {
    const linux = machine();
    writeEntryFile(linux.files, boot, entryOf(3));
    const after = linux.crash({ keepUnsynced: false, names: "lost" });
    expect(readBootEntries(after.files, boot)).toEqual({ entries: [entryOf(3)], stale: [], foreign: [] });
    const path = fromText("/boot/loader/entries/osdeploy-000003.conf");
    expect(fromBytes(after.files.readFile(path, 4096))).toBe(
      [
        "title Test OS",
        "version 3-9",
        "sort-key osdeploy",
        "linux /osdeploy/k/vmlinuz",
        "initrd /osdeploy/k/initramfs.img",
        `options rw quiet composefs=${rootImage} osdeploy.entry=osdeploy-000003`,
        "",
      ].join("\n"),
    );
    expect(linux.openPaths).toEqual([]);
  });

  test("no loader reads the name that it is written under, and a crash leaves the old menu", () => {
    const linux = machine();
    writeEntryFile(linux.files, boot, entryOf(1));
    const calls = linux.trace.length;
    writeEntryFile(linux.files, boot, entryOf(2));
    const renames = linux.trace.slice(calls).filter(({ call }) => call === "rename");
    expect(renames).toEqual([
      {
        call: "rename",
        path: "/boot/loader/entries/osdeploy-000002.conf.new",
        to: "/boot/loader/entries/osdeploy-000002.conf",
      },
    ]);
  });

  test("begins anew where a crash left a half-written entry", () => {
    const linux = machine();
    write(linux, "osdeploy-000004.conf.new", "title");
    writeEntryFile(linux.files, boot, entryOf(4));
    expect(linux.files.readDirectory(fromText("/boot/loader/entries"))).toEqual(["osdeploy-000004.conf"]);
    expect(readBootEntries(linux.files, boot).entries).toEqual([entryOf(4)]);
  });

  test("writes an entry where what a crash left of another cannot be removed", () => {
    const linux = machine();
    write(linux, "osdeploy-000003.conf.new", "title");
    const failing = linux.crash({ keepUnsynced: true }, { failAt: 1, fault: "EIO" });
    writeEntryFile(failing.files, boot, entryOf(4));
    expect(failing.trace[0]).toMatchObject({ call: "unlink" });
    expect(readBootEntries(failing.files, boot).entries).toEqual([entryOf(4)]);
  });

  test("takes away what a crash left of other entries, and only that", () => {
    const linux = machine();
    const others = ["windows.conf.new", "osdeploy-000001.conf.old", "osdeploy-1.conf.new"];
    for (const name of ["osdeploy-000001.conf.new", "osdeploy-000002+3.conf.new", ...others])
      write(linux, name, "title");
    writeEntryFile(linux.files, boot, entryOf(4));
    const left = [...others, "osdeploy-000004.conf"].sort();
    expect(linux.files.readDirectory(fromText("/boot/loader/entries"))).toEqual(left);
  });

  test("never replaces an entry", () => {
    const linux = machine();
    writeEntryFile(linux.files, boot, entryOf(5));
    expect(() => writeEntryFile(linux.files, boot, entryOf(5))).toThrow(
      expect.objectContaining({ code: "already-exists" }),
    );
    expect(readBootEntries(linux.files, boot).entries).toEqual([entryOf(5)]);
  });
});

describe("readBootEntries", () => {
  test("gives nothing where there is no such directory", () => {
    expect(readBootEntries(machine().files, boot)).toEqual({ entries: [], stale: [], foreign: [] });
  });

  test("gives ours newest first, with the loader's counters too", () => {
    const linux = machine();
    for (const sequence of [2, 10, 9]) writeEntryFile(linux.files, boot, entryOf(sequence));
    write(linux, "osdeploy-000011+2-1.conf", `title x\noptions composefs=${rootImage}\n`);
    const { entries } = readBootEntries(linux.files, boot);
    expect(entries.map(({ sequence }) => sequence)).toEqual([11, 10, 9, 2]);
    expect(entries[0] && blsField(entries[0].entry, "title")).toBe("x");
  });

  test("names foreign and damaged entries, passes over other files, and touches none of them", () => {
    const linux = machine();
    writeEntryFile(linux.files, boot, entryOf(1));
    write(linux, "windows.conf", "title Windows\nefi /EFI/boot.efi\n");
    write(linux, "osdeploy-000007.conf", "title no root image\noptions quiet\n");
    write(linux, "osdeploy-000008.conf", "\0\xff\0\xff");
    write(linux, "osdeploy-000009.conf", "x".repeat(70_000));
    write(linux, "readme.txt", "not an entry");
    linux.files.makeDirectory(fromText("/boot/loader/entries/directory.conf"), 0o755);
    linux.files.symlink(fromText("windows.conf"), fromText("/boot/loader/entries/link.conf"));
    const before = linux.trace.length;
    const menu = readBootEntries(linux.files, boot);
    expect(menu.entries).toEqual([entryOf(1)]);
    expect(menu.foreign).toEqual([
      "directory.conf",
      "link.conf",
      "osdeploy-000007.conf",
      "osdeploy-000008.conf",
      "osdeploy-000009.conf",
      "windows.conf",
    ]);
    expect(linux.trace.length).toBe(before);
  });

  test("reads an entry of 64 KiB, and none that is longer", () => {
    const linux = machine();
    const text = `title x\noptions composefs=${rootImage}\n#`;
    // A comment of characters of two bytes each: it is the bytes that count.
    const textOf = (bytes: number) =>
      text + "é".repeat((bytes - text.length) / 2) + "#".repeat((bytes - text.length) % 2);
    write(linux, "osdeploy-000001.conf", textOf(65_536));
    write(linux, "osdeploy-000002.conf", textOf(65_537));
    const { entries, foreign } = readBootEntries(linux.files, boot);
    expect(entries.map(({ sequence }) => sequence)).toEqual([1]);
    expect(foreign).toEqual(["osdeploy-000002.conf"]);
  });

  test("does not take a missing permission for a foreign entry", () => {
    const linux = machine();
    writeEntryFile(linux.files, boot, entryOf(1));
    const files = {
      ...linux.files,
      readFile: () => {
        throw new OsdeployError("permission-denied", "Cannot read an entry: permission denied");
      },
    };
    expect(() => readBootEntries(files, boot)).toThrow(expect.objectContaining({ code: "permission-denied" }));
    const mistaken = {
      ...linux.files,
      readFile: () => {
        throw new Error("a bug");
      },
    };
    expect(() => readBootEntries(mistaken, boot)).toThrow("a bug");
  });
});
