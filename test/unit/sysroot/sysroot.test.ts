import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { systemCallError } from "../../../src/linux/errno.ts";
import type { Path } from "../../../src/linux/linux.ts";
import { openSysroot, openWritableSysroot } from "../../../src/sysroot/sysroot.ts";
import { readText, writeProc, writeText } from "../../builders/running-machine.ts";
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
      const sysroot = openWritableSysroot(linux, root, { mayMake: true });
      expect(sysroot.paths).toEqual({
        root: "/target",
        repo: "/target/composefs",
        boot: "/target/boot",
        deployments: "/target/state/deploy",
        sharedVar: "/target/state/os/default/var",
        records: "/target/state/osdeploy",
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
    expect(() => openWritableSysroot(linux, root, { mayMake: true })).toThrow(
      expect.objectContaining({
        code: "already-exists",
        message: 'Cannot use "/target" as a sysroot: it has no repo, and holds other things (etc, home, usr, …)',
      }),
    );
    expect(linux.files.readDirectory(root)).toEqual(["etc", "home", "usr", "var"]);
  });

  test.each([[[]], [["boot", "etc"]]])(
    "makes nothing in a directory that holds %j for who brings no deployment: a disk is not mounted there, most likely",
    (directories) => {
      const linux = machine(...directories);
      expect(() => openWritableSysroot(linux, root)).toThrow(
        expect.objectContaining({
          code: "not-found",
          message: 'Cannot open sysroot "/target": it has neither a repo (composefs) nor deployments (state/deploy)',
          facts: { hint: "Mount its file system there first, or name another place with --sysroot DIR" },
        }),
      );
      expect(linux.files.readDirectory(root)).toEqual(directories);
    },
  );

  test("names all other things where they are few", () => {
    expect(() => openWritableSysroot(machine("etc"), root, { mayMake: true })).toThrow(/holds other things \(etc\)$/);
  });

  test("refuses what is no directory, and what is not there", () => {
    const linux = machine();
    linux.files.writeNewFile(at("file"), new Uint8Array(), 0o644);
    expect(() => openWritableSysroot(linux, at("file"))).toThrow(
      expect.objectContaining({
        code: "not-found",
        message: 'Cannot use "/target/file" as a sysroot: it is a regular file',
      }),
    );
    const missing = expect.objectContaining({
      code: "not-found",
      message: 'Cannot open sysroot "/target/none": there is no such directory',
      facts: {
        hint: "Mount its file system there first, or name another place with --sysroot DIR; for a new one make an empty directory",
      },
    });
    expect(() => openWritableSysroot(linux, at("none"))).toThrow(missing);
    expect(() => openSysroot(linux.files, at("none"))).toThrow(missing);
  });

  test("is busy while another one is open, and free after it", () => {
    const linux = machine("state", "state/deploy");
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
    files.makeDirectory(at("state/deploy/.gone-1"), 0o755);
    files.makeDirectory(at("state/deploy/.gone-1/etc"), 0o755);
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

  test("tells what cannot be cleaned up, takes the rest away, and can be changed", () => {
    const linux = machine("state", "state/deploy", "state/deploy/.gone-1", "state/deploy/.new-1");
    const failing = linux.crash({ keepUnsynced: true }, { failAt: 1, fault: "EIO" });
    const sysroot = openWritableSysroot(failing, root);
    expect(sysroot.leftovers.map(({ message }) => message)).toEqual([
      'Cannot remove the directory "/target/state/deploy/.gone-1": input/output error (EIO)',
    ]);
    expect(failing.files.readDirectory(at("state/deploy"))).toEqual([".gone-1"]);
    sysroot.close();
    expect(failing.openPaths).toEqual([]);
  });

  test("takes away what somebody protected with chattr +i", () => {
    const linux = machine("state", "state/deploy", "state/deploy/.gone-1");
    linux.files.writeNewFile(at("state/deploy/.gone-1/resolv.conf"), new Uint8Array(), 0o644);
    linux.protect(at("state/deploy/.gone-1/resolv.conf"));
    const sysroot = openWritableSysroot(linux, root);
    expect([sysroot.leftovers, linux.files.readDirectory(at("state/deploy"))]).toEqual([[], []]);
    sysroot.close();
  });
});

/** A machine that runs from a deployment in /sysroot; `bootOptions` are those of its boot partition's mount, if it has one. */
function runningMachine(bootOptions?: string): FakeLinux {
  const linux = new FakeLinux({ mountPoints: [{ path: "/sysroot" }, { path: "/boot" }] });
  writeProc(linux, `composefs:${hex}`, "osdeploy.entry=osdeploy-000001");
  for (const name of ["state", "state/deploy", `state/deploy/${hex}`, "composefs"]) {
    linux.files.makeDirectory(fromText(`/sysroot/${name}`), 0o755);
  }
  const mountinfo = readText(linux, "/proc/self/mountinfo").replace(/^.* \/boot .*\n/m, "");
  const bootLine = bootOptions === undefined ? "" : `24 22 254:1 / /boot ${bootOptions} - vfat /dev/vda1 rw\n`;
  writeText(linux, "/proc/self/mountinfo", `${mountinfo}${bootLine}`);
  return linux;
}

const hex = "ab".repeat(64);
const physical = fromText("/sysroot");

describe("a running system", () => {
  /** Mounts of which each writable sight has a path of its own. */
  function watched(linux: FakeLinux) {
    const opened: string[] = [];
    const openWritable = (path: Path) => {
      opened.push(path);
      return { path: fromText(`/.${path}`), close: () => void opened.push(`closed ${path}`) };
    };
    return {
      opened,
      linux: { ...linux, files: linux.files, clock: linux.clock, mounts: { ...linux.mounts, openWritable } },
    };
  }

  test("is written to by a sight of its own, with the boot partition where it is mounted", () => {
    const { opened, linux } = watched(runningMachine("rw,nosuid"));
    const sysroot = openWritableSysroot(linux, physical);
    expect(sysroot.paths).toMatchObject({ root: "/./sysroot", boot: "/boot", records: "/./sysroot/state/osdeploy" });
    expect(sysroot.running).toMatchObject({ booted: { rootImage: hex, entryId: "osdeploy-000001" } });
    expect(opened).toEqual(["/sysroot"]);
    sysroot.close();
    expect(opened).toEqual(["/sysroot", "closed /sysroot"]);
  });

  test("a boot partition that is mounted read-only is written to in the same way", () => {
    const { opened, linux } = watched(runningMachine("ro"));
    const sysroot = openWritableSysroot(linux, physical);
    expect(sysroot.paths.boot).toBe("/./boot");
    sysroot.close();
    expect(opened).toEqual(["/sysroot", "/boot", "closed /boot", "closed /sysroot"]);
  });

  test("errors name it and the boot partition as users do, also while it is opened", () => {
    const { linux } = watched(runningMachine("ro"));
    const sysroot = openWritableSysroot(linux, physical);
    const error = new OsdeployError("system", "Cannot rename /./boot/a and /./sysroot/b");
    expect(sysroot.inUsersWords(error).message).toBe("Cannot rename /boot/a and /sysroot/b");
    sysroot.close();
    const failing = watched(runningMachine("ro"));
    const open = (path: Path) => {
      throw systemCallError({ verb: "open", path }, "EIO");
    };
    const { files } = failing.linux;
    expect(() => openWritableSysroot({ ...failing.linux, files: { ...files, open } }, physical)).toThrow(
      'Cannot open "/sysroot/state": input/output error (EIO)',
    );
    expect(failing.opened).toEqual(["/sysroot", "/boot", "closed /boot", "closed /sysroot"]);
  });

  test("without a boot partition the boot files lie in the sysroot", () => {
    const { linux } = watched(runningMachine());
    expect(openWritableSysroot(linux, physical).paths.boot).toBe("/./sysroot/boot");
  });

  test("its sight is closed when the lock is taken", () => {
    const machine = runningMachine("rw");
    const first = openWritableSysroot(machine, physical);
    const { opened, linux } = watched(machine);
    expect(() => openWritableSysroot(linux, physical)).toThrow('Cannot change sysroot "/sysroot"');
    expect(opened).toEqual(["/sysroot", "closed /sysroot"]);
    first.close();
    expect(machine.openPaths).toEqual([]);
  });

  test("is read where it is", () => {
    expect(openSysroot(runningMachine("rw").files, physical)).toMatchObject({
      paths: { root: "/sysroot", boot: "/boot" },
      running: { booted: { rootImage: hex } },
    });
    expect(openSysroot(runningMachine().files, physical).paths.boot).toBe("/sysroot/boot");
  });
});

describe("openSysroot", () => {
  test.each(["composefs", "state/deploy"])("finds one by its %s", (name) => {
    const linux = machine(...(name === "composefs" ? [name] : ["state", name]));
    expect(openSysroot(linux.files, root).paths.repo).toBe("/target/composefs");
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
