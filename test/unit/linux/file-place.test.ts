import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { filePlace } from "../../../src/linux/file-place.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

function machine(): FakeLinux {
  const linux = new FakeLinux();
  linux.files.makeDirectory(fromText("/full"), 0o755);
  linux.files.writeNewFile(fromText("/full/file"), new Uint8Array(), 0o644);
  linux.files.makeNode(fromText("/null"), "character-device", { permissions: 0o666, rdev: 259 });
  const links = { toFile: "full/file", toLink: "toFile", toDevice: "null", toDirectory: "full", dangling: "none" };
  for (const [name, target] of Object.entries(links)) linux.files.symlink(fromText(target), fromText(`/${name}`));
  return linux;
}

const place = (files: LinuxFiles, path: string) => filePlace(files, fromText(path), "an archive");

describe("filePlace", () => {
  test.each([
    ["/new", "/new"],
    ["/full/file", "/full/file"],
    ["/toFile", "/full/file"],
    ["/toLink", "/full/file"],
    ["/dangling", "/dangling"],
  ])("what is found at %s is put at %s", (path, expected) => {
    expect(place(machine().files, path)).toBe(expected);
  });

  test.each([
    ["/full", "there is a directory"],
    ["/null", "there is a character device"],
    ["/toDevice", "there is a character device"],
    ["/toDirectory", "there is a directory"],
  ])("refuses %s", (path, state) => {
    const message = `Cannot write an archive to "${path}": ${state}`;
    expect(() => place(machine().files, path)).toThrow(expect.objectContaining({ code: "already-exists", message }));
  });

  test("refuses a pipe behind a name that leads nowhere, as /dev/stdout has one", () => {
    const { files } = machine();
    const piped = { ...files, realPath: () => fromText("/proc/7/fd/pipe:[4711]") };
    const message = 'Cannot write an archive to "/toFile": it leads to no file';
    expect(() => place(piped, "/toFile")).toThrow(expect.objectContaining({ code: "already-exists", message }));
  });

  test("any other error is told", () => {
    const { files } = machine();
    const failing = {
      ...files,
      realPath: () => {
        throw new Error("a bug");
      },
    };
    expect(() => place(failing, "/toFile")).toThrow("a bug");
  });
});
