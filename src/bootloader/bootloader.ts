import type { BootEntry, BootMenu } from "../core/boot/boot-menu.ts";

/** The loaders that osdeploy writes for. `none`: entries are written, and somebody else makes them boot. */
export type BootloaderKind = "systemd-boot" | "grub" | "none";

/**
 * The boot menu of one boot partition, as its loader sees it. One contract suite runs against every kind.
 *
 * Entries are files in `loader/entries` for all of them. Each change is committed by one rename (or one removal) and
 * durable when the call returns; a crash leaves the menu as it was or as it should be, on vfat too. Entries that are not
 * ours are never touched, and never break anything.
 */
export interface Bootloader {
  readonly kind: BootloaderKind;
  /** Whether it counts tries: then new entries are given some. */
  readonly countsTries: boolean;
  /** Our entries, newest first, with their counters, and the names of the others. */
  readMenu(): BootMenu;
  /** Adds an entry: the commit point of a deployment. Everything it names has to be durable before. */
  addEntry(entry: BootEntry): void;
  /** Takes entries away, in the given order; those that are gone already are passed over. */
  removeEntries(entries: readonly BootEntry[]): void;
  /** Takes the counters from an entry whose boot was good. Fine when somebody else did it before. */
  bless(entry: BootEntry): void;
  /** Uses up the tries of an entry, whether it has been good before or not: the loader passes over it from now on. */
  giveUp(entry: BootEntry): void;
}
