import { type ByteString, fromBytes, toBytes } from "../core/bytes/byte-string.ts";
import { type ContentSource, copyContent } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";

/** Files in a directory of one's own, for tools that read what they want from files. */
export class ScratchFiles {
  readonly #files: LinuxFiles;
  readonly #directory: Path;
  readonly #values = new Map<ByteString, Path>();
  readonly #copies = new Map<Path, Path>();

  /** `directory` is there, and empty. */
  constructor(files: LinuxFiles, directory: Path) {
    this.#files = files;
    this.#directory = directory;
  }

  /** A file that holds `value`; the same one for the same value. */
  pathOf(value: ByteString): Path {
    const known = this.#values.get(value);
    if (known !== undefined) return known;
    const path = pathBelow(this.#directory, `value-${this.#values.size}`);
    this.#files.writeNewFile(path, toBytes(value), 0o600);
    this.#values.set(value, path);
    return path;
  }

  /** A file with the bytes of `source` as they are now. */
  copyOf(source: ContentSource): Path {
    if (source.kind === "bytes") return this.pathOf(fromBytes(source.bytes));
    const known = this.#copies.get(source.path);
    if (known !== undefined) return known;
    const path = pathBelow(this.#directory, `copy-${this.#copies.size}`);
    copyContent(this.#files, source, path);
    this.#copies.set(source.path, path);
    return path;
  }
}
