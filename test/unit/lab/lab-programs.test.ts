import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { findLabPrograms } from "../../../src/lab/lab-programs.ts";
import { labLinux, labPrograms, place, runOf } from "../../builders/lab-machines.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const shared = ["/usr/local/share", "/usr/share/"];

describe("findLabPrograms", () => {
  test("finds QEMU with its version, and the firmware", () => {
    expect(findLabPrograms(labLinux(), "x86_64", shared)).toEqual({
      qemu: "qemu-system-x86_64",
      qemuVersion: 10,
      firmware: { code: "/usr/share/OVMF/OVMF_CODE_4M.fd", variables: "/usr/share/OVMF/OVMF_VARS_4M.fd" },
    });
  });

  test("a version that cannot be read is none", () => {
    const run = runOf({ ...labPrograms, "qemu-system-x86_64": () => ({}) });
    expect(findLabPrograms(labLinux({ runProgram: run }), "x86_64", shared).qemuVersion).toBeUndefined();
  });

  test("names all missing packages at once", () => {
    const missing = (architecture: "x86_64" | "aarch64") => {
      try {
        findLabPrograms(new FakeLinux(), architecture, shared);
      } catch (error) {
        if (error instanceof OsdeployError) return [error.code, error.message, error.facts["hint"]];
      }
      return [];
    };
    expect(missing("x86_64")).toEqual([
      "unsupported",
      "Cannot run virtual machines here: qemu-system-x86, qemu-utils, ovmf, openssh-client are not installed",
      "Install the Debian packages: apt install qemu-system-x86 qemu-utils ovmf openssh-client",
    ]);
    expect(missing("aarch64")[2]).toContain("qemu-system-arm qemu-utils qemu-efi-aarch64 openssh-client");
  });

  test("one missing package; firmware without its variables is none", () => {
    const linux = labLinux();
    linux.files.unlink("/usr/share/OVMF/OVMF_VARS_4M.fd" as never);
    expect(() => findLabPrograms(linux, "x86_64", shared)).toThrow(
      "Cannot run virtual machines here: ovmf is not installed",
    );
    place(linux, "/usr/share/OVMF/OVMF_VARS_4M.fd", "");
    expect(findLabPrograms(linux, "x86_64", shared).qemu).toBe("qemu-system-x86_64");
  });

  test("firmware that is a link to another place, as some distributions have it", () => {
    const linux = labLinux();
    const { files } = linux;
    for (const name of ["OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"]) {
      files.rename(fromText(`/usr/share/OVMF/${name}`), fromText(`/usr/share/${name}`));
      files.symlink(fromText(`../${name}`), fromText(`/usr/share/OVMF/${name}`));
    }
    expect(findLabPrograms(linux, "x86_64", shared).firmware).toEqual({
      code: "/usr/share/OVMF_CODE_4M.fd",
      variables: "/usr/share/OVMF_VARS_4M.fd",
    });
    files.unlink(fromText("/usr/share/OVMF_VARS_4M.fd"));
    expect(() => findLabPrograms(linux, "x86_64", shared)).toThrow("ovmf is not installed");
  });

  test("what goes wrong otherwise is told as it is", () => {
    const linux = labLinux({
      runProgram: () => {
        throw new OsdeployError("system", "Cannot run it: no memory");
      },
    });
    expect(() => findLabPrograms(linux, "x86_64", shared)).toThrow("no memory");
  });
});
