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

/** A boot partition with three entries, the newest of them counted; all durable. */
function prepared(kind: BootloaderKind): FakeLinux {
  const linux = new FakeLinux({ mountPoints: [{ path: "/boot" }] });
  if (kind === "grub") {
    prepareBootPartition(linux.files, boot, { kind, fileSystemUuid: "A", directory: "/grub", timeoutSeconds: 1 });
  }
  for (const [sequence, tries] of [[1], [2], [3, 3]] as const) open(linux, kind).addEntry(entryOf(sequence, tries));
  return linux;
}

const outcomes: readonly CrashOptions[] = [
  { keepUnsynced: true },
  { keepUnsynced: false, names: "lost" },
  { keepUnsynced: false, names: "kept" },
];

/** What the menu means; which files do not count may differ. */
const meaning = ({ entries, foreign }: BootMenu) => ({ entries, foreign });

const cases = (["systemd-boot", "grub", "none"] as const).flatMap((kind) =>
  changes.map(({ name, change }) => ({ kind, name, change })),
);

describe.each(cases)("$kind: $name", ({ kind, change }) => {
  const base = prepared(kind);
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
