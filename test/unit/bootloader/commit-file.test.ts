import { describe, expect, test } from "vitest";
import { commitFile } from "../../../src/bootloader/commit-file.ts";
import { fromBytes, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { FakeLinux, type FakeLinuxOptions } from "../../fakes/fake-linux.ts";

const boot = fromText("/boot");
const path = fromText("/boot/loader.efi");
const bytes = (text: string) => toBytes(fromText(text));

/** A boot partition with a loader on it, durable. */
function machine(options: FakeLinuxOptions = {}): FakeLinux {
  const linux = new FakeLinux({ mountPoints: [{ path: "/boot" }], ...options });
  linux.files.writeNewFile(path, bytes("old"), 0o644);
  const fd = linux.files.open(boot, "directory");
  linux.files.syncFileSystem(fd);
  linux.files.close(fd);
  return linux;
}

const textOf = (linux: FakeLinux) => fromBytes(linux.files.readFile(path, 100));
const namesOf = (linux: FakeLinux) => linux.files.readDirectory(boot);
const commit = (files: LinuxFiles, text: string) => commitFile(files, boot, path, bytes(text), { replace: true });
const callsSince = (linux: FakeLinux, start: number) => linux.trace.slice(start).map(({ call }) => call);

describe("commitFile, of a file that is there", () => {
  test("exchanges the names, and frees the old file when the new one is durable", () => {
    const linux = machine();
    const start = linux.trace.length;
    commit(linux.files, "new");
    expect(callsSince(linux, start)).toEqual([
      "writeNewFile",
      "syncFileSystem",
      "exchange",
      "syncFileSystem",
      "unlink",
      "syncFileSystem",
    ]);
    expect([textOf(linux), namesOf(linux)]).toEqual(["new", ["loader.efi"]]);
    expect(linux.files.lstat(path).permissions).toBe(0o644);
    const after = linux.crash({ keepUnsynced: false, names: "lost" });
    expect([textOf(after), namesOf(after)]).toEqual(["new", ["loader.efi"]]);
  });

  test("renames where names cannot be exchanged", () => {
    const linux = machine({ exchange: false });
    commit(linux.files, "new");
    expect([textOf(linux), namesOf(linux)]).toEqual(["new", ["loader.efi"]]);
  });

  test("what fails before the name leaves nothing behind", () => {
    const linux = machine();
    const torn: LinuxFiles = { ...linux.files, readFile: () => bytes("nex") };
    expect(() => commit(torn, "new")).toThrow("what was written is not what is there");
    expect([textOf(linux), namesOf(linux)]).toEqual(["old", ["loader.efi"]]);
    const short: LinuxFiles = {
      ...linux.files,
      writeNewFile: (place, source, permissions) => linux.files.writeNewFile(place, source.subarray(0, 2), permissions),
    };
    expect(() => commit(short, "new")).toThrow("what was written is not what is there");
    expect([textOf(linux), namesOf(linux)]).toEqual(["old", ["loader.efi"]]);
    const full: LinuxFiles = {
      ...linux.files,
      writeNewFile: (place, source, permissions) => {
        linux.files.writeNewFile(place, source.subarray(0, 1), permissions);
        throw new OsdeployError("no-space", "Cannot write: no space is left");
      },
    };
    expect(() => commit(full, "new")).toThrow("no space is left");
    expect([textOf(linux), namesOf(linux)]).toEqual(["old", ["loader.efi"]]);
    expect(linux.openPaths).toEqual([]);
  });

  test("tells the first error where the left-over file cannot be removed either", () => {
    const linux = machine();
    const refuse = (message: string) => () => {
      throw new OsdeployError("system", message);
    };
    const broken: LinuxFiles = { ...linux.files, readFile: refuse("Cannot read"), unlink: refuse("Cannot remove") };
    expect(() => commit(broken, "new")).toThrow("Cannot read");
    const mistaken: LinuxFiles = {
      ...broken,
      unlink: () => {
        throw new Error("a bug");
      },
    };
    linux.files.unlink(fromText("/boot/loader.efi.new"));
    expect(() => commit(mistaken, "new")).toThrow("a bug");
  });
});
