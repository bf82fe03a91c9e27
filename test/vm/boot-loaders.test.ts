import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { prepareBootPartition } from "../../src/bootloader/prepare-boot-partition.ts";
import { formatGrubStub } from "../../src/core/boot/grub-menu.ts";
import { isRoot } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";
import { LoaderDisk, type SeenBoot } from "./loader-disk.ts";
import { findTrixie } from "./trixie.ts";

const found = findTrixie();
const trixie = found !== undefined && existsSync(found.path("usr/bin/grub-script-check")) ? found : undefined;
const reason = "needs Debian 13's QEMU, loaders and mtools (test/vm/setup.sh)";

/** Each boot takes about 5 s on an idle machine. */
const limitMs = 400_000;

const entriesOf = (boots: readonly SeenBoot[]) => boots.map(({ entry }) => entry?.replace(/^osdeploy-0+/, ""));

describe.skipIf(trixie === undefined)(`boot loaders; ${reason}`, () => {
  const places: string[] = [];
  afterAll(() => {
    for (const place of places) rmSync(place, { recursive: true, force: true });
  });

  function scratch(): string {
    const place = mkdtempSync(join(tmpdir(), "osdeploy-loader-"));
    places.push(place);
    return place;
  }

  function debian(): NonNullable<typeof trixie> {
    if (trixie === undefined) throw new Error("skipped");
    return trixie;
  }

  function grubDisk(): LoaderDisk {
    const disk = new LoaderDisk(debian(), scratch());
    const grub = { fileSystemUuid: "ABCD-1234", directory: "/grub" };
    disk.install("usr/lib/grub/x86_64-efi/monolithic/grubx64.efi", "EFI/BOOT/BOOTX64.EFI");
    mkdirSync(disk.at("EFI/debian"));
    writeFileSync(disk.at("EFI/debian/grub.cfg"), formatGrubStub(grub));
    prepareBootPartition(disk.files, disk.boot, { kind: "grub", ...grub, timeoutSeconds: 0 });
    return disk;
  }

  test("GRUB: counts a new entry down, falls back by itself, and boots what is blessed or wished for once", {
    timeout: limitMs,
  }, async () => {
    const disk = grubDisk();
    disk.addEntry(10, {});
    disk.addEntry(11, {});
    // An image chooses its name, and brings kernel arguments.
    const title = `--id evil'; reboot; menuentry '"$(x) \${root} \`y\` { } # \\`;
    disk.addEntry(12, { tries: 3, title, options: `evil=$(x);\${root} dyn="b c"` });
    const first = await disk.boots(5);
    expect(entriesOf(first)).toEqual(["12", "12", "12", "11", "11"]);
    expect(first.map(({ triesLeft }) => triesLeft)).toEqual([2, 1, 0, undefined, undefined]);
    expect(first[0]?.commandLine).toContain(` evil=$(x);\${root} "dyn=b c" composefs=`);
    expect(disk.loader.readMenu().entries.map(({ tries }) => tries)).toEqual([
      { left: 0, done: 3 },
      undefined,
      undefined,
    ]);

    disk.loader.bless({ sequence: 12 });
    const { status } = debian().run(
      "usr/bin/grub-editenv",
      disk.at("grub/grubenv"),
      "set",
      "next_entry=osdeploy-000010",
    );
    expect(status).toBe(0);
    expect(entriesOf(await disk.boots(2))).toEqual(["10", "12"]);

    disk.loader.giveUp({ sequence: 12 });
    disk.loader.removeEntries([{ sequence: 10 }]);
    expect(entriesOf(await disk.boots(1))).toEqual(["11"]);
    disk.loader.giveUp({ sequence: 11 });
    expect(entriesOf(await disk.boots(1))).toEqual(["12"]);
  });

  test("GRUB: an entry whose kernel or initramfs is gone hands over to the one before", {
    timeout: limitMs,
  }, async () => {
    const disk = grubDisk();
    disk.addEntry(1, {});
    disk.addEntry(2, {});
    const { entry } = disk.addEntry(3, {});
    const kernel = entry.fields.find(({ key }) => key === "linux")?.value ?? "";
    rmSync(disk.at(kernel));
    expect(entriesOf(await disk.boots(1))).toEqual(["2"]);
    disk.loader.giveUp({ sequence: 2 });
    expect(entriesOf(await disk.boots(1))).toEqual(["1"]);
  });

  test("GRUB: its own tools find no fault in what osdeploy writes, and read the same environment", () => {
    const disk = grubDisk();
    for (const sequence of [1, 2, 3]) disk.addEntry(sequence, { tries: sequence, title: 'it\'s $(a) `b` "c" \\' });
    for (const name of ["grub/osdeploy.cfg", "grub/grub.cfg", "EFI/debian/grub.cfg"]) {
      expect(debian().run("usr/bin/grub-script-check", disk.at(name))).toMatchObject({ status: 0, stderr: "" });
    }
    const editenv = (...words: readonly string[]) =>
      debian().run("usr/bin/grub-editenv", disk.at("grub/grubenv"), ...words).stdout;
    editenv("set", "mine=a \\ b", "saved_entry=x");
    disk.loader.giveUp({ sequence: 2 });
    disk.loader.bless({ sequence: 1 });
    expect(editenv("list").split("\n").sort()).toEqual([
      "",
      "mine=a \\ b",
      "osdeploy_tries_2=0",
      "osdeploy_tries_3=3",
      "saved_entry=x",
    ]);
    editenv("set", "osdeploy_tries_3=1");
    expect(disk.loader.readMenu().entries[0]?.tries).toEqual({ left: 1, done: 2 });
  });

  function systemdBootDisk(): LoaderDisk {
    const disk = new LoaderDisk(debian(), scratch());
    disk.install("usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed", "EFI/BOOT/BOOTX64.EFI");
    disk.install("usr/lib/systemd/boot/efi/systemd-bootx64.efi.signed", "EFI/systemd/systemd-bootx64.efi");
    prepareBootPartition(disk.files, disk.boot, { kind: "systemd-boot", timeoutSeconds: 0 });
    disk.addEntry(9, {});
    disk.addEntry(10, { options: `dyn="b c"` });
    return disk;
  }

  test("systemd-boot: counts a new entry down, falls back by itself, and takes ours before those of others", {
    timeout: limitMs,
  }, async () => {
    const disk = systemdBootDisk();
    const { entry } = disk.addEntry(11, { tries: 3 });
    const linux = entry.fields.find(({ key }) => key === "linux")?.value;
    // It would sort before ours.
    writeFileSync(
      disk.at("loader/entries/aaa.conf"),
      `title A\nsort-key a\nlinux ${linux}\noptions console=ttyS0 panic=-1\n`,
    );
    const boots = await disk.boots(5);
    expect(entriesOf(boots)).toEqual(["11", "11", "11", "10", "10"]);
    expect(boots[4]?.commandLine).toContain(' dyn="b c" composefs=');
    const { entries, foreign } = disk.loader.readMenu();
    expect(entries.map(({ fileName }) => fileName)).toEqual([
      "osdeploy-000011+0-3.conf",
      "osdeploy-000010.conf",
      "osdeploy-000009.conf",
    ]);
    expect(foreign).toEqual(["aaa.conf"]);
    disk.loader.bless({ sequence: 11 });
    expect(entriesOf(await disk.boots(1))).toEqual(["11"]);
    disk.loader.giveUp({ sequence: 11 });
    expect(entriesOf(await disk.boots(1))).toEqual(["10"]);
  });

  test.skipIf(!isRoot)("systemd-boot: bootctl lists our entries in the order in which we do; needs root", () => {
    const disk = systemdBootDisk();
    disk.addEntry(11, { tries: 3 });
    disk.addEntry(12, { tries: 3 });
    disk.loader.giveUp({ sequence: 11 });
    const libraries = `${debian().libraries}:${debian().libraries}/systemd`;
    const bootctl = (...words: readonly string[]) =>
      [
        debian().loader,
        "--library-path",
        libraries,
        debian().path("usr/bin/bootctl"),
        `--esp-path=${disk.boot}`,
        ...words,
      ].join(" ");
    // bootctl wants the top of a file system.
    const script = `mount --bind ${disk.boot} ${disk.boot} && SYSTEMD_RELAX_ESP_CHECKS=1 ${bootctl("list", "--json=short")}`;
    const { status, stdout, stderr } = run("unshare", ["-m", "sh", "-c", script]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const listed = JSON.parse(stdout) as readonly {
      readonly id: string;
      readonly isDefault: boolean;
      readonly triesLeft?: number;
    }[];
    expect(listed.map(({ id, isDefault, triesLeft }) => [id, isDefault, triesLeft])).toEqual([
      ["osdeploy-000012.conf", true, 3],
      ["osdeploy-000010.conf", false, undefined],
      ["osdeploy-000009.conf", false, undefined],
      ["osdeploy-000011.conf", false, 0],
    ]);
  });
});
