import { OsdeployError } from "../core/errors.ts";
import type { Fd, LinuxFiles, Path } from "../linux/linux.ts";
import type { KnownFile } from "./known-files.ts";
import { equalsRange, openUnlessBroken } from "./object-check.ts";
import type { ObjectWriter } from "./object-staging.ts";

/**
 * Compares content that arrives in pieces with an object that probably holds it. Reading is cheaper than a digest: most
 * files of an upgrade are old. The bytes decide; a piece that differs loses nothing, as what came before it is in the
 * object too.
 */
export class KnownComparison {
  readonly #files: LinuxFiles;
  readonly #fd: Fd;
  readonly #scratch: Uint8Array;
  readonly #known: KnownFile;
  #position = 0;

  private constructor(
    files: LinuxFiles,
    open: { readonly fd: Fd; readonly known: KnownFile; readonly scratch: Uint8Array },
  ) {
    this.#files = files;
    this.#fd = open.fd;
    this.#known = open.known;
    this.#scratch = open.scratch;
  }

  /** Opens the object; undefined when the disk cannot give it, or gives another size than the object should have. */
  static open(
    files: LinuxFiles,
    object: { readonly path: Path; readonly known: KnownFile; readonly scratch: Uint8Array },
  ): KnownComparison | undefined {
    const fd = openUnlessBroken(files, object.path);
    if (fd === undefined) return undefined;
    if (files.fstat(fd).sizeBytes === object.known.sizeBytes) {
      return new KnownComparison(files, { fd, known: object.known, scratch: object.scratch });
    }
    files.close(fd);
    return undefined;
  }

  /** Whether the next piece of content is that of the object. After the first false call {@link replay}. */
  matches(bytes: Uint8Array): boolean {
    const equal = equalsRange(this.#files, { fd: this.#fd, position: this.#position, scratch: this.#scratch }, bytes);
    if (equal) this.#position += bytes.length;
    return equal;
  }

  /** Writes everything that matched so far, read from the object. */
  replay(writer: ObjectWriter): void {
    for (let at = 0; at < this.#position; ) {
      const length = Math.min(this.#scratch.length, this.#position - at);
      const got = this.#files.read(this.#fd, this.#scratch, { offset: 0, length, position: at });
      if (got === 0) {
        throw new OsdeployError("damaged", `Cannot read object ${this.#known.id}: it ended at byte ${at}; run fsck`);
      }
      writer.write(this.#scratch.subarray(0, got));
      at += got;
    }
  }

  /** The object, when all of it was matched. */
  get matched(): KnownFile | undefined {
    return this.#position === this.#known.sizeBytes ? this.#known : undefined;
  }

  close(): void {
    this.#files.close(this.#fd);
  }
}
