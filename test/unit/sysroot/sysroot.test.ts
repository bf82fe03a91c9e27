import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { openSysroot, openWritableSysroot } from "../../../src/sysroot/sysroot.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const root = fromText("/target");
const at = (name: string) => fromText(`/target/${name}`);

function machine(...directories: readonly string[]): FakeLinux {
  const linux = new FakeLinux();
  linux.files.makeDirectory(root, 0o755);
  for (const name of directories) linux.files.makeDirectory(at(name), 0o755);
  return linux;
}

describe("openWritableSysroot", () => {
  test.each([[[]], [["boot", "lost+found", "efi"]], [["state"]]])(
    "makes a sysroot of a directory that holds %j",
    (directories) => {
      const linux = machine(...directories);
      const sysroot = openWritableSysroot(linux, root);
      expect(sysroot.paths).toEqual({
        root: "/target",
        repo: "/target/composefs",
        boot: "/target/boot",
        deployments: "/target/state/deploy",
        sharedVar: "/target/state/os/default/var",
      });
      expect(linux.files.lstat(at("state/deploy"))).toMatchObject({ kind: "directory", permissions: 0o755 });
      sysroot.close();
      expect(linux.openPaths).toEqual([]);
    },
  );

  test("opens one that is there, whatever else lies in it", () => {
    const linux = machine("composefs", "home", "data", "state", "state/deploy");
    openWritableSysroot(linux, root).close();
    expect(linux.files.readDirectory(root)).toEqual(["composefs", "data", "home", "state"]);
  });

  test("refuses a directory with other things, names some of them, and makes nothing", () => {
    const linux = machine("etc", "home", "usr", "var");
    expect(() => openWritableSysroot(linux, root)).toThrow(
      expect.objectContaining({
        code: "already-exists",
        message: 'Cannot use "/target" as a sysroot: it has no repo, and holds other things (etc, home, usr, …)',
      }),
    );
    expect(linux.files.readDirectory(root)).toEqual(["etc", "home", "usr", "var"]);
  });

  test("names all other things where they are few", () => {
    expect(() => openWritableSysroot(machine("etc"), root)).toThrow(/holds other things \(etc\)$/);
  });

  test("refuses what is no directory, and what is not there", () => {
    const linux = machine();
    linux.files.writeNewFile(at("file"), new Uint8Array(), 0o644);
    expect(() => openWritableSysroot(linux, at("file"))).toThrow(
      expect.objectContaining({
        code: "not-found",
        message: 'Cannot use "/target/file" as a sysroot: it is a regular',
      }),
    );
    expect(() => openWritableSysroot(linux, at("none"))).toThrow(expect.objectContaining({ code: "not-found" }));
  });

  test("is busy while another one is open, and free after it", () => {
    const linux = machine();
    const first = openWritableSysroot(linux, root);
    expect(() => openWritableSysroot(linux, root)).toThrow(
      expect.objectContaining({
        code: "busy",
        message: 'Cannot change sysroot "/target": another osdeploy is changing it',
      }),
    );
    expect(linux.openPaths).toEqual(["/target/state"]);
    first.close();
    openWritableSysroot(linux, root).close();
  });

  test("takes away what crashed runs left half-made, and nothing else", () => {
    const linux = machine("state", "state/deploy", "state/os", "state/os/default", "state/deploy/keep");
    const { files } = linux;
    for (const parent of ["state/deploy", "state/os/default"]) {
      files.makeDirectory(at(`${parent}/.new-1`), 0o755);
      files.makeDirectory(at(`${parent}/.new-1/etc`), 0o700);
      files.writeNewFile(at(`${parent}/.new-1/etc/file`), new Uint8Array(3), 0o600);
      files.symlink(fromText("/etc"), at(`${parent}/.new-1/etc/link`));
    }
    openWritableSysroot(linux, root).close();
    expect(files.readDirectory(at("state/deploy"))).toEqual(["keep"]);
    expect(files.readDirectory(at("state/os/default"))).toEqual([]);
  });

  test("gives the lock back when cleaning up fails", () => {
    const linux = machine("state", "state/deploy", "state/deploy/.new-1");
    const failing = linux.crash({ keepUnsynced: true }, { failAt: 1, fault: "EIO" });
    expect(() => openWritableSysroot(failing, root)).toThrow(expect.objectContaining({ code: "system" }));
    expect(failing.openPaths).toEqual([]);
  });
});

describe("openSysroot", () => {
  test.each(["composefs", "state/deploy"])("finds one by its %s", (name) => {
    const linux = machine(...(name === "composefs" ? [name] : ["state", name]));
    expect(openSysroot(linux.files, root).repo).toBe("/target/composefs");
  });

  test("refuses a directory that is none, and one that is not there", () => {
    expect(() => openSysroot(machine("etc").files, root)).toThrow(
      expect.objectContaining({
        code: "not-found",
        message: 'Cannot open sysroot "/target": it has neither a repo (composefs) nor deployments (state/deploy)',
      }),
    );
    expect(() => openSysroot(machine().files, at("none"))).toThrow(/there is no such directory/);
  });
});
