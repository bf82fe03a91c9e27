import { type ByteString, fromBytes, fromText, toBytes } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";

/** GRUB's environment block: variables that survive a reset, in the order of the file. Names and values are bytes. */
export interface GrubEnvironment {
  readonly variables: ReadonlyMap<ByteString, ByteString>;
  /** GRUB writes the block in place and never changes its size. */
  readonly sizeBytes: number;
}

/** The first line of every block; GRUB refuses others. */
const signature = fromText("# GRUB Environment Block\n");

/** The size that `grub-editenv` gives a block. */
const blockBytes = 1024;

/** What can be a name: anything else would be read as something else. */
const namePattern = /^[^#=\\\n][^=\\\n]*$/;

/** A block without variables. */
export const emptyGrubEnvironment: GrubEnvironment = { variables: new Map(), sizeBytes: blockBytes };

/**
 * Reads an environment block as GRUB does: a backslash takes the next byte literally, also a line feed; lines without `=`
 * or without a name and comments are passed over; of two lines with one name the last one counts.
 *
 * @throws OsdeployError `bad-format` when it is none.
 * @see grub-core/lib/envblk.c
 */
export function parseGrubEnvironment(block: Uint8Array): GrubEnvironment {
  const text = fromBytes(block);
  if (!text.startsWith(signature)) {
    throw new OsdeployError("bad-format", "Cannot read the GRUB environment: it does not begin as one");
  }
  const variables = new Map<ByteString, ByteString>();
  for (const [line] of text.slice(signature.length).matchAll(/(?:\\[\s\S]|[^\\\n])+/g)) {
    const equals = line.indexOf("=");
    const name = line.slice(0, Math.max(equals, 0));
    if (namePattern.test(name)) variables.set(name as ByteString, unquoted(line.slice(equals + 1)));
  }
  return { variables, sizeBytes: block.length };
}

function unquoted(value: string): ByteString {
  return value.replace(/\\([\s\S])/g, "$1") as ByteString;
}

/**
 * The bytes of an environment block, as `grub-editenv` writes them: padded with `#` to its size. It grows only when the
 * variables need it.
 *
 * @throws OsdeployError `bad-format` when the name of a variable would not survive being read again.
 */
export function formatGrubEnvironment({ variables, sizeBytes }: GrubEnvironment): Uint8Array<ArrayBuffer> {
  const lines = [...variables].map(([name, value]) => {
    if (!namePattern.test(name)) {
      throw new OsdeployError(
        "bad-format",
        `Cannot write the GRUB environment: it cannot hold ${JSON.stringify(name)}`,
      );
    }
    return `${name}=${value.replace(/[\\\n]/g, "\\$&")}\n`;
  });
  const text = signature + lines.join("");
  const needed = Math.max(sizeBytes, blockBytes, Math.ceil(text.length / blockBytes) * blockBytes);
  return toBytes(text.padEnd(needed, "#") as ByteString);
}

/** The block with variables set, or taken away where the value is undefined. */
export function withGrubVariables(
  { variables, sizeBytes }: GrubEnvironment,
  changes: ReadonlyMap<ByteString, ByteString | undefined>,
): GrubEnvironment {
  const changed = new Map(variables);
  for (const [name, value] of changes) {
    if (value === undefined) changed.delete(name);
    else changed.set(name, value);
  }
  return { variables: changed, sizeBytes };
}
