import { type ByteString, toText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import { type Extension, globalType, isExtension, readExtension } from "../core/tar/pax.ts";
import { blockSize, paddingBytes, readHeader, type TarHeader } from "../core/tar/tar-header.ts";
import { defaultTarLimits, type TarLimits } from "../core/tar/tar-limits.ts";
import { readPath } from "../core/tar/tar-path.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { readRange, wholeFile } from "./file-range.ts";
import type { BlobLocation } from "./image-source.ts";

/** An image archive holds a few files for each layer; the longest honest ones have some thousand entries. */
const limits: TarLimits = { ...defaultTarLimits, entries: 100_000, extensionBytes: 64 * 1024 };
/** Links from one name to the next before it is a circle. */
const linkLimit = 16;

/** The files of a tar that is not unpacked, by their paths. */
export interface ArchiveIndex {
  /** Where the file `path` lies; links within the archive are followed. Undefined where there is none. */
  locate(path: ByteString): BlobLocation | undefined;
}

type Member = { readonly location: BlobLocation } | { readonly target: ByteString };

/**
 * Reads the headers of the tar at `path` and remembers where the files lie; O(entries) reads of 512 bytes. Of two files
 * with one name the last counts, as when it is unpacked.
 *
 * @throws OsdeployError `not-found`, `bad-format`, `limit-exceeded`; `unsupported` for a compressed archive: its files
 * have no place of their own to be read from.
 */
export function indexArchive(files: LinuxFiles, path: Path): ArchiveIndex {
  if (files.lstatIfExists(path)?.kind === "directory") {
    const state = "it is a directory; write oci: in front of that of a layout";
    throw new OsdeployError("bad-format", `Cannot read the archive ${toText(path)}: ${state}`);
  }
  const file = wholeFile(files, path);
  if (file === undefined) throw new OsdeployError("not-found", `Cannot find the archive ${toText(path)}`);
  const members = new Map<ByteString, Member>();
  try {
    readMembers(files, file, members);
  } catch (cause) {
    if (!(cause instanceof OsdeployError) || !namelessCodes.has(cause.code)) throw cause;
    throw new OsdeployError(cause.code, `Cannot read the archive ${toText(path)}: ${cause.message}`, { cause });
  }
  return { locate: (name) => follow(members, name) };
}

/** Of errors that those who read a tar throw, who do not know which it is. */
const namelessCodes: ReadonlySet<string> = new Set(["bad-format", "unsupported"]);

function follow(members: ReadonlyMap<ByteString, Member>, path: ByteString): BlobLocation | undefined {
  let name = path;
  for (let links = 0; links < linkLimit; links++) {
    const found = members.get(name);
    if (found === undefined || "location" in found) return found?.location;
    name = found.target;
  }
  throw new OsdeployError("bad-format", `Cannot find ${toText(path)} in the archive: its links go in a circle`);
}

function readMembers(files: LinuxFiles, file: BlobLocation, members: Map<ByteString, Member>): void {
  checkPlain(files, file);
  let extension: Extension = {};
  let count = 0;
  for (let at = 0; at + blockSize <= file.lengthBytes; ) {
    const header = readBlock(files, file, at);
    if (header === undefined) return;
    if (++count > limits.entries) {
      throw new OsdeployError(
        "limit-exceeded",
        `Cannot read the archive ${toText(file.path)}: more than ${limits.entries} entries`,
      );
    }
    // What an extension says of a size is of the entry, and not of other extensions in between.
    const isEntry = !isExtension(header.type) && header.type !== globalType;
    const sizeBytes = (isEntry ? extension.sizeBytes : undefined) ?? header.sizeBytes;
    const location = { path: file.path, offsetBytes: at + blockSize, lengthBytes: hasContent(header) ? sizeBytes : 0 };
    if (location.offsetBytes + location.lengthBytes > file.lengthBytes) {
      throw new OsdeployError("bad-format", `${toText(header.name)} goes beyond its end`);
    }
    at = location.offsetBytes + location.lengthBytes + paddingBytes(location.lengthBytes);
    extension = readMember(files, { header, extension, location }, members);
  }
}

function readBlock(files: LinuxFiles, file: BlobLocation, at: number): TarHeader | undefined {
  return readHeader(readRange(files, { ...file, offsetBytes: at, lengthBytes: blockSize }, blockSize));
}

/** `docker save | gzip` is common; its files cannot be read in place. */
function checkPlain(files: LinuxFiles, file: BlobLocation): void {
  const start = readRange(files, { ...file, lengthBytes: Math.min(file.lengthBytes, blockSize) }, blockSize);
  const program = compressors.find(({ magic }) => magic.every((byte, index) => start[index] === byte))?.program;
  if (program !== undefined) {
    throw new OsdeployError("unsupported", `it is compressed as a whole; unpack it with ${program} first`);
  }
  if (start.length < blockSize) throw new OsdeployError("bad-format", "it is no tar");
}

const compressors: readonly { readonly magic: readonly number[]; readonly program: string }[] = [
  { magic: [0x1f, 0x8b], program: "gunzip" },
  { magic: [0x28, 0xb5, 0x2f, 0xfd], program: "unzstd" },
  { magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a], program: "unxz" },
  { magic: [0x42, 0x5a, 0x68], program: "bunzip2" },
];

/** Links and folders have no content, whatever size their headers claim. */
function hasContent(header: TarHeader): boolean {
  return !"123456".includes(letterOf(header));
}

/** NUL, and all letters that are not known to mean something else, stand for a regular file. */
function letterOf(header: TarHeader): string {
  return header.type === 0 ? "0" : String.fromCharCode(header.type);
}

/** Notes one entry, and returns what it says of the next one. */
function readMember(
  files: LinuxFiles,
  entry: { readonly header: TarHeader; readonly extension: Extension; readonly location: BlobLocation },
  members: Map<ByteString, Member>,
): Extension {
  const { header, extension, location } = entry;
  if (isExtension(header.type)) {
    readExtension(header.type, readRange(files, location, limits.extensionBytes), extension, limits);
    return extension;
  }
  switch (letterOf(header)) {
    case "0":
    case "7":
      members.set(pathOf(entry), { location });
      return {};
    case "1":
      members.set(pathOf(entry), { target: readPath(linkOf(entry), limits) });
      return {};
    case "2":
      members.set(pathOf(entry), { target: symlinkTarget(pathOf(entry), linkOf(entry)) });
      return {};
    case "S":
      throw new OsdeployError(
        "unsupported",
        `${toText(pathOf(entry))} is a sparse file; write the archive without --sparse`,
      );
    case "g":
      return extension;
    default:
      return {};
  }
}

type Entry = { readonly header: TarHeader; readonly extension: Extension };

function pathOf({ header, extension }: Entry): ByteString {
  return readPath(extension.path ?? extension.longName ?? header.name, limits);
}

function linkOf({ header, extension }: Entry): ByteString {
  return extension.linkPath ?? extension.longLink ?? header.linkName;
}

/** Old docker-archives link equal layers as `../ID/layer.tar`; no link may leave the archive. */
function symlinkTarget(path: ByteString, target: ByteString): ByteString {
  const names = target.startsWith("/") ? [] : path.split("/").slice(0, -1);
  for (const name of target.split("/")) {
    if (name === "..") {
      if (names.pop() === undefined) throw new OsdeployError("bad-format", `the link ${toText(path)} leaves it`);
    } else if (name !== "" && name !== ".") names.push(name);
  }
  return names.join("/") as ByteString;
}
