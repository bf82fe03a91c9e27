import { toBytes } from "../bytes/byte-string.ts";
import { OsdeployError } from "../errors.ts";
import type { ExternalContent, FileContent } from "../tree/inode.ts";
import type { LayerEntry } from "../tree/layer.ts";
import { TarScanner, type TarSink } from "./tar-scanner.ts";
import { readTarSplit } from "./tar-split.ts";

/** What stands for the content of one entry of a tar-split. */
export interface NamedContent {
  readonly sizeBytes: number;
  /** Also where its bytes are not here. Of up to 64 bytes it is inline, larger ones are external. */
  readonly content: FileContent;
}

/** Who wants to see the layer's splitstream as it would be written. */
export interface SplitstreamSink {
  addInline(bytes: Uint8Array): void;
  addObject(content: ExternalContent, sizeBytes: bigint): void;
}

/**
 * The entries of the layer whose tar-split this is, without the bytes of its files: `contents` has one for each file that the
 * tar-split tells of, in order. All else (modes, owners, times, links, devices) is in the tar-split itself.
 *
 * @throws OsdeployError `bad-format` when the two do not fit together, or the tar is none; what {@link TarScanner} throws.
 */
export function readTarSplitEntries(
  tarSplit: Uint8Array,
  contents: readonly NamedContent[],
  stream?: SplitstreamSink,
): readonly LayerEntry[] {
  const entries: LayerEntry[] = [];
  /** The content of the small file that the scanner is about to end: it makes another one of the same bytes. */
  let small: FileContent | undefined;
  const take = (entry: LayerEntry) => {
    entries.push(small !== undefined && entry.kind === "regular" ? { ...entry, content: small } : entry);
    small = undefined;
  };
  const scanner = new TarScanner(sinkOf(take, stream), { maxWholeFileBytes: Number.MAX_SAFE_INTEGER });
  const scan = (bytes: Uint8Array) => {
    if (scanner.scan(bytes) < bytes.length) throw bad("a header is cut in two");
  };
  let number = 0;
  for (const record of readTarSplit(tarSplit)) {
    if (record.kind === "segment") {
      scan(record.bytes);
      continue;
    }
    const named = contents[number++];
    if (named?.sizeBytes !== record.sizeBytes) throw bad("it tells of other files than the table of contents");
    const { content, sizeBytes } = named;
    if (sizeBytes === 0) continue;
    if (content.kind === "inline") {
      small = content;
      scan(toBytes(content.bytes));
    } else {
      if (scanner.awaitedFileBytes !== sizeBytes) throw bad("a file has another size");
      stream?.addObject(content, content.sizeBytes);
      scanner.supplyFile(content);
    }
  }
  if (number !== contents.length) throw bad("it tells of fewer files than the table of contents");
  scanner.finish();
  return entries;
}

function sinkOf(entry: TarSink["entry"], stream: SplitstreamSink | undefined): TarSink {
  const refuse = (): never => {
    throw bad("a file's content is among what is no content");
  };
  const structure = (bytes: Uint8Array) => stream?.addInline(bytes);
  return { structure, file: refuse, beginFile: refuse, filePiece: refuse, endFile: refuse, entry };
}

function bad(state: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot use the layer's tar-split: ${state}`);
}
