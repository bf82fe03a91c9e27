import { fromBytes } from "../bytes/byte-string.ts";
import { type FirmwareProgram, readFirmwareProgram } from "./firmware-program.ts";

/** What a boot loader is, by what its build wrote into it. */
export interface LoaderBuild {
  /** `systemd-boot`, or `grub.` and who made it, such as `grub.debian`: that one also chose where it looks for its settings. */
  readonly name: string;
  /** As in `257.13-1~deb13u1`. */
  readonly version: string;
  readonly isSigned: boolean;
}

/**
 * What a file is that a firmware starts; undefined for what is no loader that we know. systemd-boot says it in a text that
 * bootctl knows its own files by, GRUB in the table by which vendors take back what must no longer be started (SBAT).
 *
 * @see https://www.freedesktop.org/software/systemd/man/latest/bootctl.html
 * @see https://github.com/rhboot/shim/blob/main/SBAT.md
 */
export function loaderBuild(bytes: Uint8Array): LoaderBuild | undefined {
  const program = readFirmwareProgram(bytes);
  const isSigned = program?.isSigned === true;
  const text = fromBytes(bytes);
  const version = /#### LoaderInfo: systemd-boot ([A-Za-z0-9.,+~^:_-]{1,100}) ####/.exec(text)?.[1];
  if (version !== undefined) return { name: "systemd-boot", version, isSigned };
  const grub = program && grubBuild(program);
  return grub && { ...grub, isSigned };
}

/** Lines of SBAT: component, generation, vendor, package, version, address. The first one of a vendor is that of its package. */
function grubBuild(program: FirmwareProgram): { readonly name: string; readonly version: string } | undefined {
  const table = program.section(".sbat");
  if (table === undefined || !/^grub,/m.test(table)) return undefined;
  const [, name, version] =
    /^(grub\.[a-z]{1,40}),[^,\n]{0,100},[^,\n]{0,100},[^,\n]{0,100},([A-Za-z0-9.+~^:_-]{1,100}),/m.exec(table) ?? [];
  return name === undefined || version === undefined ? undefined : { name, version };
}

/**
 * Orders versions of one program from one distribution, older first, as the Version Format Specification has it: numbers by
 * their value, letters by their place, `~` before the end, `^` after it.
 *
 * @see https://uapi-group.org/specifications/specs/version_format_specification/
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const order = compareParts(left[index] ?? "", right[index] ?? "");
    if (order !== 0) return order;
  }
  return 0;
}

function partsOf(version: string): readonly string[] {
  return version.match(/\d+|[A-Za-z]+|[~^.-]/g) ?? [];
}

/** `~` is lower than the end of a version, and that lower than all else. */
const ranks: Readonly<Record<string, number>> = { "~": 0, "": 1, "-": 2, "^": 3, ".": 4 };
const letters = 5;
const digits = 6;

function compareParts(a: string, b: string): number {
  const [left, right] = [rankOf(a), rankOf(b)];
  if (left !== right) return left - right;
  if (left === digits) return Number(a) - Number(b);
  return a < b ? -1 : a > b ? 1 : 0;
}

function rankOf(part: string): number {
  return ranks[part] ?? (/^\d/.test(part) ? digits : letters);
}

/** Whether a loader on a boot partition is to give way to another one. */
export type LoaderUpdate =
  | { readonly kind: "keep" }
  /** It is newer, and whether the firmware would start it nobody knows. */
  | { readonly kind: "withhold"; readonly from: string; readonly to: string }
  | { readonly kind: "replace"; readonly from: string; readonly to: string };

/**
 * Decides whether the loader that an image brings takes the place of what is on the EFI system partition: when it is the same
 * one, and newer. What is no loader that we know is never replaced, and what is signed not by what is not: the firmware may
 * refuse that. With Secure Boot nothing is: the machine's owner may have signed what is there, and only the firmware's keys tell
 * whose else it takes.
 */
export function planLoaderUpdate(
  there: Uint8Array,
  offered: Uint8Array,
  { secureBoot }: { readonly secureBoot: boolean },
): LoaderUpdate {
  const [old, next] = [loaderBuild(there), loaderBuild(offered)];
  if (old === undefined || next === undefined || old.name !== next.name) return { kind: "keep" };
  if (compareVersions(old.version, next.version) >= 0 || (old.isSigned && !next.isSigned)) return { kind: "keep" };
  return { kind: secureBoot ? "withhold" : "replace", from: old.version, to: next.version };
}

/** Whether the firmware only starts what is signed, by its variable `SecureBoot`: four bytes of attributes, one of value. */
export function isSecureBoot(variable: Uint8Array | undefined): boolean {
  return variable?.[4] === 1;
}
