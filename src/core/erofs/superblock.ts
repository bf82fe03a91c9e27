import type { ByteReader } from "../bytes/byte-reader.ts";
import { OsdeployError } from "../errors.ts";
import {
  aclFlag,
  blockBits,
  blockSize,
  chunkedFileFeature,
  composefsHeaderVersion,
  composefsMagic,
  erofsMagic,
  superblockOffset,
} from "./format.ts";

/** What an image says of itself. */
export interface Superblock {
  /** 0 and 1 are mkcomposefs's formats, 2 is the one that composefs-rs had of its own. */
  readonly composefsVersion: number;
  readonly hasAcl: boolean;
  readonly rootNid: number;
  readonly inodeCount: bigint;
  readonly buildTimeSeconds: bigint;
  readonly buildTimeNanoseconds: number;
  readonly blockCount: number;
  /** Where nid 0 would be, in bytes. */
  readonly inodesOffset: number;
  /** Where offset 0 of the shared xattrs is, in bytes. */
  readonly sharedXattrsOffset: number;
}

const newestVersion = 2;

/**
 * Reads the composefs header and the EROFS superblock.
 *
 * @throws OsdeployError `bad-format` when it is no composefs image; `unsupported` when it is of a kind unknown here.
 */
export function readSuperblock(reader: ByteReader): Superblock {
  if (reader.length < blockSize) throw unreadable(`it has ${reader.length} bytes, less than a block`);
  if (reader.u32(0) !== composefsMagic) throw unreadable("it is not a composefs image");
  if (reader.u32(4) !== composefsHeaderVersion) throw unsupported(`the header has version ${reader.u32(4)}`);
  const composefsVersion = reader.u32(12);
  if (composefsVersion > newestVersion) throw unsupported(`the composefs version is ${composefsVersion}`);
  const at = superblockOffset;
  if (reader.u32(at) !== erofsMagic) throw unreadable("it holds no EROFS superblock");
  if (reader.u8(at + 12) !== blockBits) throw unsupported(`a block has 2^${reader.u8(at + 12)} bytes`);
  const features = reader.u32(at + 80);
  if ((features & ~chunkedFileFeature) !== 0) throw unsupported(`it has the EROFS features ${features}`);
  return {
    composefsVersion,
    hasAcl: (reader.u32(8) & aclFlag) !== 0,
    rootNid: reader.u16(at + 14),
    inodeCount: reader.u64(at + 16),
    buildTimeSeconds: reader.i64(at + 24),
    buildTimeNanoseconds: reader.u32(at + 32),
    blockCount: reader.u32(at + 36),
    inodesOffset: reader.u32(at + 40) * blockSize,
    sharedXattrsOffset: reader.u32(at + 44) * blockSize,
  };
}

/** The image is damaged, or somebody made it so. */
export function unreadable(reason: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot read the root image: ${reason}`);
}

/** The image may be right, but is of no kind that composefs writes. */
export function unsupported(reason: string): OsdeployError {
  return new OsdeployError("unsupported", `Cannot read the root image: ${reason}`);
}
