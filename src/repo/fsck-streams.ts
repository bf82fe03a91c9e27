import { BlobHasher } from "../core/digest/blob-hasher.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import { withOpen } from "../linux/file-content.ts";
import type { Path } from "../linux/linux.ts";
import type { FsckProblems } from "./fsck-report.ts";
import { newScratch } from "./object-check.ts";
import type { Repo } from "./repo.ts";
import { objectPath } from "./repo-paths.ts";
import { readSplitstreamObject } from "./streams.ts";

/** A link in `streams/`, and the splitstream that it leads to. */
export interface StreamLink {
  readonly path: Path;
  readonly id: ObjectId;
}

/**
 * Checks that each stream makes up the file that its name promises: the tar of the diff id, the manifest of the digest.
 * The objects may all be right and the name still wrong, as when another program was told a wrong diff id.
 */
export function checkStreamContents(repo: Repo, links: readonly StreamLink[], problems: FsckProblems): void {
  const scratch = newScratch();
  for (const { path, id } of links) {
    const [, digest, algorithm] = /\/oci-[a-z]+-((sha256|sha512):[0-9a-f]+)$/.exec(path) ?? [];
    if (digest === undefined || (algorithm !== "sha256" && algorithm !== "sha512")) continue;
    const measured = measureStream(repo, { path, id, hasher: new BlobHasher(algorithm), scratch }, problems);
    if (measured === undefined || measured === digest) continue;
    problems.add({ kind: "stream-mismatch", path, object: id, message: `what it makes up measures to ${measured}` });
  }
}

interface StreamToMeasure extends StreamLink {
  readonly hasher: BlobHasher;
  readonly scratch: Uint8Array;
}

/** The digest of what a stream makes up; undefined where a problem that is reported for itself makes it wrong. */
function measureStream(repo: Repo, stream: StreamToMeasure, problems: FsckProblems): string | undefined {
  try {
    const splitstream = readSplitstreamObject(repo, stream.id);
    if (splitstream.objectRefs.some((id) => problems.knows(id))) return undefined;
    for (const record of splitstream.records()) {
      if (record.kind === "inline") stream.hasher.update(record.bytes);
      else addObject(repo, record.id, stream);
    }
    return stream.hasher.measured();
  } catch (error) {
    if (!(error instanceof OsdeployError)) throw error;
    const path = objectPath(repo.path, stream.id);
    problems.add({ kind: "stream-unreadable", path, object: stream.id, message: error.message });
    return undefined;
  }
}

function addObject(repo: Repo, id: ObjectId, { hasher, scratch }: StreamToMeasure): void {
  withOpen(repo.files, objectPath(repo.path, id), "read", (fd) => {
    for (;;) {
      const length = repo.files.read(fd, scratch, { offset: 0, length: scratch.length });
      if (length === 0) return;
      hasher.update(scratch.subarray(0, length));
    }
  });
}
