import { fromText, toText } from "../core/bytes/byte-string.ts";
import { type BlobDigest, splitDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import { documentLimitBytes } from "../core/oci/json.ts";
import { formatImageReference, type LayoutReference } from "../core/oci/reference.ts";
import { withOpen } from "../linux/file-content.ts";
import type { Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { childPath, pathBelow } from "../linux/path.ts";
import { removeTree } from "../linux/remove-tree.ts";
import type { WorkDirectory } from "../linux/work-directory.ts";
import { checkedBlob } from "./checked-blob.ts";
import type { ImageDestination, ImageToCommit, OpenBlob } from "./image-destination.ts";
import { addToIndex, layoutFile, tagOfChoice } from "./layout-documents.ts";
import { openScratchDirectory, parentOf } from "./scratch-directory.ts";

/**
 * An OCI image layout in a directory. A new one is made beside its place and renamed; in one that is there, blobs are
 * added, and last a new `index.json` replaces the old one.
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
  /** Blobs that were not there before. */
  #added: Path[] = [];

  /** @throws OsdeployError `already-exists` when something else is there; `usage`. */
  constructor(reference: LayoutReference, linux: Linux) {
    this.#reference = reference;
    this.#files = linux.files;
    this.#tag = tagOfChoice(reference.choice, this.describe());
    this.#isNew = isFree(linux.files, reference.path);
    this.#work = openScratchDirectory(linux, this.#isNew ? parentOf(reference.path) : reference.path);
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
    makeDirectories(this.#files, this.#layout, ["blobs", splitDigest(blob.digest).algorithm]);
    if (this.#files.lstatIfExists(target) === undefined) this.#added.push(target);
    this.#files.rename(path, target, { replace: true });
  }

  async commit(image: ImageToCommit): Promise<void> {
    const { manifest } = image;
    const descriptor = { ...manifest, sizeBytes: manifest.bytes.length, annotations: new Map<string, string>() };
    if (!(await this.hasBlob(descriptor))) await this.putBlob(descriptor, () => once(manifest.bytes));
    const index = pathBelow(this.#layout, "index.json");
    const before = this.#isNew ? undefined : this.#files.readFile(index, documentLimitBytes);
    const unfinished = pathBelow(this.scratch, "index.json");
    this.#files.writeNewFile(unfinished, addToIndex(before, image, this.#tag), 0o644);
    if (this.#isNew) {
      this.#files.writeNewFile(pathBelow(this.#layout, "oci-layout"), new TextEncoder().encode(layoutFile), 0o644);
      this.#files.rename(unfinished, index);
    }
    const [from, to] = this.#isNew ? [this.#layout, this.#reference.path] : [unfinished, index];
    withOpen(this.#files, this.scratch, "directory", (fd) => {
      this.#files.syncFileSystem(fd);
      this.#files.rename(from, to, { replace: true });
      this.#files.syncFileSystem(fd);
    });
    this.#added = [];
  }

  registry(): undefined {
    return undefined;
  }

  async close(): Promise<void> {
    // Of a layout that is there, blobs that nothing names are all that a failure can leave; these are new.
    for (const path of this.#added.splice(0)) removeTree(this.#files, path);
    this.#work.close();
  }

  #blobPath(digest: BlobDigest): Path {
    const { algorithm, hex } = splitDigest(digest);
    return pathBelow(this.#layout, `blobs/${algorithm}/${hex}`);
  }
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
  throw new OsdeployError("already-exists", `Cannot write an image to "${toText(path)}": something else is there`);
}

function makeDirectories(files: LinuxFiles, layout: Path, below: readonly string[]): void {
  let path = layout;
  for (const name of ["", ...below]) {
    path = name === "" ? path : childPath(path, fromText(name));
    if (files.lstatIfExists(path) === undefined) files.makeDirectory(path, 0o755);
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
