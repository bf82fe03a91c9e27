import { describe, expect, test } from "vitest";
import type { Bootloader, BootloaderKind } from "../../src/bootloader/bootloader.ts";
import { openBootloader } from "../../src/bootloader/open-bootloader.ts";
import { prepareBootPartition } from "../../src/bootloader/prepare-boot-partition.ts";
import { type BootEntry, type BootMenu, makeBootEntry } from "../../src/core/boot/boot-menu.ts";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseObjectId } from "../../src/core/digest/object-id.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { type CrashOptions, FakeLinux, type Fault, SimulatedCrash } from "../fakes/fake-linux.ts";

const boot = fromText("/boot");

function entryOf(sequence: number, tries?: number): BootEntry {
  const rootImage = parseObjectId(`${sequence % 10}`.repeat(128), "sha512");
  return makeBootEntry({
    sequence,
    rootImage,
    osRelease: { id: "test", prettyName: "Test OS", version: "9" },
    kernelPath: "/osdeploy/k/vmlinuz",
    initramfsPath: "/osdeploy/k/initramfs.img",
    options: `rw composefs=${rootImage}`,
    tries,
  });
}

const open = ({ files }: FakeLinux, kind: BootloaderKind) => openBootloader(files, { boot, kind });

const changes: readonly { readonly name: string; readonly change: (loader: Bootloader) => unknown }[] = [
  { name: "addEntry, counted", change: (loader) => loader.addEntry(entryOf(4, 3)) },
  { name: "addEntry, not counted", change: (loader) => loader.addEntry(entryOf(4)) },
  { name: "bless", change: (loader) => loader.bless({ sequence: 3 }) },
  { name: "giveUp of a counted entry", change: (loader) => loader.giveUp({ sequence: 3 }) },
  { name: "giveUp of a good entry", change: (loader) => loader.giveUp({ sequence: 2 }) },
  { name: "removeEntries of one", change: (loader) => loader.removeEntries([{ sequence: 3 }]) },
];

/** What is left of GRUB's menu where a vfat was repaired; undefined for a whole one. */
type Spoiled = "no osdeploy.cfg" | "a cut osdeploy.cfg" | undefined;

/** A boot partition with three entries, the newest of them counted; all durable. */
function prepared(kind: BootloaderKind, spoiled: Spoiled): FakeLinux {
  const linux = new FakeLinux({ mountPoints: [{ path: "/boot" }] });
  if (kind === "grub") {
    prepareBootPartition(linux.files, boot, { kind, fileSystemUuid: "A", directory: "/grub", timeoutSeconds: 1 });
  }
  for (const [sequence, tries] of [[1], [2], [3, 3]] as const) open(linux, kind).addEntry(entryOf(sequence, tries));
  if (spoiled !== undefined) spoil(linux, spoiled);
  return linux;
}

function spoil({ files }: FakeLinux, spoiled: Spoiled): void {
  const path = fromText("/boot/grub/osdeploy.cfg");
  const bytes = files.readFile(path, 100_000);
  files.unlink(path);
  if (spoiled === "a cut osdeploy.cfg") files.writeNewFile(path, bytes.slice(0, 70), 0o644);
  const fd = files.open(boot, "directory");
  files.syncFileSystem(fd);
  files.close(fd);
}

const outcomes: readonly CrashOptions[] = [
  { keepUnsynced: true },
  { keepUnsynced: false, names: "lost" },
  { keepUnsynced: false, names: "kept" },
];

/** What the menu means; which files do not count may differ. */
const meaning = ({ entries, foreign }: BootMenu) => ({ entries, foreign });

const menus: readonly { readonly kind: BootloaderKind; readonly spoiled?: Spoiled }[] = [
  { kind: "systemd-boot" },
  { kind: "grub" },
  { kind: "none" },
  { kind: "grub", spoiled: "no osdeploy.cfg" },
  { kind: "grub", spoiled: "a cut osdeploy.cfg" },
];

const cases = menus.flatMap(({ kind, spoiled }) =>
  changes.map(({ name, change }) => ({ on: spoiled ? `${kind} with ${spoiled}` : kind, kind, spoiled, name, change })),
);

describe.each(cases)("$on: $name", ({ kind, spoiled, change }) => {
  const base = prepared(kind, spoiled);
  const uncrashed = base.crash({ keepUnsynced: true });
  const before = meaning(open(uncrashed, kind).readMenu());
  change(open(uncrashed, kind));
  const after = meaning(open(uncrashed, kind).readMenu());
  const calls = uncrashed.trace.length;

  /** The menu is the old one or the new one; doing it again gives the new one, and leaves nothing else behind. */
  function expectOldOrNew(linux: FakeLinux, when: string): void {
    const seen = meaning(open(linux, kind).readMenu());
    expect({ when, isEither: [before, after].some((menu) => JSON.stringify(menu) === JSON.stringify(seen)) }).toEqual({
      when,
      isEither: true,
    });
    if (JSON.stringify(seen) === JSON.stringify(before)) change(open(linux, kind));
    open(linux, kind).removeEntries([]);
    expect({ when, menu: open(linux, kind).readMenu() }).toEqual({ when, menu: { ...after, stale: [] } });
  }

  test.each(outcomes)("the new menu is durable when the call returns: %j", (outcome) => {
    expect(meaning(open(uncrashed.crash(outcome), kind).readMenu())).toEqual(after);
  });

  test("a stop at any mutating call leaves the old menu or the new one", () => {
    for (let failAt = 1; failAt <= calls; failAt++) {
      for (const halfWritten of [false, true]) {
        const linux = base.crash({ keepUnsynced: true }, { failAt, halfWritten });
        expect(() => change(open(linux, kind))).toThrow(SimulatedCrash);
        const at = linux.trace.at(-1);
        for (const outcome of outcomes) {
          const when = `call ${failAt} (${at?.call} ${at?.path}) ${halfWritten} ${JSON.stringify(outcome)}`;
          expectOldOrNew(linux.crash(outcome), when);
        }
      }
    }
  });

  test.each<Fault>(["ENOSPC", "EIO"])("%s at any mutating call leaves the old menu or the new one", (fault) => {
    for (let failAt = 1; failAt <= calls; failAt++) {
      const linux = base.crash({ keepUnsynced: true }, { failAt, fault });
      expect(() => change(open(linux, kind))).toThrow(OsdeployError);
      expect(linux.openPaths).toEqual([]);
      expectOldOrNew(linux.crash({ keepUnsynced: true }), `${fault} at call ${failAt}`);
    }
  });
});
