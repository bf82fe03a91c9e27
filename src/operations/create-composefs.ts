import { verityDigest } from "../core/digest/fs-verity.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { writeErofs } from "../core/erofs/writer.ts";
import { OsdeployError } from "../core/errors.ts";
import { parseDump } from "../core/tree/dump-parser.ts";
import type { FileTree } from "../core/tree/inode.ts";
import { readRootDirectory } from "../image-source/root-directory.ts";
import { withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { multiBufferHasher } from "../linux/multi-buffer-hasher.ts";
import { DigestStore } from "../repo/digest-store.ts";
import type { System } from "./system.ts";

/** Where the tree comes from. */
export type ComposefsSource =
  | { readonly kind: "dump"; readonly bytes: Uint8Array; readonly strict: boolean }
  | { readonly kind: "dump-file"; readonly path: Path; readonly strict: boolean }
  | {
      readonly kind: "directory";
      readonly path: Path;
      /** Where contents of more than 64 bytes are copied to. */
      readonly digestStore: Path | undefined;
      readonly useEpoch: boolean;
      readonly skipDevices: boolean;
      readonly xattrs: "all" | "user" | "none";
    };

export interface CreateComposefsRequest {
  readonly source: ComposefsSource;
  /** The format version, or a range; see `writeErofs`. */
  readonly version: { readonly min: number; readonly max: number };
  /** Where the image is written to; undefined when only its bytes or its digest are wanted. */
  readonly output: Path | undefined;
}

export interface CreateComposefsResult {
  /** The image's fs-verity digest. */
  readonly digest: ObjectId;
  readonly image: Uint8Array;
}

/** Makes a composefs image as mkcomposefs does: from a dump, or from a directory whose contents are named by digest. */
export async function createComposefs(system: System, request: CreateComposefsRequest): Promise<CreateComposefsResult> {
  const { files } = system.linux;
  const image = writeErofs(readSource(files, request.source), { version: request.version });
  if (request.output !== undefined) writeImage(system, request.output, image);
  return { digest: verityDigest("sha256", image, multiBufferHasher("sha256")), image };
}

/** More than this no program takes as a dump in one piece. */
const dumpLimitBytes = 2 * 1024 * 1024 * 1024;

function readSource(files: LinuxFiles, source: ComposefsSource): FileTree {
  switch (source.kind) {
    case "dump":
      return parseDump(source.bytes, { strict: source.strict });
    case "dump-file":
      return parseDump(readDumpFile(files, source.path), { strict: source.strict });
    case "directory": {
      const store = new DigestStore(files, source.digestStore, multiBufferHasher("sha256"));
      return readRootDirectory(files, source.path, {
        contentOf: (path, stat) => store.add(path, stat),
        hardLinks: "ignore",
        devices: source.skipDevices ? "skip" : "keep",
        xattrs: source.xattrs,
        times: source.useEpoch ? "epoch" : "keep",
        mounts: "enter",
      });
    }
  }
}

/** In mkcomposefs's words, whose quotes are really like this. */
function readDumpFile(files: LinuxFiles, path: Path): Uint8Array {
  try {
    return files.readFile(path, dumpLimitBytes);
  } catch (cause) {
    if (!(cause instanceof OsdeployError && cause.code === "not-found")) throw cause;
    throw new OsdeployError("not-found", `open \`${path}': No such file or directory`, { cause });
  }
}

/** A file is replaced in one step, so a failure leaves the one that was there; a device or pipe is written to as it is. */
function writeImage({ linux }: System, output: Path, image: Uint8Array): void {
  const { files } = linux;
  const there = files.lstatIfExists(output);
  if (there !== undefined && there.kind !== "regular") {
    withOpen(files, output, "append", (fd) => files.write(fd, image));
    return;
  }
  const temporary = `${output}.${linux.clock.randomName()}` as Path;
  files.writeNewFile(temporary, image, 0o644);
  files.rename(temporary, output);
}
