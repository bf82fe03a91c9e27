import { fromText, writeBytes } from "../core/bytes/byte-string.ts";
import { fromHex, writeHex } from "../core/bytes/hex.ts";
import { digestLength, type ObjectId, type VerityAlgorithm } from "../core/digest/object-id.ts";
import { sha256Hex } from "../core/digest/sha256-hex.ts";

/*
 * What the content index says of one layer: which sha256 the contents in it have, and where they are. Little endian.
 *
 *   0   8 bytes  "OSDCIDX1"
 *   8   u32      fs-verity algorithm of the object ids: 1 sha256, 2 sha512
 *   12  u32      number of objects
 *   16  u32      number of records
 *   20  u32      inline bytes
 *   24  8 bytes  zero
 *   32           object ids, 32 or 64 bytes each
 *                records, 40 bytes each:
 *                  0   16 bytes  the first half of the content's sha256
 *                  16  u32       number of the object, counted from 0
 *                  20  u32       0: the content is that object; 1: it is among the inline bytes; 2: a part of the object
 *                  24  u64       where it begins there
 *                  32  u64       how long it is
 *                inline bytes, then zeros up to a multiple of 8
 *                32 bytes: sha256 of all before
 */

const magic = fromText("OSDCIDX1");
const headerBytes = 32;
const trailerBytes = 32;
/** Bytes in a record. */
export const recordBytes = 40;
/** Where the parts of a record lie in it. */
export const recordFields = { key: 0, object: 16, kind: 20, offset: 24, length: 32 } as const;
/** What `kind` says. */
export const recordKinds = { whole: 0, inline: 1, part: 2 } as const;
/** Object ids start at a multiple of this, so that their number fits into 32 bits. */
export const idAlignment = 32;
const algorithmNumbers: Readonly<Record<VerityAlgorithm, number>> = { sha256: 1, sha512: 2 };

/** A content that a layer holds: an object, a part of one, or a few bytes in the splitstream. */
export interface IndexedContent {
  /** Hex of its sha256, as somebody claims it. */
  readonly digest: string;
  readonly place:
    | {
        readonly kind: "object";
        readonly id: ObjectId;
        readonly offsetBytes: number;
        readonly sizeBytes: number;
        readonly isWhole: boolean;
      }
    | { readonly kind: "inline"; readonly bytes: Uint8Array };
}

/** Writes the index of one layer. */
export function writeContentIndex(algorithm: VerityAlgorithm, contents: Iterable<IndexedContent>): Uint8Array {
  const index = new ContentIndexBuilder(algorithm);
  for (const { digest, place } of contents) {
    if (place.kind === "inline") index.addInline(digest, place.bytes);
    else index.addObject(digest, place);
  }
  return index.finish();
}

/** Whether an index that was written just now says nothing. */
export function isEmptyIndex(file: Uint8Array): boolean {
  return file.length === headerBytes + trailerBytes;
}

/** An object that holds a content, or a part of one. */
type IndexedObject = Omit<Extract<IndexedContent["place"], { readonly kind: "object" }>, "kind">;

/**
 * The index of one layer while it grows; the same content may come several times. Of contents only digests and ids stay as
 * texts, for finding them again.
 */
export class ContentIndexBuilder {
  readonly #algorithm: VerityAlgorithm;
  /** The number of each content's record. */
  readonly #numbers = new Map<string, number>();
  readonly #objects = new Map<ObjectId, number>();
  #records = new Uint8Array(1024 * recordBytes);
  #view = new DataView(this.#records.buffer);
  #inline = new Uint8Array(4096);
  #inlineBytes = 0;

  constructor(algorithm: VerityAlgorithm) {
    this.#algorithm = algorithm;
  }

  addObject(digest: string, place: IndexedObject): void {
    const known = this.#numbers.get(digest);
    // A whole object serves better than a part of another one.
    if (known === undefined || place.isWhole) this.#setObject(known ?? this.#newRecord(digest), place);
  }

  /** The bytes are copied. */
  addInline(digest: string, bytes: Uint8Array): void {
    if (this.#numbers.has(digest)) return;
    const place = { kind: recordKinds.inline, object: 0, offsetBytes: this.#inlineBytes, sizeBytes: bytes.length };
    this.#setPlace(this.#newRecord(digest), place);
    this.#inlineBytes += bytes.length;
    if (this.#inlineBytes > this.#inline.length) this.#inline = grown(this.#inline, 2 * this.#inlineBytes);
    this.#inline.set(bytes, place.offsetBytes);
  }

  /** The bytes of the file. */
  finish(): Uint8Array {
    const counts = { objects: this.#objects.size, records: this.#numbers.size, inlineBytes: this.#inlineBytes };
    const layout = layoutOf({ algorithm: this.#algorithm, ...counts });
    const file = new Uint8Array(layout.end + trailerBytes);
    const view = new DataView(file.buffer);
    writeBytes(magic, file, 0);
    const numbers = [algorithmNumbers[this.#algorithm], counts.objects, counts.records, counts.inlineBytes];
    numbers.forEach((value, index) => {
      view.setUint32(8 + 4 * index, value, true);
    });
    const idBytes = digestLength(this.#algorithm);
    // A loop over pairs takes V8's compiler longer than the loop itself takes.
    this.#objects.forEach((number, id) => {
      writeHex(id, file, headerBytes + number * idBytes);
    });
    file.set(this.#records.subarray(0, counts.records * recordBytes), layout.records);
    file.set(this.#inline.subarray(0, counts.inlineBytes), layout.inline);
    file.set(fromHex(sha256Hex(file.subarray(0, layout.end))), layout.end);
    return file;
  }

  #newRecord(digest: string): number {
    const number = this.#numbers.size;
    this.#numbers.set(digest, number);
    if (number * recordBytes === this.#records.length) {
      this.#records = grown(this.#records, 2 * this.#records.length);
      this.#view = new DataView(this.#records.buffer);
    }
    writeHex(digest.slice(0, 32), this.#records, number * recordBytes);
    return number;
  }

  #setObject(record: number, { id, isWhole, offsetBytes, sizeBytes }: IndexedObject): void {
    const kind = isWhole ? recordKinds.whole : recordKinds.part;
    this.#setPlace(record, { kind, object: this.#objectNumber(id), offsetBytes, sizeBytes });
  }

  #setPlace(
    record: number,
    place: {
      readonly kind: number;
      readonly object: number;
      readonly offsetBytes: number;
      readonly sizeBytes: number;
    },
  ): void {
    const at = record * recordBytes;
    this.#view.setUint32(at + recordFields.object, place.object, true);
    this.#view.setUint32(at + recordFields.kind, place.kind, true);
    writeSafe64(this.#view, at + recordFields.offset, place.offsetBytes);
    writeSafe64(this.#view, at + recordFields.length, place.sizeBytes);
  }

  #objectNumber(id: ObjectId): number {
    const known = this.#objects.get(id);
    if (known !== undefined) return known;
    this.#objects.set(id, this.#objects.size);
    return this.#objects.size - 1;
  }
}

function grown(bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  const room = new Uint8Array(length);
  room.set(bytes);
  return room;
}

/** In two halves: BigInts would cost more than the rest of the record. */
function writeSafe64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % 0x1_0000_0000, true);
  view.setUint32(offset + 4, Math.floor(value / 0x1_0000_0000), true);
}

/** Where the parts of an index lie, in bytes from its start. */
export interface ContentIndexLayout {
  readonly ids: number;
  readonly records: number;
  readonly recordCount: number;
  readonly objectCount: number;
  readonly inline: number;
  readonly inlineBytes: number;
}

/**
 * Looks where the parts of an index lie. Undefined for one that is cut, damaged, of another version or algorithm: it is a
 * cache, and is made anew.
 */
export function readContentIndex(file: Uint8Array, algorithm: VerityAlgorithm): ContentIndexLayout | undefined {
  if (file.length < headerBytes + trailerBytes) return undefined;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const [number, objects, records, inlineBytes] = [8, 12, 16, 20].map((at) => view.getUint32(at, true));
  if (number !== algorithmNumbers[algorithm] || Buffer.from(file.subarray(0, 8)).toString("latin1") !== magic)
    return undefined;
  const layout = layoutOf({ algorithm, objects: objects ?? 0, records: records ?? 0, inlineBytes: inlineBytes ?? 0 });
  if (layout.end + trailerBytes !== file.length) return undefined;
  const measured = fromHex(sha256Hex(file.subarray(0, layout.end)));
  return Buffer.compare(measured, file.subarray(layout.end)) === 0 ? layout : undefined;
}

function layoutOf(counts: {
  readonly algorithm: VerityAlgorithm;
  readonly objects: number;
  readonly records: number;
  readonly inlineBytes: number;
}): ContentIndexLayout & { readonly end: number } {
  const records = headerBytes + counts.objects * digestLength(counts.algorithm);
  const inline = records + counts.records * recordBytes;
  return {
    ids: headerBytes,
    records,
    recordCount: counts.records,
    objectCount: counts.objects,
    inline,
    inlineBytes: counts.inlineBytes,
    end: inline + Math.ceil(counts.inlineBytes / 8) * 8,
  };
}
