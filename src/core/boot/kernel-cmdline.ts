import type { ObjectId } from "../digest/object-id.ts";

/** Splits kernel arguments at white space outside double quotes, as the kernel does. */
export function splitCmdline(text: string): readonly string[] {
  return text.match(/(?:[^\s"]|"[^"]*"?)+/g) ?? [];
}

/**
 * Whether a double quote is left open: for the kernel all that comes after it belongs to one argument, also what osdeploy adds
 * at the end.
 */
export function hasOpenQuote(text: string): boolean {
  return text.split('"').length % 2 === 0;
}

/** The same arguments for the kernel, which closes a quote where they end; more can come after them. */
export function closedCmdline(text: string): string {
  return hasOpenQuote(text) ? `${text}"` : text;
}

/**
 * The kernel argument that names a root image: `composefs=<hex>`, with `?` before the digest where the kernel cannot
 * check it. Every initramfs program of the field takes this form.
 */
export function composefsArgument(rootImage: ObjectId, verity: "required" | "optional"): string {
  return `composefs=${verity === "optional" ? "?" : ""}${rootImage}`;
}

/** The digest that a `composefs=` argument names, without its `?`; undefined for any other argument. */
export function rootImageOfArgument(argument: string): string | undefined {
  return /^composefs=\??([0-9a-f]{64}|[0-9a-f]{128})$/.exec(argument)?.[1];
}

/** The root image that a whole command line names, or undefined. As for the initramfs, the first one counts. */
export function rootImageOfCmdline(text: string): string | undefined {
  return splitCmdline(text)
    .map(rootImageOfArgument)
    .find((hex) => hex !== undefined);
}

/**
 * Kernel arguments with others that an administrator gives: each that is new takes the place of all that have its name. Those that
 * are there already stay where they are.
 */
export function withGivenArguments(options: string, given: readonly string[]): string {
  const words = splitCmdline(closedCmdline(options));
  const wanted = given.flatMap(splitCmdline);
  const come = wanted.filter((word) => !words.includes(word));
  const names = new Set(come.map(nameOf));
  return [...words.filter((word) => wanted.includes(word) || !names.has(nameOf(word))), ...come].join(" ");
}

function nameOf(word: string): string {
  return word.replace(/=.*$/s, "");
}

/** What the kernel arguments of a new deployment are made from. */
export interface DeploymentOptions {
  /** All options of the boot entry that it comes after, or those that `install` was given. */
  readonly inherited: string;
  /** The `composefs=` argument of the new root image: {@link composefsArgument}. */
  readonly rootArgument: string;
  /** The arguments that images bring: of the image that `inherited` was for (none for the first one), and of the new one. */
  readonly imageArguments?: { readonly before: readonly string[]; readonly after: readonly string[] };
}

/**
 * The kernel arguments of a new deployment, for `makeBootEntry`: those inherited, without what named the deployment before;
 * of the image's own arguments only what changed from image to image, so that what the administrator took away stays away;
 * `panic=30` where nothing says what to do in a panic, because a machine that stands still never tries another entry.
 */
export function deploymentOptions({ inherited, rootArgument, imageArguments }: DeploymentOptions): string {
  const { before, after } = imageArguments ?? { before: [], after: [] };
  const gone = new Set(before.filter((word) => !after.includes(word)));
  const kept = splitCmdline(closedCmdline(inherited)).filter(
    (word) => !isOfRootImage(word) && !isOfEntry(word) && !gone.has(word),
  );
  const come = after.filter((word, index) => !before.includes(word) && after.indexOf(word) === index);
  // An image does not get to say which root image or which entry this is, nor how osdeploy's own programs do their work.
  const words = [...kept, ...come.filter((word) => !kept.includes(word) && !hasPart(word, /^(osdeploy\.|composefs)/))];
  const panic = words.some((word) => /^panic=/.test(word)) ? [] : [`panic=${panicSeconds}`];
  return [...words, ...panic, rootArgument].join(" ");
}

/** Long enough to read a panic on a console. */
const panicSeconds = 30;

/** The kernel argument by which user space and initramfs know which entry booted, under any loader. */
export function entryArgument(entryId: string): string {
  return `osdeploy.entry=${entryId}`;
}

/** The entry that booted, as `osdeploy-000012`; undefined where the command line is not of an entry of ours. */
export function entryOfCmdline(text: string): string | undefined {
  return lastMatch(text, /^osdeploy\.entry=(osdeploy-\d{6,15})$/);
}

/** The tries that GRUB left when it started this counted boot; undefined when it did not count. */
export function triesLeftOfCmdline(text: string): number | undefined {
  const left = lastMatch(text, /^osdeploy\.tries=(\d{1,9})$/);
  return left === undefined ? undefined : Number(left);
}

function lastMatch(text: string, pattern: RegExp): string | undefined {
  return splitCmdline(text)
    .map((word) => pattern.exec(word)?.[1])
    .findLast((value) => value !== undefined);
}

function isOfRootImage(word: string): boolean {
  return hasPart(word, /^composefs(\.digest)?=/);
}

/** `osdeploy.entry=` and `osdeploy.tries=` belong to one entry; other arguments of osdeploy's are settings, and are kept. */
function isOfEntry(word: string): boolean {
  return hasPart(word, /^osdeploy\.(entry|tries)(=|$)/);
}

/** Whether somebody may read an argument like this there: GRUB takes quotes away, and the initramfs splits at all white space. */
function hasPart(word: string, pattern: RegExp): boolean {
  return word
    .replaceAll('"', "")
    .split(/\s+/)
    .some((part) => pattern.test(part));
}
