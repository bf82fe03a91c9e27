import type { ByteString } from "../core/bytes/byte-string.ts";
import { inForeignWords } from "../linux/errno.ts";
import type { Fd, FileStat, Linux, LinuxFiles, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";

/**
 * The file that an image goes to. It is opened before anything else is done, as mkcomposefs does, and errors are in its
 * words; but a file is replaced in one step at the end, so a failure leaves the one that was there. A device or pipe is
 * written to as it is.
 */
export class ImageOutput {
  readonly #files: LinuxFiles;
  readonly #fd: Fd;
  /** What is renamed in the end, and to what; undefined for what is no file. */
  readonly #replaced: { readonly temporary: Path; readonly target: Path } | undefined;
  #committed = false;

  /** Close it in any case. @throws OsdeployError of `files`, in mkcomposefs's words. */
  constructor({ files, clock }: Linux, path: Path) {
    this.#files = files;
    try {
      const target = followLinks(files, path);
      const there = files.lstatIfExists(target);
      const isReplaced = isReplaceable(there) && path !== "";
      this.#replaced = isReplaced ? { temporary: `${target}.${clock.randomName()}` as Path, target } : undefined;
      this.#fd =
        this.#replaced === undefined
          ? files.open(target, "append")
          : files.open(this.#replaced.temporary, "create", there?.permissions ?? 0o644);
    } catch (cause) {
      throw inForeignWords("failed to open output file", cause);
    }
  }

  /** Writes the image and puts it in its place. */
  commit(image: Uint8Array): void {
    try {
      this.#files.write(this.#fd, image);
      if (this.#replaced !== undefined) this.#files.rename(this.#replaced.temporary, this.#replaced.target);
    } catch (cause) {
      throw inForeignWords("cannot write file", cause);
    }
    this.#committed = true;
  }

  /** Removes what was not committed. */
  close(): void {
    this.#files.close(this.#fd);
    if (this.#replaced !== undefined && !this.#committed) this.#files.unlink(this.#replaced.temporary);
  }
}

function isReplaceable(there: FileStat | undefined): boolean {
  return there === undefined || there.kind === "regular";
}

/** The kernel gives up after as many. */
const linkLimit = 40;

/** What a path leads to when it names a symlink: a link stays, and its target is replaced. */
function followLinks(files: LinuxFiles, path: Path): Path {
  let here = path;
  for (let links = 0; links < linkLimit; links++) {
    if (files.lstatIfExists(here)?.kind !== "symlink") return here;
    const target: ByteString = files.readLink(here);
    const directory = here.slice(0, Math.max(here.lastIndexOf("/"), 0)) as Path;
    here = target.startsWith("/") || directory === "" ? target : childPath(directory, target);
  }
  return here;
}
