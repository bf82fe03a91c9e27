import { digestLength, type ObjectId, type VerityAlgorithm } from "../core/digest/object-id.ts";
import { maxInlineBytes } from "../core/tar/tar-scanner.ts";
import { type ContentIndexLayout, idAlignment, recordBytes, recordFields, recordKinds } from "./content-index-file.ts";

/** Where a content is, as the index claims. */
export type ContentPlace =
  | { readonly kind: "object"; readonly id: ObjectId; readonly offsetBytes: number; readonly isWhole: boolean }
  | { readonly kind: "inline"; readonly bytes: Uint8Array };

/** An answer of the table. */
export interface FoundContent {
  readonly place: ContentPlace;
  /** Which record says so: where it lies in the table's memory. */
  readonly record: number;
}

/** The memory of a {@link ContentTable}, which threads share. */
export interface ContentTableMemory {
  readonly algorithm: VerityAlgorithm;
  /** Hash table: where a record lies, in units of 8 bytes and plus one; 0 for none, or all ones. Its length is a power of two. */
  readonly slots: SharedArrayBuffer;
  /** The indexes of all layers, one after the other. */
  readonly bytes: SharedArrayBuffer;
}

/** An index to be put into a table. */
export interface LoadedIndex {
  readonly bytes: Uint8Array;
  readonly layout: ContentIndexLayout;
}

/**
 * How many slots are looked at for one record. Tables of contents, which others write, say what is hashed: many that
 * share their first digits must cost no more than not being found.
 */
const probeLimit = 64;
/** In the slot of a record that is no longer believed: a search goes on behind it. */
const deadSlot = 0xffffffff;

/**
 * Finds contents by their sha256, in the indexes of many layers. Built once, in shared memory, read by every thread. What
 * it answers are claims: whoever uses them digests what he reads.
 */
export class ContentTable {
  readonly memory: ContentTableMemory;
  readonly #slots: Uint32Array;
  readonly #bytes: Buffer;
  readonly #view: DataView;

  constructor(memory: ContentTableMemory) {
    this.memory = memory;
    this.#slots = new Uint32Array(memory.slots);
    this.#bytes = Buffer.from(memory.bytes);
    this.#view = new DataView(memory.bytes);
  }

  /** The table of these indexes. Of two that claim the same content the first counts. Says where each index starts. */
  static of(
    algorithm: VerityAlgorithm,
    indexes: readonly LoadedIndex[],
  ): { readonly table: ContentTable; readonly starts: readonly number[] } {
    const starts: number[] = [];
    let length = 0;
    for (const { bytes } of indexes) {
      starts.push(length);
      length += Math.ceil(bytes.length / idAlignment) * idAlignment;
    }
    const records = indexes.reduce((sum, { layout }) => sum + layout.recordCount, 0);
    const table = new ContentTable({
      algorithm,
      slots: new SharedArrayBuffer(4 * 2 ** Math.ceil(Math.log2(records * 2 + 1))),
      bytes: new SharedArrayBuffer(length),
    });
    indexes.forEach((index, number) => {
      table.#add(index, starts[number] ?? 0);
    });
    return { table, starts };
  }

  /** Where the content with this sha256 (hex) and size is. */
  find(digest: string, sizeBytes: number): FoundContent | undefined {
    const record = this.findRecord(digest, sizeBytes);
    return record === undefined ? undefined : { place: this.placeOf(record), record };
  }

  /** As {@link find}, for {@link placeOf}: a number is all there is to keep of a content. */
  findRecord(digest: string, sizeBytes: number): number | undefined {
    const first = wordAt(digest, 0);
    for (let probe = 0; probe < probeLimit; probe++) {
      const slot = this.#slots[(first + probe) & (this.#slots.length - 1)] ?? 0;
      if (slot === 0) return undefined;
      const record = recordIn(slot);
      if (slot === deadSlot || !this.#hasKey(record, digest)) continue;
      return this.#lengthOf(record) === sizeBytes ? record : undefined;
    }
    return undefined;
  }

  /** What a record says. */
  placeOf(record: number): ContentPlace {
    const offset = readSafe64(this.#view, record + recordFields.offset);
    const kind = this.#view.getUint32(record + recordFields.kind, true);
    if (kind === recordKinds.inline) {
      return { kind: "inline", bytes: Uint8Array.from(this.#bytes.subarray(offset, offset + this.#lengthOf(record))) };
    }
    const id = this.#view.getUint32(record + recordFields.object, true) * idAlignment;
    const hex = this.#bytes.toString("hex", id, id + digestLength(this.memory.algorithm));
    return { kind: "object", id: hex as ObjectId, offsetBytes: offset, isWhole: kind === recordKinds.whole };
  }

  /** Forgets the records from `start` to before `end`, in every thread. */
  forget(start: number, end: number): void {
    this.#slots.forEach((slot, number) => {
      const record = recordIn(slot);
      if (slot !== 0 && slot !== deadSlot && record >= start && record < end) this.#slots[number] = deadSlot;
    });
  }

  /** Forgets the contents that lie in these objects, in every thread. */
  forgetObjects(ids: ReadonlySet<ObjectId>): void {
    if (ids.size === 0) return;
    this.#slots.forEach((slot, number) => {
      if (slot === 0 || slot === deadSlot) return;
      const place = this.placeOf(recordIn(slot));
      if (place.kind === "object" && ids.has(place.id)) this.#slots[number] = deadSlot;
    });
  }

  #hasKey(record: number, digest: string): boolean {
    for (let word = 0; word < 4; word++) {
      if (this.#view.getUint32(record + 4 * word) !== wordAt(digest, word)) return false;
    }
    return true;
  }

  #lengthOf(record: number): number {
    return readSafe64(this.#view, record + recordFields.length);
  }

  /** Copies an index and puts its records into the hash table. What counts within the index then counts in the memory. */
  #add({ bytes, layout }: LoadedIndex, start: number): void {
    this.#bytes.set(bytes, start);
    const idUnits = digestLength(this.memory.algorithm) / idAlignment;
    for (let number = 0; number < layout.recordCount; number++) {
      const record = start + layout.records + number * recordBytes;
      const isInline = this.#view.getUint32(record + recordFields.kind, true) === recordKinds.inline;
      if (isInline) {
        const offset = this.#view.getBigUint64(record + recordFields.offset, true);
        if (!isInside(Number(offset), this.#lengthOf(record), layout.inlineBytes)) continue;
        this.#view.setBigUint64(record + recordFields.offset, offset + BigInt(start + layout.inline), true);
      } else {
        const object = this.#view.getUint32(record + recordFields.object, true);
        if (object >= layout.objectCount) continue;
        const unit = (start + layout.ids) / idAlignment + object * idUnits;
        this.#view.setUint32(record + recordFields.object, unit, true);
      }
      this.#insert(record);
    }
  }

  #insert(record: number): void {
    const first = this.#view.getUint32(record);
    for (let probe = 0; probe < probeLimit; probe++) {
      const slot = (first + probe) & (this.#slots.length - 1);
      if (this.#slots[slot] !== 0) continue;
      this.#slots[slot] = record / 8 + 1;
      return;
    }
  }
}

/** Where the record of a slot that is in use lies. */
function recordIn(slot: number): number {
  return (slot - 1) * 8;
}

/** A number that is written as 64 bits, without a BigInt for each of ten thousands. */
function readSafe64(view: DataView, offset: number): number {
  return view.getUint32(offset, true) + view.getUint32(offset + 4, true) * 0x1_0000_0000;
}

/** Eight digits of a hex digest as a number. */
function wordAt(digest: string, word: number): number {
  let value = 0;
  for (let at = 8 * word; at < 8 * word + 8; at++) {
    const code = digest.charCodeAt(at);
    // Letters are 0x61 to 0x66.
    value = (value << 4) | ((code & 15) + 9 * (code >> 6));
  }
  return value >>> 0;
}

function isInside(offset: number, length: number, total: number): boolean {
  return length <= maxInlineBytes && offset + length <= total;
}
