import { describe, expect, test } from "vitest";
import type { Bootloader, BootloaderKind } from "../../src/bootloader/bootloader.ts";
import { openBootloader } from "../../src/bootloader/open-bootloader.ts";
import { type LoaderSettings, prepareBootPartition } from "../../src/bootloader/prepare-boot-partition.ts";
import { blsOptions } from "../../src/core/boot/bls-entry.ts";
import {
  type BootEntry,
  defaultEntry,
  isExhausted,
  makeBootEntry,
  nextSequence,
} from "../../src/core/boot/boot-menu.ts";
import { parseObjectId } from "../../src/core/digest/object-id.ts";
import { implementations, MachineOfTest } from "../builders/linux-machines.ts";

const settings: Readonly<Record<BootloaderKind, LoaderSettings>> = {
  "systemd-boot": { kind: "systemd-boot", timeoutSeconds: 3 },
  grub: { kind: "grub", fileSystemUuid: "ABCD-1234", directory: "/grub", timeoutSeconds: 3 },
  none: { kind: "none" },
};

const kinds = ["systemd-boot", "grub", "none"] as const;

const rootImage = (digit: string) => parseObjectId(digit.repeat(128), "sha512");

function entryOf(sequence: number, tries?: number): BootEntry {
  return makeBootEntry({
    sequence,
    rootImage: rootImage(`${sequence % 10}`),
    osRelease: { id: "test", prettyName: "Test OS", version: "9" },
    kernelPath: `/osdeploy/${"ab".repeat(32)}/vmlinuz`,
    initramfsPath: `/osdeploy/${"ab".repeat(32)}/initramfs.img`,
    options: `rw quiet composefs=${rootImage(`${sequence % 10}`)}`,
    tries,
  });
}

const cases = implementations.flatMap(({ name, start }) => kinds.map((kind) => ({ name, start, kind })));

describe.each(cases)("Bootloader $kind on $name Linux", ({ start, kind }) => {
  const here = new MachineOfTest(start);
  const { at, write } = here;

  function prepared(): Bootloader {
    prepareBootPartition(here.files, at(""), settings[kind]);
    return openBootloader(here.files, { boot: at("") });
  }

  const menuOf = (loader: Bootloader) =>
    loader
      .readMenu()
      .entries.map(({ sequence, tries }) => (tries ? `${sequence} +${tries.left}-${tries.done}` : `${sequence}`));
  const defaultOf = (loader: Bootloader) => defaultEntry(loader.readMenu())?.sequence;

  test("openBootloader: finds the loader that install noted", () => {
    const loader = prepared();
    expect(loader.kind).toBe(kind);
    expect(loader.countsTries).toBe(kind !== "none");
    expect(loader.readMenu()).toEqual({ entries: [], stale: [], foreign: [] });
  });

  test("addEntry: gives the entry as readMenu then has it, newest first", () => {
    const loader = prepared();
    const added = [2, 10, 9].map((sequence) => loader.addEntry(entryOf(sequence)));
    const { entries, stale, foreign } = loader.readMenu();
    expect(entries).toEqual([added[1], added[2], added[0]]);
    expect(entries.map(({ sequence }) => sequence)).toEqual([10, 9, 2]);
    expect(entries[0]).toEqual(entryOf(10));
    expect({ stale, foreign }).toEqual({ stale: [], foreign: [] });
    expect(nextSequence(loader.readMenu())).toBe(11);
  });

  test("addEntry: tries are given where the loader counts, and dropped where it does not", () => {
    const loader = prepared();
    const added = loader.addEntry(entryOf(4, 3));
    expect(added.tries).toEqual(loader.countsTries ? { left: 3, done: 0 } : undefined);
    expect(loader.readMenu().entries).toEqual([added]);
    expect(blsOptions(added.entry)).toBe(`rw quiet composefs=${rootImage("4")} osdeploy.entry=osdeploy-000004`);
  });

  test("addEntry: never replaces an entry", () => {
    const loader = prepared();
    loader.addEntry(entryOf(5, 3));
    loader.bless({ sequence: 5 });
    for (const tries of [undefined, 3]) {
      expect(() => loader.addEntry({ ...entryOf(5, tries), rootImage: rootImage("f") })).toThrow(
        expect.objectContaining({ code: "already-exists" }),
      );
    }
    expect(loader.readMenu().entries).toEqual([entryOf(5)]);
  });

  test("addEntry: an entry with a taken number is refused, whatever counters the names of its files have", () => {
    const loader = prepared();
    const { fileName } = loader.addEntry(entryOf(5));
    here.files.rename(at(`loader/entries/${fileName}`), at("loader/entries/osdeploy-000005+0-3.conf"), {
      replace: false,
    });
    const before = loader.readMenu();
    for (const tries of [undefined, 3]) {
      expect(() => loader.addEntry(entryOf(5, tries))).toThrow(
        expect.objectContaining({
          code: "already-exists",
          message: "Cannot add a boot entry: there is one with number 5 already",
        }),
      );
    }
    expect(loader.readMenu()).toEqual(before);
    expect(here.files.readDirectory(at("loader/entries"))).toEqual(["osdeploy-000005+0-3.conf"]);
  });

  test("bless: takes the counters away, also when it is done twice, was never counted, or is gone", () => {
    const loader = prepared();
    const counted = loader.addEntry(entryOf(3, 3));
    loader.addEntry(entryOf(4));
    for (let time = 0; time < 2; time++) loader.bless(counted);
    loader.bless({ sequence: 4 });
    loader.bless({ sequence: 99 });
    expect(menuOf(loader)).toEqual(["4", "3"]);
    expect(loader.readMenu().entries).toEqual([entryOf(4), entryOf(3)]);
  });

  test("giveUp: the entry before becomes the default, whether the entry was counted or good", () => {
    const loader = prepared();
    for (const [sequence, tries] of [[1], [2], [3, 3]] as const) loader.addEntry(entryOf(sequence, tries));
    loader.giveUp({ sequence: 3 });
    expect(defaultOf(loader)).toBe(2);
    loader.giveUp({ sequence: 3 });
    loader.giveUp({ sequence: 2 });
    loader.giveUp({ sequence: 99 });
    expect(defaultOf(loader)).toBe(1);
    expect(loader.readMenu().entries.map(({ tries }) => tries?.left)).toEqual([0, 0, undefined]);
    loader.giveUp({ sequence: 1 });
    expect(defaultOf(loader)).toBe(3);
    loader.bless({ sequence: 2 });
    expect(defaultOf(loader)).toBe(2);
  });

  test("giveUp: an entry that was good has no tries left, and none of them was done", () => {
    const loader = prepared();
    loader.addEntry(entryOf(2));
    loader.giveUp({ sequence: 2 });
    expect(loader.readMenu().entries.map(({ tries }) => tries)).toEqual([{ left: 0, done: 0 }]);
  });

  test("removeEntries: takes entries and their counters away, whatever these are by now, and passes over what is gone", () => {
    const loader = prepared();
    const added = [1, 2, 3].map((sequence) => loader.addEntry(entryOf(sequence, 3)));
    loader.giveUp({ sequence: 2 });
    loader.removeEntries([...added.slice(0, 2), { sequence: 77 }]);
    loader.removeEntries([{ sequence: 1 }]);
    expect(loader.readMenu().entries).toEqual(added.slice(2));
    expect(here.files.readDirectory(at("loader/entries"))).toEqual([
      added[2]?.fileName.replace(kind === "grub" ? "+3" : "", ""),
    ]);
    // Nothing of the old entry is left for a new one with its number.
    loader.addEntry(entryOf(2));
    expect(loader.readMenu().entries.map(({ tries }) => tries)).toEqual([
      loader.countsTries ? { left: 3, done: 0 } : undefined,
      undefined,
    ]);
  });

  test("the menu: others' files are named, never break anything, and are left as they are", () => {
    const loader = prepared();
    const first = loader.addEntry(entryOf(1));
    const foreign = {
      "windows.conf": "title Windows\nefi /EFI/boot.efi\n",
      "bootc_debian-13-1.conf": `title Debian\nlinux /bootc_composefs-aa/vmlinuz\noptions composefs=${rootImage("a")}\n`,
      "0123456789abcdef-6.12.1.conf": "title Debian GNU/Linux\nlinux /vmlinuz\n",
      "osdeploy-000006.conf": "title no root image\noptions quiet\n",
      "osdeploy-000007+1.conf": "\0\x01\0\x01",
      "osdeploy-0008.conf": `options composefs=${rootImage("a")}\n`,
    };
    for (const [name, text] of Object.entries(foreign)) write(`loader/entries/${name}`, text);
    write("loader/entries/readme.txt", "not an entry");
    here.files.makeDirectory(at("loader/entries/directory.conf"), 0o755);
    const names = [...Object.keys(foreign), "directory.conf"].sort();
    expect(loader.readMenu()).toEqual({ entries: [first], stale: [], foreign: names });
    const sequence = nextSequence(loader.readMenu());
    expect(sequence).toBe(8);
    const second = loader.addEntry(entryOf(sequence, 3));
    loader.bless({ sequence });
    loader.giveUp({ sequence: 1 });
    loader.removeEntries([first, second, { sequence: 6 }]);
    expect(loader.readMenu()).toEqual({ entries: [], stale: [], foreign: names });
    for (const [name, text] of Object.entries(foreign)) expect(here.text(`loader/entries/${name}`)).toBe(text);
    expect(here.text("loader/entries/readme.txt")).toBe("not an entry");
  });

  test("the menu: the next entry has a number that no renamed one is started by", () => {
    const loader = prepared();
    for (const sequence of [1, 2]) loader.addEntry(entryOf(sequence));
    here.files.rename(at("loader/entries/osdeploy-000002.conf"), at("loader/entries/favourite.conf"));
    expect(loader.readMenu()).toEqual({
      ...{ entries: [entryOf(1)], stale: [], foreign: ["favourite.conf"], renamedSequence: 2 },
    });
    expect(nextSequence(loader.readMenu())).toBe(3);
  });

  test("the menu: what a crash left under a temporary name counts for nothing, and the next entry removes it", () => {
    const loader = prepared();
    loader.addEntry(entryOf(1));
    write("loader/entries/osdeploy-000002.conf.new", "title");
    write("loader/entries/mine.conf.new", "somebody's");
    expect(loader.readMenu()).toEqual({ entries: [entryOf(1)], stale: [], foreign: [] });
    loader.addEntry(entryOf(2));
    expect(here.files.readDirectory(at("loader/entries"))).toEqual([
      "mine.conf.new",
      "osdeploy-000001.conf",
      "osdeploy-000002.conf",
    ]);
  });

  test("the menu: of two files with one number one counts, the other is stale, and both go with the entry", () => {
    const loader = prepared();
    for (const sequence of [1, 2, 3]) loader.addEntry(entryOf(sequence));
    const copy = here.text("loader/entries/osdeploy-000002.conf");
    for (const counters of ["+2-1", "+3"]) write(`loader/entries/osdeploy-000002${counters}.conf`, copy);
    const stale = ["osdeploy-000002+2-1.conf", "osdeploy-000002+3.conf"];
    expect(loader.readMenu()).toEqual({ entries: [entryOf(3), entryOf(2), entryOf(1)], stale, foreign: [] });
    loader.bless({ sequence: 2 });
    expect(loader.readMenu()).toEqual({ entries: [entryOf(3), entryOf(2), entryOf(1)], stale, foreign: [] });
    expect(nextSequence(loader.readMenu())).toBe(4);
    write("loader/entries/osdeploy-000003+3.conf", here.text("loader/entries/osdeploy-000003.conf"));
    loader.giveUp({ sequence: 2 });
    expect(loader.readMenu().entries.map(isExhausted)).toEqual([false, true, false]);
    // Where the loader reads the directory itself, it would start the stale ones. Those of another entry are not asked about.
    const others = ["osdeploy-000003+3.conf"];
    expect(loader.readMenu().stale).toEqual(kind === "grub" ? [...stale, ...others] : others);
    loader.removeEntries([{ sequence: 2 }, { sequence: 2 }, { sequence: 3 }]);
    expect(loader.readMenu()).toEqual({ entries: [entryOf(1)], stale: [], foreign: [] });
  });

  test("readMenu: gives nothing where there is no directory of entries", () => {
    const loader = openBootloader(here.files, { boot: at("nowhere"), kind });
    expect(loader.readMenu()).toEqual({ entries: [], stale: [], foreign: [] });
    loader.removeEntries([{ sequence: 1 }]);
    loader.bless({ sequence: 1 });
    loader.giveUp({ sequence: 1 });
  });

  test("addEntry: makes the directories that it needs", () => {
    const loader = openBootloader(here.files, { boot: at(""), kind });
    loader.addEntry(entryOf(1));
    expect(menuOf(loader)).toEqual(["1"]);
  });
});
