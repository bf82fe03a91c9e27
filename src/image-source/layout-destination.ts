import { fromText, toText } from "../core/bytes/byte-string.ts";
import { encodeText } from "../core/bytes/utf8.ts";
import { type BlobDigest, splitDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import { documentLimitBytes } from "../core/oci/json.ts";
import { formatImageReference, type LayoutReference } from "../core/oci/reference.ts";
import { withOpen } from "../linux/file-content.ts";
import type { Fd, Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { makeDirectories } from "../linux/make-directories.ts";
import { pathBelow } from "../linux/path.ts";
import { removeTree } from "../linux/remove-tree.ts";
import type { WorkDirectory } from "../linux/work-directory.ts";
import { checkedBlob } from "./checked-blob.ts";
import type { ImageDestination, ImageToCommit, OpenBlob } from "./image-destination.ts";
import { addToIndex, layoutFile, tagOfChoice } from "./layout-documents.ts";
import { openScratchDirectory, parentOf } from "./scratch-directory.ts";

/**
 * An OCI image layout in a directory. A new one is made beside its place and renamed; in one that is there, blobs are
 * added, and last a new `index.json` replaces the old one.
 *
 * Several may write to one that is there at the same time. Each has a shared lock on its directory, so that nobody takes a
 * blob away again that another one counts on; and one after the other changes the index, under a lock on `oci-layout`.
 */
export class LayoutDestination implements ImageDestination {
  readonly scratch: Path;
  readonly #work: WorkDirectory;
  readonly lanes = 2;
  readonly #files: LinuxFiles;
  readonly #reference: LayoutReference;
  readonly #tag: string | undefined;
  /** Where the layout is being made. */
  readonly #layout: Path;
  readonly #isNew: boolean;
  /** A layout that is there, as it was; undefined for a new one. */
  #existing: ExistingLayout | undefined;
  /** Blobs that were not there before. */
  #added: Path[] = [];

  /** @throws OsdeployError `already-exists` when something else is there; `usage`. */
  constructor(reference: LayoutReference, linux: Linux) {
    this.#reference = reference;
    this.#files = linux.files;
    this.#tag = tagOfChoice(reference.choice, this.describe());
    this.#isNew = isFree(linux.files, reference.path);
    this.#work = openScratchDirectory(linux, this.#isNew ? parentOf(reference.path) : reference.path);
    try {
      this.#existing = this.#isNew ? undefined : openExisting(linux.files, reference.path);
    } catch (error) {
      this.#work.close();
      throw error;
    }
    this.scratch = this.#work.path;
    this.#layout = this.#isNew ? pathBelow(this.scratch, "layout") : reference.path;
  }

  describe(): string {
    return formatImageReference(this.#reference);
  }

  async hasBlob(blob: Descriptor): Promise<boolean> {
    const stat = this.#files.lstatIfExists(this.#blobPath(blob.digest));
    return stat?.kind === "regular" && stat.sizeBytes === blob.sizeBytes;
  }

  async putBlob(blob: Descriptor, open: OpenBlob): Promise<void> {
    const path = pathBelow(this.scratch, `blob-${splitDigest(blob.digest).hex}`);
    const fd = this.#files.open(path, "create", 0o644);
    try {
      for await (const piece of checkedBlob(blob, open())) this.#files.write(fd, piece);
    } finally {
      this.#files.close(fd);
    }
    await this.putFile(blob, path);
  }

  async putFile(blob: Descriptor, path: Path): Promise<void> {
    const target = this.#blobPath(blob.digest);
    if (this.#files.lstatIfExists(this.#layout) === undefined) this.#files.makeDirectory(this.#layout, 0o755);
    makeDirectories(this.#files, this.#layout, `blobs/${splitDigest(blob.digest).algorithm}`);
    if (this.#files.lstatIfExists(target) === undefined) this.#added.push(target);
    this.#files.rename(path, target, { replace: true });
  }

  async commit(image: ImageToCommit): Promise<void> {
    const { manifest } = image;
    const descriptor = { ...manifest, sizeBytes: manifest.bytes.length, annotations: new Map<string, string>() };
    if (!(await this.hasBlob(descriptor))) await this.putBlob(descriptor, () => once(manifest.bytes));
    if (this.#isNew) this.#commitNew(image);
    else this.#commitChange(image);
    this.#added = [];
  }

  #commitNew(image: ImageToCommit): void {
    const layout = this.#layout;
    this.#files.writeNewFile(pathBelow(layout, "index.json"), addToIndex(undefined, image, this.#tag), 0o644);
    this.#files.writeNewFile(pathBelow(layout, "oci-layout"), encodeText(layoutFile), 0o644);
    try {
      this.#renameDurably(layout, this.#reference.path);
    } catch (cause) {
      if (!(cause instanceof OsdeployError && cause.code === "already-exists")) throw cause;
      throw inTheWay(this.#reference.path, "somebody else wrote there meanwhile", cause);
    }
  }

  #commitChange(image: ImageToCommit): void {
    const [index, unfinished] = [this.#layout, this.scratch].map((path) => pathBelow(path, "index.json")) as [
      Path,
      Path,
    ];
    withOpen(this.#files, pathBelow(this.#layout, "oci-layout"), "read", (fd) => {
      this.#files.lock(fd, "exclusive", { wait: true });
      const before = readIndex(this.#files, this.#layout);
      this.#files.writeNewFile(unfinished, addToIndex(before, image, this.#tag), 0o644);
      this.#renameDurably(unfinished, index);
    });
  }

  #renameDurably(from: Path, to: Path): void {
    withOpen(this.#files, this.scratch, "directory", (fd) => {
      this.#files.syncFileSystem(fd);
      this.#files.rename(from, to, { replace: true });
      this.#files.syncFileSystem(fd);
    });
  }

  registry(): undefined {
    return undefined;
  }

  async close(): Promise<void> {
    const existing = this.#existing;
    this.#existing = undefined;
    if (existing !== undefined) {
      this.#removeAdded(existing);
      this.#files.close(existing.fd);
    }
    this.#work.close();
  }

  /** Blobs that nothing names are all that a failure can leave. They stay where somebody else may count on them by now. */
  #removeAdded({ fd, index }: ExistingLayout): void {
    const added = this.#added.splice(0);
    if (added.length === 0 || !this.#files.lock(fd, "exclusive", { wait: false })) return;
    const isAsBefore = Buffer.compare(readIndex(this.#files, this.#layout), index) === 0;
    if (isAsBefore) for (const path of added) removeTree(this.#files, path);
  }

  #blobPath(digest: BlobDigest): Path {
    const { algorithm, hex } = splitDigest(digest);
    return pathBelow(this.#layout, `blobs/${algorithm}/${hex}`);
  }
}

/** The directory of a layout, which is locked as long as it is open, and the layout's index when that began. */
interface ExistingLayout {
  readonly fd: Fd;
  readonly index: Uint8Array;
}

function openExisting(files: LinuxFiles, path: Path): ExistingLayout {
  const fd = files.open(path, "directory");
  // Only who cleans up after a failure has it for himself, and that takes no time.
  files.lock(fd, "shared", { wait: true });
  return { fd, index: readIndex(files, path) };
}

function readIndex(files: LinuxFiles, layout: Path): Uint8Array {
  return files.readFile(pathBelow(layout, "index.json"), documentLimitBytes);
}

/** Whether a new layout can be put at `path`: nothing or an empty directory is there. */
function isFree(files: LinuxFiles, path: Path): boolean {
  const stat = files.lstatIfExists(path);
  if (stat === undefined) return true;
  if (stat.kind === "directory") {
    const names = files.readDirectory(path);
    if (names.length === 0) return true;
    if (names.includes(fromText("index.json")) && names.includes(fromText("oci-layout"))) return false;
  }
  throw inTheWay(path, "something else is there");
}

function inTheWay(path: Path, state: string, cause?: unknown): OsdeployError {
  return new OsdeployError("already-exists", `Cannot write an image to "${toText(path)}": ${state}`, { cause });
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
