import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { loaderBuild, planLoaderUpdate } from "../../src/core/boot/loader-binary.ts";
import { findTrixie } from "./trixie.ts";

const trixie = findTrixie();
const needs = "(needs the packages of test/vm/setup.sh)";

describe.skipIf(trixie === undefined)(`the loaders of Debian 13 ${needs}`, () => {
  const read = (path: string) => new Uint8Array(readFileSync(trixie?.path(path) ?? ""));
  const systemdBoot = () => read("usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed");
  const grub = () => read("usr/lib/grub/x86_64-efi/monolithic/grubx64.efi");

  test("say which they are", () => {
    expect(loaderBuild(systemdBoot())).toEqual({
      name: "systemd-boot",
      version: expect.stringMatching(/^257\.\d+-1~deb13u\d+$/),
      isSigned: true,
    });
    expect(loaderBuild(grub())).toEqual({
      name: "grub.debian",
      version: expect.stringMatching(/^2\.12-9\+deb13u\d+$/),
      isSigned: false,
    });
  });

  test("an older GRUB gives way, the same one and another loader do not", () => {
    const older = grub();
    const table = new TextDecoder("latin1").decode(older).indexOf("grub2,2.12-");
    older.set(new TextEncoder().encode("grub2,2.06-"), table);
    const plan = (there: Uint8Array, offered: Uint8Array) => planLoaderUpdate(there, offered, { secureBoot: false });
    expect(plan(older, grub())).toEqual({
      kind: "replace",
      from: expect.stringMatching(/^2\.06-9/),
      to: expect.stringMatching(/^2\.12-9/),
    });
    expect(plan(grub(), grub())).toEqual({ kind: "keep" });
    expect(plan(older, systemdBoot())).toEqual({ kind: "keep" });
  });
});
