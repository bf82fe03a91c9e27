import { type ByteString, fromText } from "../core/bytes/byte-string.ts";
import { encodeText } from "../core/bytes/utf8.ts";
import { type BlobDigest, splitDigest } from "../core/digest/oci-digest.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import { formatImageReference, type OciArchiveReference } from "../core/oci/reference.ts";
import { paddingBytes } from "../core/tar/tar-header.ts";
import { tarEndBytes, writeEntryHeader } from "../core/tar/tar-writer.ts";
import type { Stat } from "../core/tree/inode.ts";
import { withOpen } from "../linux/file-content.ts";
import { filePlace } from "../linux/file-place.ts";
import type { Fd, Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import type { WorkDirectory } from "../linux/work-directory.ts";
import { checkedBlob } from "./checked-blob.ts";
import { streamRange } from "./file-range.ts";
import type { ImageDestination, ImageToCommit, OpenBlob } from "./image-destination.ts";
import { addToIndex, layoutFile, tagOfChoice } from "./layout-documents.ts";
import { openScratchDirectory, parentOf } from "./scratch-directory.ts";

/** Nothing in an archive says who wrote it or when. */
const fileStat: Stat = { permissions: 0o644, uid: 0, gid: 0, mtimeSeconds: 0n, mtimeNanoseconds: 0 };
const directoryStat: Stat = { ...fileStat, permissions: 0o755 };

/** An OCI image layout in a tar. It is written beside its place, and replaces what is there with one rename. */
export class ArchiveDestination implements ImageDestination {
  readonly scratch: Path;
  readonly #work: WorkDirectory;
  /** A tar is written from its start to its end, and always in the same order. */
  readonly lanes = 1;
  readonly #files: LinuxFiles;
  readonly #reference: OciArchiveReference;
  readonly #tag: string | undefined;
  readonly #archive: Path;
  /** Where it goes. */
  readonly #place: Path;
  readonly #written = new Set<string>();
  #fd: Fd | undefined;

  /** @throws OsdeployError `already-exists` when there is what no archive may replace; of the file system; `usage`. */
  constructor(reference: OciArchiveReference, linux: Linux) {
    this.#reference = reference;
    this.#files = linux.files;
    this.#tag = tagOfChoice(reference.choice, this.describe());
    this.#place = archivePlace(linux.files, reference.path);
    this.#work = openScratchDirectory(linux, parentOf(this.#place));
    this.scratch = this.#work.path;
    this.#archive = pathBelow(this.scratch, "archive");
  }

  describe(): string {
    return formatImageReference(this.#reference);
  }

  async hasBlob(blob: Descriptor): Promise<boolean> {
    return this.#written.has(blob.digest);
  }

  async putBlob(blob: Descriptor, open: OpenBlob): Promise<void> {
    const fd = this.#open();
    this.#addHeader(blobPath(blob.digest), blob.sizeBytes);
    for await (const piece of checkedBlob(blob, open())) this.#files.write(fd, piece);
    this.#files.write(fd, new Uint8Array(paddingBytes(blob.sizeBytes)));
    this.#written.add(blob.digest);
  }

  async putFile(blob: Descriptor, path: Path): Promise<void> {
    const range = { path, offsetBytes: 0, lengthBytes: blob.sizeBytes };
    await this.putBlob(blob, () => streamRange(this.#files, range, 0));
    this.#files.unlink(path);
  }

  /** `annotations` are what `index.json` says of the image besides its name. */
  async commit(image: ImageToCommit & { readonly annotations?: Readonly<Record<string, string>> }): Promise<void> {
    this.#addFile(blobPath(image.manifest.digest), image.manifest.bytes);
    this.#addFile("index.json", addToIndex(undefined, image, this.#tag));
    this.#addFile("oci-layout", encodeText(layoutFile));
    this.#files.write(this.#open(), new Uint8Array(tarEndBytes));
    withOpen(this.#files, this.scratch, "directory", (fd) => {
      this.#files.syncFileSystem(fd);
      this.#files.rename(this.#archive, this.#place, { replace: true });
      this.#files.syncFileSystem(fd);
    });
  }

  registry(): undefined {
    return undefined;
  }

  async close(): Promise<void> {
    if (this.#fd !== undefined) this.#files.close(this.#fd);
    this.#fd = undefined;
    this.#work.close();
  }

  #open(): Fd {
    if (this.#fd !== undefined) return this.#fd;
    const fd = this.#files.open(this.#archive, "create", 0o644);
    this.#fd = fd;
    for (const path of ["blobs", "blobs/sha256"]) {
      const entry = { kind: "directory", path: fromText(path), stat: directoryStat, xattrs: new Map() } as const;
      this.#files.write(fd, writeEntryHeader(entry));
    }
    return fd;
  }

  #addFile(path: string, bytes: Uint8Array): void {
    const fd = this.#open();
    this.#addHeader(path, bytes.length);
    this.#files.write(fd, bytes);
    this.#files.write(fd, new Uint8Array(paddingBytes(bytes.length)));
  }

  #addHeader(path: string, sizeBytes: number): void {
    const content = {
      kind: "external",
      sizeBytes: BigInt(sizeBytes),
      backingPath: undefined,
      digest: undefined,
    } as const;
    const xattrs: ReadonlyMap<ByteString, ByteString> = new Map();
    const entry = { kind: "regular", path: fromText(path), stat: fileStat, xattrs, content } as const;
    this.#files.write(this.#open(), writeEntryHeader(entry));
  }
}

/** Where an archive at `path` is put. @throws OsdeployError `already-exists` when there is something that is no file. */
export function archivePlace(files: LinuxFiles, path: Path): Path {
  return filePlace(files, path, "an archive");
}

function blobPath(digest: BlobDigest): string {
  const { algorithm, hex } = splitDigest(digest);
  return `blobs/${algorithm}/${hex}`;
}
