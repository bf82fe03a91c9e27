import type { ByteString } from "../bytes/byte-string.ts";
import { letterClasses } from "./byte-set.ts";
import type { Assertion, Dialect, Regex } from "./regex.ts";
import { dotSet, readClass } from "./regex-class.ts";
import { RegexCursor, type RegexFlags } from "./regex-cursor.ts";
import { readByteEscape } from "./regex-escape.ts";

/** Groups within groups; the regex comes from an image and is read recursively. */
const maxNesting = 100;
/** Quantifiers of quantifiers, which Rust allows. */
const maxStacked = 10;
/** The highest count in braces; higher ones make automata explode. */
const maxCount = 1000;

/**
 * Reads a regex by the rules of `dialect`. Capture groups count from 1.
 *
 * Known is all that policies use and more; what is rare and reads differently in different engines is refused.
 *
 * @throws OsdeployError `bad-format` when it is no regex of the dialect; `unsupported` when it is, perhaps, but uses
 * something that is not known here.
 * @see https://docs.rs/regex/latest/regex/#syntax
 * @see https://www.pcre.org/current/doc/html/pcre2pattern.html
 */
export function parseRegex(text: ByteString, dialect: Dialect): Regex {
  const parser = new RegexParser(new RegexCursor(text, dialect));
  return parser.parse();
}

class RegexParser {
  readonly #cursor: RegexCursor;
  #depth = 0;
  #groups = 0;
  #highestReference = 0;

  constructor(cursor: RegexCursor) {
    this.#cursor = cursor;
  }

  parse(): Regex {
    const regex = this.#readChoice();
    if (this.#cursor.next !== "") throw this.#cursor.invalid("a group is closed that was not opened");
    if (this.#highestReference > this.#groups) throw this.#cursor.invalid("it refers back to a group it does not have");
    return regex;
  }

  #readChoice(): Regex {
    const items = [this.#readSequence()];
    while (this.#cursor.skip("|")) items.push(this.#readSequence());
    const [only] = items;
    return items.length === 1 && only !== undefined ? only : { kind: "choice", items };
  }

  #readSequence(): Regex {
    const items: Regex[] = [];
    while (!["", "|", ")"].includes(this.#cursor.next)) {
      const atoms = this.#readAtoms();
      // A quantifier belongs to the last atom alone; only quoted text makes several at once.
      const last = atoms.pop();
      if (last !== undefined) items.push(...atoms, this.#readQuantifiers(last));
    }
    return { kind: "sequence", items };
  }

  #readAtoms(): Regex[] {
    const cursor = this.#cursor;
    const letter = cursor.take();
    switch (letter) {
      case ".":
        return [{ kind: "set", set: dotSet(cursor) }];
      case "[":
        return [{ kind: "set", set: readClass(cursor) }];
      case "(":
        return this.#readGroup();
      case "^":
        return [{ kind: "assertion", what: "start" }];
      case "$":
        return [{ kind: "assertion", what: "end" }];
      case "\\":
        return this.#readEscape();
      case "*":
      case "+":
      case "?":
        throw cursor.invalid("a quantifier has nothing to repeat");
      case "{":
        if (cursor.dialect === "rust") throw cursor.invalid("a quantifier has nothing to repeat");
        return [this.#literal(letter)];
      default:
        return [this.#readLiteral(letter)];
    }
  }

  #literal(letter: string): Regex {
    return { kind: "set", set: this.#cursor.setOf(letter) };
  }

  /** To Rust, the bytes of one UTF-8 character are one thing to repeat; to PCRE2, without UTF, they are bytes. */
  #readLiteral(letter: string): Regex {
    const cursor = this.#cursor;
    if (letter <= "\x7f" || cursor.dialect === "pcre") return this.#literal(letter);
    if (cursor.flags.ignoreCase) throw cursor.invalid("what is not ASCII has no cases here");
    const items = Array.from(letter + cursor.textOf(/[\x80-\xbf]+/y), (byte) => this.#literal(byte));
    return { kind: "sequence", items };
  }

  #readEscape(): Regex[] {
    const cursor = this.#cursor;
    const letter = cursor.next;
    const set = letterClasses.get(letter);
    const assertion = assertions[cursor.dialect].get(letter);
    if (set === undefined && assertion === undefined) {
      return cursor.dialect === "pcre" ? this.#readPcreEscape() : [this.#literal(readByteEscape(cursor))];
    }
    cursor.take();
    if (letter === "b" && cursor.dialect === "rust" && cursor.next === "{")
      throw cursor.unsupported("\\b{ is not supported");
    return [set === undefined ? { kind: "assertion", what: assertion as Assertion } : { kind: "set", set }];
  }

  #readPcreEscape(): Regex[] {
    const cursor = this.#cursor;
    if (cursor.skip("E")) return [];
    if (cursor.skip("Q")) {
      return Array.from(cursor.takeThrough("\\E"), (byte) => this.#literal(byte));
    }
    const reference = cursor.match(/[1-9][0-9]*/y)?.[0];
    if (reference === undefined) return [this.#literal(readByteEscape(cursor))];
    if (reference.length > 1) throw cursor.unsupported(`\\${reference} may be a back reference or a byte`);
    this.#highestReference = Math.max(this.#highestReference, Number(reference));
    return [{ kind: "backreference", index: Number(reference), ignoreCase: cursor.flags.ignoreCase }];
  }

  #readGroup(): Regex[] {
    const cursor = this.#cursor;
    if (this.#depth >= maxNesting) throw cursor.unsupported("its groups nest too deep");
    const { flags } = cursor;
    if (cursor.next === "*" && cursor.dialect === "pcre") throw cursor.unsupported("(* is not supported");
    if (!cursor.skip("?") || this.#skipGroupName()) {
      this.#groups++;
      const index = this.#groups;
      return [{ kind: "group", item: this.#readInner(flags), index }];
    }
    if (cursor.dialect === "pcre") {
      const special = this.#readPcreGroup(flags);
      if (special !== undefined) return [special];
    }
    this.#readFlags();
    if (cursor.skip(")")) return [];
    if (!cursor.skip(":")) throw cursor.invalid("a group opens in an unknown way");
    return [this.#readInner(flags)];
  }

  #skipGroupName(): boolean {
    return this.#cursor.match(/P?<[A-Za-z_][A-Za-z0-9_]*>/y) !== undefined;
  }

  /** What PCRE2 has and Rust has not: look-around and atomic groups. */
  #readPcreGroup(flags: RegexFlags): Regex | undefined {
    const cursor = this.#cursor;
    if (cursor.skip(">")) return { kind: "atomic", item: this.#readInner(flags) };
    const look = cursor.match(/(<?)([=!])/y);
    if (look === undefined) return undefined;
    return { kind: "look", behind: look[1] === "<", negative: look[2] === "!", item: this.#readInner(flags) };
  }

  /** The rest of a group after its opening. Flags set inside end with it; `flags` hold after it. */
  #readInner(flags: RegexFlags): Regex {
    this.#depth++;
    const item = this.#readChoice();
    this.#depth--;
    if (!this.#cursor.skip(")")) throw this.#cursor.invalid("a group is not closed");
    this.#cursor.flags = flags;
    return item;
  }

  #readFlags(): void {
    const cursor = this.#cursor;
    const letters = cursor.match(/([a-zA-Z]*)(?:-([a-zA-Z]+))?/y);
    for (const [group, value] of [[letters?.[1], true] as const, [letters?.[2], false] as const]) {
      for (const letter of group ?? "") {
        const flag = flagLetters.get(letter);
        if (flag === undefined) throw cursor.unsupported(`flag ${letter} is not supported`);
        cursor.flags = { ...cursor.flags, [flag]: value };
      }
    }
  }

  #readQuantifiers(atom: Regex): Regex {
    const cursor = this.#cursor;
    let regex = atom;
    for (let stacked = 0; ; stacked++) {
      const count = this.#readCount();
      if (count === undefined) return regex;
      if (stacked > 0 && cursor.dialect === "pcre") throw cursor.invalid("a quantifier follows a quantifier");
      if (stacked > maxStacked) throw cursor.unsupported("too many quantifiers follow each other");
      const lazy = cursor.skip("?") !== cursor.flags.swapGreed;
      regex = { kind: "repeat", item: regex, ...count, lazy };
      if (cursor.dialect === "pcre" && cursor.skip("+")) regex = { kind: "atomic", item: regex };
    }
  }

  #readCount(): { readonly min: number; readonly max: number } | undefined {
    const cursor = this.#cursor;
    if (cursor.skip("*")) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (cursor.skip("+")) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (cursor.skip("?")) return { min: 0, max: 1 };
    if (cursor.next !== "{") return undefined;
    const braces = cursor.match(/\{([0-9]+)(,?)([0-9]*)\}/y);
    if (braces === undefined) {
      if (cursor.dialect === "rust") throw cursor.invalid("a count in braces is not valid");
      // A count to PCRE2 from 10.43 on, text before.
      if (cursor.match(/\{,[0-9]+\}/y)) throw cursor.unsupported("{,n} means different things to different engines");
      return undefined;
    }
    const min = Number(braces[1]);
    const open = braces[3] === "" ? Number.POSITIVE_INFINITY : Number(braces[3]);
    const max = braces[2] === "" ? min : open;
    if (min > max) throw cursor.invalid("a count in braces runs backwards");
    if (min > maxCount || (max > maxCount && max !== Number.POSITIVE_INFINITY)) {
      throw cursor.unsupported(`a count in braces is above ${maxCount}`);
    }
    return { min, max };
  }
}

const flagLetters: ReadonlyMap<string, keyof RegexFlags> = new Map([
  ["i", "ignoreCase"],
  ["s", "dotAll"],
  ["U", "swapGreed"],
]);

const assertions: Readonly<Record<Dialect, ReadonlyMap<string, Assertion>>> = {
  rust: new Map([
    ["A", "start"],
    ["z", "end"],
    ["b", "word"],
    ["B", "not-word"],
  ]),
  pcre: new Map([
    ["A", "start"],
    ["z", "end"],
    ["Z", "end-or-line-end"],
    ["b", "word"],
    ["B", "not-word"],
  ]),
};
