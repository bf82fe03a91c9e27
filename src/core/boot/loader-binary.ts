/**
 * The version of systemd-boot that a file is, as its build wrote it: `257.13-1~deb13u1`; undefined for any other file. It is
 * how bootctl tells its own files from those of others.
 *
 * @see https://www.freedesktop.org/software/systemd/man/latest/bootctl.html
 */
export function systemdBootVersion(bytes: Uint8Array): string | undefined {
  const text = new TextDecoder("latin1").decode(bytes);
  return /#### LoaderInfo: systemd-boot ([A-Za-z0-9.,+~^:_-]{1,100}) ####/.exec(text)?.[1];
}

/** Where a PE file says which part of it is its signatures: the fifth data directory. */
const peOffsetField = 0x3c;
const peMagic = 0x4550;
const optionalHeader = 24;
const widePe = 0x20b;
const wideDirectories = 112;
const securityDirectory = 4;

/**
 * Whether a program for the firmware has a signature; whose, nobody asks. False for what is no 64-bit PE file.
 *
 * @see https://learn.microsoft.com/windows/win32/debug/pe-format
 */
export function isSignedProgram(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u32 = (offset: number) => (offset + 4 <= bytes.length ? view.getUint32(offset, true) : 0);
  const header = u32(peOffsetField);
  if (u32(header) !== peMagic || (u32(header + optionalHeader) & 0xffff) !== widePe) return false;
  const entry = header + optionalHeader + wideDirectories + securityDirectory * 8;
  return u32(entry) !== 0 && u32(entry + 4) !== 0;
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
 * Decides whether the systemd-boot that an image brings takes the place of what is on the boot partition: when it is newer.
 * What is no systemd-boot is never replaced, and what is signed not by what is not: the firmware may refuse that. With Secure
 * Boot nothing is: the machine's owner may have signed what is there, and only the firmware's keys tell whose else it takes.
 */
export function planLoaderUpdate(
  there: Uint8Array,
  offered: Uint8Array,
  { secureBoot }: { readonly secureBoot: boolean },
): LoaderUpdate {
  const from = systemdBootVersion(there);
  const to = systemdBootVersion(offered);
  if (from === undefined || to === undefined || compareVersions(from, to) >= 0) return { kind: "keep" };
  if (isSignedProgram(there) && !isSignedProgram(offered)) return { kind: "keep" };
  return { kind: secureBoot ? "withhold" : "replace", from, to };
}

/** Whether the firmware only starts what is signed, by its variable `SecureBoot`: four bytes of attributes, one of value. */
export function isSecureBoot(variable: Uint8Array | undefined): boolean {
  return variable?.[4] === 1;
}
