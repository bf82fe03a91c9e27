import type { ObjectId } from "../digest/object-id.ts";

/** Splits kernel arguments at white space outside double quotes, as the kernel does. */
export function splitCmdline(text: string): readonly string[] {
  return text.match(/(?:[^\s"]|"[^"]*"?)+/g) ?? [];
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

/** The root image that a whole command line names, or undefined. As for the kernel, the last one counts. */
export function rootImageOfCmdline(text: string): string | undefined {
  return splitCmdline(text)
    .map(rootImageOfArgument)
    .findLast((hex) => hex !== undefined);
}

/** The arguments of `text` with those that name a root image replaced by one for `argument`, at the end. */
export function withRootImage(text: string, argument: string): string {
  const kept = splitCmdline(text).filter((word) => !/^composefs(\.digest)?=/.test(word));
  return [...kept, argument].join(" ");
}
