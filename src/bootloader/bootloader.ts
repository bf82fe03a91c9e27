import type { BootEntry, BootMenu } from "../core/boot/boot-menu.ts";

/** The loaders that osdeploy writes for. `none`: entries are written, and somebody else makes them boot. */
export type BootloaderKind = "systemd-boot" | "grub" | "none";

/**
 * The boot menu of one boot partition, as its loader sees it. One contract suite runs against every kind.
 *
 * Entries are files in `loader/entries` for all of them. Each change is committed by one rename (or one removal) and
 * durable when the call returns; a crash leaves the menu as it was or as it should be, on vfat too. Entries that are not
 * ours are never touched, and never break anything.
 *
 * An entry is known by its sequence number: one that was read before its counters changed still names it.
 */
export interface Bootloader {
  readonly kind: BootloaderKind;
  /** Whether it counts tries: then new entries are given some. Where it does not, tries given to `addEntry` are dropped. */
  readonly countsTries: boolean;
  /** Our entries, newest first, with their counters, and the names of the others. */
  readMenu(): BootMenu;
  /**
   * Adds an entry: the commit point of a deployment. Everything it names has to be durable before. Gives it as it is in the
   * menu now: its file name depends on who counts.
   *
   * @throws OsdeployError `already-exists` when its sequence number is taken.
   */
  addEntry(entry: BootEntry): BootEntry;
  /**
   * Takes entries away, in the given order, with all files of their numbers; those that are gone already are passed over.
   * What an earlier change left behind in a crash goes too.
   */
  removeEntries(entries: readonly Pick<BootEntry, "sequence">[]): void;
  /** Takes the counters from an entry whose boot was good. Fine when somebody else did it before, or it is gone. */
  bless(entry: Pick<BootEntry, "sequence">): void;
  /** Uses up the tries of an entry, whether it has been good before or not: the loader passes over it from now on. */
  giveUp(entry: Pick<BootEntry, "sequence">): void;
}
