import { OsdeployError } from "../errors.ts";

export interface JsonMembersOptions {
  /** Names the document in errors. */
  readonly document: string;
  /** The member whose array is not kept, but handed out item by item. */
  readonly list: string;
  /** Bytes that one value may have. */
  readonly limitBytes: number;
  readonly onItem: (item: unknown) => void;
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const open = 0x7b;
const close = 0x7d;

/** Items of so many bytes are read together: fewer calls, and still little memory. */
const batchBytes = 64 * 1024;

/**
 * Reads a JSON object with one long array in it, whose items are handed out one after the other: the memory it takes does
 * not depend on how many there are. A key that stands twice is refused. Returns the other members.
 *
 * @throws OsdeployError `bad-format` when it is no such object; `limit-exceeded` for a value that is too long.
 */
export function readJsonMembers(bytes: Uint8Array, options: JsonMembersOptions): ReadonlyMap<string, unknown> {
  const reader = new Reader(bytes, options);
  const members = new Map<string, unknown>();
  reader.expect(open);
  if (!reader.skip(close)) {
    do {
      const key = reader.value();
      if (typeof key !== "string" || members.has(key)) throw reader.bad("a key is no text, or stands twice");
      reader.expect(colon);
      members.set(key, key === options.list && reader.skip(0x5b) ? reader.items() : reader.value());
    } while (reader.skip(comma));
    reader.expect(close);
  }
  if (!reader.atEnd) throw reader.bad("something follows its end");
  return members;
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #options: JsonMembersOptions;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #at = 0;
  /** Up to here items are read one by one: what looked like the end of one is none. */
  #aloneTo = 0;

  constructor(bytes: Uint8Array, options: JsonMembersOptions) {
    this.#bytes = bytes;
    this.#options = options;
  }

  get atEnd(): boolean {
    this.#skipBlanks();
    return this.#at === this.#bytes.length;
  }

  /** Passes over `byte` if it comes next. */
  skip(byte: number): boolean {
    this.#skipBlanks();
    if (this.#bytes[this.#at] !== byte) return false;
    this.#at++;
    return true;
  }

  expect(byte: number): void {
    if (!this.skip(byte)) throw this.bad(`"${String.fromCharCode(byte)}" is missing at byte ${this.#at}`);
  }

  /** The items of an array whose bracket was passed. */
  items(): undefined {
    if (this.skip(0x5d)) return undefined;
    do {
      if (!this.#readBatch()) this.#options.onItem(this.value());
    } while (this.skip(comma));
    this.expect(0x5d);
  }

  /**
   * Reads items up to a place that looks like the end of one and the start of the next. Where all before it are values, it
   * is that place: the text of a value has one end. False, and nothing is read, where there is no such place.
   */
  #readBatch(): boolean {
    if (this.#at < this.#aloneTo) return false;
    const end = this.#likelyEnd(this.#at + batchBytes);
    const items = end - this.#at > this.#options.limitBytes ? undefined : this.#parseItems(end);
    if (items === undefined) {
      // One by one they will show what is wrong, or that nothing is. No byte is looked at here twice.
      this.#aloneTo = end;
      return false;
    }
    this.#at = end;
    for (const item of items) this.#options.onItem(item);
    return true;
  }

  /** Behind the first `}` at or after `from` that a comma and a `{` follow, as all writers make it; else the end of all. */
  #likelyEnd(from: number): number {
    const bytes = this.#bytes;
    for (let at = bytes.indexOf(close, from); at >= 0; at = bytes.indexOf(close, at + 1)) {
      if (bytes[at + 1] === comma && bytes[at + 2] === open) return at + 1;
    }
    return bytes.length;
  }

  #parseItems(end: number): readonly unknown[] | undefined {
    try {
      return JSON.parse(`[${this.#decoder.decode(this.#bytes.subarray(this.#at, end))}]`);
    } catch {
      return undefined;
    }
  }

  /** One value, whatever it is. */
  value(): unknown {
    this.#skipBlanks();
    const start = this.#at;
    this.#passValue();
    if (this.#at - start > this.#options.limitBytes) {
      const state = `a value has more than ${this.#options.limitBytes} bytes`;
      throw new OsdeployError("limit-exceeded", `Cannot read ${this.#options.document}: ${state}`);
    }
    try {
      return JSON.parse(this.#decoder.decode(this.#bytes.subarray(start, this.#at)));
    } catch (cause) {
      throw this.bad(`what stands at byte ${start} is no JSON`, cause);
    }
  }

  bad(state: string, cause?: unknown): OsdeployError {
    return new OsdeployError("bad-format", `Cannot read ${this.#options.document}: ${state}`, { cause });
  }

  /** Moves behind a value. Finds its end only; whether it is one, `JSON.parse` will say. */
  #passValue(): void {
    let depth = 0;
    for (; this.#at < this.#bytes.length; this.#at++) {
      const byte = this.#bytes[this.#at];
      if (byte === quote) this.#passText();
      else if (byte === open || byte === 0x5b) depth++;
      else if (depth === 0 && (byte === comma || byte === colon || byte === close || byte === 0x5d)) return;
      else if ((byte === close || byte === 0x5d) && --depth === 0) {
        this.#at++;
        return;
      }
    }
  }

  /** Moves to the closing quote of a text. */
  #passText(): void {
    for (;;) {
      const end = this.#bytes.indexOf(quote, this.#at + 1);
      if (end < 0) throw this.bad("a text does not end");
      this.#at = end;
      let backslashes = 0;
      while (this.#bytes[end - 1 - backslashes] === backslash) backslashes++;
      if (backslashes % 2 === 0) return;
    }
  }

  #skipBlanks(): void {
    while (isBlank(this.#bytes[this.#at])) this.#at++;
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}
