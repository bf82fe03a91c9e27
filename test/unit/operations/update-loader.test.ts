import { beforeEach, describe, expect, test } from "vitest";
import { loaderBuild } from "../../../src/core/boot/loader-binary.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { bootComplete } from "../../../src/operations/boot-complete.ts";
import { fakeGrub, fakeLoader } from "../../builders/loader-binaries.ts";
import { SeenProgress, systemOn } from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import { physicalRoot, type RunningMachineOptions, runningMachine, writeText } from "../../builders/running-machine.ts";
import { putFile } from "../../builders/tool-runs.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const place = "usr/lib/systemd/boot/efi";
const directories = ["usr/lib/systemd", "usr/lib/systemd/boot", place].map((path) => ({ path }));
const grubPlace = "usr/lib/grub/x86_64-efi/monolithic";
const grubDirectories = ["usr/lib/grub", "usr/lib/grub/x86_64-efi", grubPlace].map((path) => ({ path }));
const images = {
  new: await buildOsImage("v1", [
    ...directories,
    { path: `${place}/systemd-bootx64.efi`, content: fakeLoader("257.13") },
  ]),
  grub: await buildOsImage("v1", [
    ...grubDirectories,
    { path: `${grubPlace}/grubx64.efi`, content: fakeGrub("2.12-9+deb13u2") },
  ]),
  linked: await buildOsImage("v1", [
    ...directories.slice(0, 2),
    { path: place, symlink: "../../loaders" },
    { path: "usr/lib/loaders" },
    { path: "usr/lib/loaders/257.efi", content: fakeLoader("257.13") },
    { path: "usr/lib/loaders/systemd-bootx64.efi", symlink: "257.efi" },
  ]),
  dangling: await buildOsImage("v1", [...directories.slice(0, 2), { path: place, symlink: "../../loaders" }]),
  none: await buildOsImage("v1"),
};
const ofFirmware = "EFI/BOOT/BOOTX64.EFI";
const ofSystemd = "EFI/systemd/systemd-bootx64.efi";
const older = "EFI/osdeploy/older-systemd-bootx64.efi";
const largeCluster = 32 * 1024;

let linux: FakeLinux;

async function machine(tag: keyof typeof images, esp = "/boot", options: RunningMachineOptions = {}): Promise<void> {
  linux = await runningMachine(images, tag, options);
  for (const path of ["EFI", "EFI/BOOT", "EFI/systemd"]) linux.files.makeDirectory(fromText(`${esp}/${path}`), 0o755);
}

const put = (path: string, bytes: Uint8Array) => linux.files.writeNewFile(fromText(path), bytes, 0o644);
const versionOf = (path: string) => loaderBuild(linux.files.readFile(fromText(path), 10_000))?.version;

async function run(): Promise<{ readonly loader: unknown; readonly warnings: readonly string[] }> {
  const progress = new SeenProgress();
  const { loader } = await bootComplete(systemOn(linux, { progress: progress.report }), { sysroot: physicalRoot });
  return { loader, warnings: progress.warnings };
}

describe("bootComplete, of the boot loader", () => {
  beforeEach(async () => machine("new"));

  test("an older systemd-boot is replaced by the image's, in both places; the second time nothing is to do", async () => {
    put(`/boot/${ofFirmware}`, fakeLoader("257.9"));
    put(`/boot/${ofSystemd}`, fakeLoader("257.9"));
    expect(await run()).toEqual({ loader: { from: "257.9", to: "257.13", older }, warnings: [] });
    expect(versionOf(`/boot/${older}`)).toBe("257.9");
    expect([ofFirmware, ofSystemd].map((path) => versionOf(`/boot/${path}`))).toEqual(["257.13", "257.13"]);
    expect(linux.files.readDirectory(fromText("/boot/EFI/BOOT"))).toEqual(["BOOTX64.EFI"]);
    const writes = () => linux.trace.filter(({ path }) => `${path}`.includes("EFI")).length;
    const before = writes();
    expect((await run()).loader).toBeNull();
    expect(writes()).toBe(before);
  });

  test("one that was kept before gives way to the one that is replaced now", async () => {
    linux.files.makeDirectory(fromText("/boot/EFI/osdeploy"), 0o755);
    put(`/boot/${older}`, fakeLoader("255"));
    put(`/boot/${ofFirmware}`, fakeLoader("256"));
    expect(await run()).toEqual({ loader: { from: "256", to: "257.13", older }, warnings: [] });
    expect([older, ofFirmware].map((path) => versionOf(`/boot/${path}`))).toEqual(["256", "257.13"]);
  });

  test("where one of two copies was put back, neither is replaced", async () => {
    linux.files.makeDirectory(fromText("/boot/EFI/osdeploy"), 0o755);
    for (const path of [older, ofFirmware]) put(`/boot/${path}`, fakeLoader("256"));
    put(`/boot/${ofSystemd}`, fakeLoader("255"));
    expect(await run()).toEqual({ loader: null, warnings: [expect.stringContaining("somebody put 256 back")] });
    expect([ofFirmware, ofSystemd].map((path) => versionOf(`/boot/${path}`))).toEqual(["256", "255"]);
  });

  test("a copy that cannot be read stays, for nobody knows how old it is; the others are replaced", async () => {
    put(`/boot/${ofFirmware}`, fakeLoader("256"));
    put(`/boot/${ofSystemd}`, fakeLoader("255"));
    const { readFile } = linux.files;
    Object.assign(linux.files, {
      readFile: (...call: Parameters<typeof readFile>) => {
        if (call[0] === fromText(`/boot/${ofSystemd}`)) throw new OsdeployError("system", "Cannot read: EIO");
        return readFile(...call);
      },
    });
    expect(await run()).toEqual({ loader: { from: "256", to: "257.13", older }, warnings: [] });
    Object.assign(linux.files, { readFile });
    expect([ofFirmware, ofSystemd].map((path) => versionOf(`/boot/${path}`))).toEqual(["257.13", "255"]);
  });

  test("with Secure Boot nothing is replaced, and a warning says so", async () => {
    const variable = (value: number) => {
      const path = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
      putFile(linux.files, path, String.fromCharCode(6, 0, 0, 0, value));
    };
    put(`/boot/${ofFirmware}`, fakeLoader("256"));
    put(`/boot/${ofSystemd}`, fakeLoader("256"));
    variable(1);
    expect(await run()).toEqual({
      loader: null,
      warnings: [
        "The boot loader stays as it is: with Secure Boot only its owner knows which one the firmware takes (256, the image has 257.13)",
      ],
    });
    expect([ofFirmware, ofSystemd].map((path) => versionOf(`/boot/${path}`))).toEqual(["256", "256"]);
    variable(0);
    expect((await run()).loader).toEqual({ from: "256", to: "257.13", older });
  });

  test("where the firmware does not tell whether Secure Boot is on, nothing is replaced, and a warning says so", async () => {
    put(`/boot/${ofFirmware}`, fakeLoader("256"));
    putFile(linux.files, "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c/odd", "");
    expect(await run()).toEqual({
      loader: null,
      warnings: [expect.stringMatching(/^The boot loader stays as it is: Cannot read .*SecureBoot-/)],
    });
    expect(versionOf(`/boot/${ofFirmware}`)).toBe("256");
  });

  test.each([ofFirmware, older])("what a stopped run left as %s.new goes before the room is measured", async (name) => {
    linux.files.makeDirectory(fromText("/boot/EFI/osdeploy"), 0o755);
    put(`/boot/${ofFirmware}`, fakeLoader("256"));
    put(`/boot/${name}.new`, fakeLoader("257.12"));
    const { space, lstatIfExists } = linux.files;
    // There is room for one more, where the left-over one is not.
    const isThere = () => lstatIfExists(fromText(`/boot/${name}.new`)) !== undefined;
    Object.assign(linux.files, {
      space: (path: Parameters<typeof space>[0]) => ({
        ...space(path),
        availableBytes: isThere() ? 9 : 3 * largeCluster,
      }),
    });
    expect(await run()).toEqual({ loader: { from: "256", to: "257.13", older }, warnings: [] });
    expect(isThere()).toBe(false);
  });

  test("never an older one, and never what is no systemd-boot", async () => {
    put(`/boot/${ofSystemd}`, fakeLoader("258"));
    put(`/boot/${ofFirmware}`, new TextEncoder().encode("somebody's"));
    expect(await run()).toEqual({ loader: null, warnings: [] });
    expect(versionOf(`/boot/${ofSystemd}`)).toBe("258");
  });

  test("not one that osdeploy did not install", async () => {
    put(`/boot/${ofFirmware}`, fakeLoader("256"));
    linux.files.unlink(fromText("/boot/osdeploy/bootloader"));
    writeText(linux, "/boot/osdeploy/bootloader", "none\n");
    expect((await run()).loader).toBeNull();
    linux.files.unlink(fromText("/boot/osdeploy/bootloader"));
    expect((await run()).loader).toBeNull();
    expect(versionOf(`/boot/${ofFirmware}`)).toBe("256");
  });

  test("an image without a loader leaves it as it is", async () => {
    await machine("none");
    put(`/boot/${ofFirmware}`, fakeLoader("256"));
    expect(await run()).toEqual({ loader: null, warnings: [] });
  });

  test("the image's is found behind links; where they lead nowhere there is none", async () => {
    await machine("linked");
    put(`/boot/${ofFirmware}`, fakeLoader("256"));
    expect(await run()).toEqual({ loader: { from: "256", to: "257.13", older }, warnings: [] });
    await machine("dangling");
    put(`/boot/${ofFirmware}`, fakeLoader("256"));
    expect(await run()).toEqual({ loader: null, warnings: [] });
  });

  test("what keeps it from that is a warning, and the boot is good all the same", async () => {
    put(`/boot/${ofFirmware}`, fakeLoader("256"));
    const { space } = linux.files;
    Object.assign(linux.files, {
      space: (path: Parameters<typeof space>[0]) => ({ ...space(path), availableBytes: 9 }),
    });
    const { loader, warnings } = await run();
    expect(loader).toBeNull();
    expect(warnings).toEqual([
      "The boot loader stays as it is: Cannot replace the boot loader: 98304 bytes (98.3 kB) are needed on the EFI system partition, 9 bytes are free",
    ]);
    expect(linux.files.readDirectory(fromText("/boot/EFI"))).toEqual(["BOOT", "systemd"]);
  });

  test("the one before is kept until the next, and stays in use where somebody puts it back", async () => {
    put(`/boot/${ofSystemd}`, fakeLoader("255"));
    put(`/boot/${ofFirmware}`, fakeLoader("256"));
    expect((await run()).loader).toEqual({ from: "256", to: "257.13", older });
    expect(versionOf(`/boot/${older}`)).toBe("256");
    linux.files.unlink(fromText(`/boot/${ofFirmware}`));
    put(`/boot/${ofFirmware}`, linux.files.readFile(fromText(`/boot/${older}`), 10_000));
    for (let boot = 0; boot < 2; boot++) {
      expect(await run()).toEqual({
        loader: null,
        warnings: [
          "The boot loader stays as it is: somebody put 256 back; without /boot/EFI/osdeploy/older-systemd-bootx64.efi it is replaced again by 257.13",
        ],
      });
    }
    expect([ofFirmware, ofSystemd].map((path) => versionOf(`/boot/${path}`))).toEqual(["256", "257.13"]);
    linux.files.unlink(fromText(`/boot/${older}`));
    expect((await run()).loader).toEqual({ from: "256", to: "257.13", older });
  });
});

describe("bootComplete, of GRUB", () => {
  beforeEach(async () => {
    await machine("grub");
    linux.files.unlink(fromText("/boot/osdeploy/bootloader"));
    writeText(linux, "/boot/osdeploy/bootloader", "grub\n");
  });

  test("an older one of the same vendor is replaced, and kept beside it", async () => {
    put(`/boot/${ofFirmware}`, fakeGrub("2.12-9+deb13u1"));
    const grubBefore = "EFI/osdeploy/older-grubx64.efi";
    expect(await run()).toEqual({
      loader: { from: "2.12-9+deb13u1", to: "2.12-9+deb13u2", older: grubBefore },
      warnings: [],
    });
    expect([ofFirmware, grubBefore].map((path) => versionOf(`/boot/${path}`))).toEqual([
      "2.12-9+deb13u2",
      "2.12-9+deb13u1",
    ]);
    expect((await run()).loader).toBeNull();
  });

  test.each([
    ["another vendor's", fakeGrub("2.06", { vendor: "ubuntu" })],
    ["one that is newer", fakeGrub("2.14")],
    ["systemd-boot", fakeLoader("256")],
  ])("%s stays", async (_, there) => {
    put(`/boot/${ofFirmware}`, there);
    expect(await run()).toEqual({ loader: null, warnings: [] });
    expect(linux.files.readFile(fromText(`/boot/${ofFirmware}`), 10_000)).toEqual(there);
  });
});

describe("bootComplete, of a loader on an EFI system partition of its own", () => {
  async function separate(type: string, esp = "/efi"): Promise<void> {
    linux = await runningMachine(images, "new");
    for (const path of ["", "/EFI", "/EFI/BOOT"]) linux.files.makeDirectory(fromText(`${esp}${path}`), 0o755);
    put(`${esp}/${ofFirmware}`, fakeLoader("256"));
    const mountinfo = fromText("/proc/self/mountinfo");
    const lines = new TextDecoder().decode(linux.files.readFile(mountinfo, 10_000));
    writeText(linux, "/proc/self/mountinfo", `${lines}90 1 254:1 / ${esp} rw - ${type} /dev/vda1 rw\n`);
  }

  test.each(["/efi", "/boot/efi"])("it is found where that is mounted, at %s", async (esp) => {
    await separate("vfat", esp);
    expect((await run()).loader).toEqual({ from: "256", to: "257.13", older });
    expect(versionOf(`${esp}/${ofFirmware}`)).toBe("257.13");
  });

  test("what else is mounted there is none", async () => {
    await separate("autofs");
    expect(await run()).toEqual({ loader: null, warnings: [] });
    expect(versionOf(`/efi/${ofFirmware}`)).toBe("256");
  });
});
