import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { writeErofs } from "../../src/core/erofs/writer.ts";
import { parseDump } from "../../src/core/tree/dump-parser.ts";
import type { Directory, FileContent, FileTree, Inode } from "../../src/core/tree/inode.ts";
import { VectorFolder } from "../builders/composefs-vectors.ts";
import { expectedEntries, inlineDigest } from "../tools/expected-tree.ts";
import { cannotMount, type SeenEntry, seenLines, tryTrees } from "../tools/seen-tree.ts";

const reason = cannotMount();
const objectLimit = 1n << 20n;

/** Vectors that the kernel shows otherwise than the dump says, whoever wrote the image. Each with the reason. */
const exceptions: Readonly<Record<string, string>> = {
  "deep-long-names-40": "its paths are longer than a system call takes",
  "overlay-long-key": "an attribute's escaped name is longer than the kernel's 255 bytes",
  "size-saturate": "the kernel has no file of 2^64 - 1 bytes",
  "sparse-wrap-2e64-1": "the kernel has no file of 2^64 - 1 bytes",
};

interface Vector {
  readonly name: string;
  readonly tree: FileTree;
}

const vectors = reason === undefined ? readVectors() : [];
let scratch: string;
const seen = new Map<string, readonly SeenEntry[] | string>();

describe.skipIf(reason !== undefined)(
  `the kernel mounts the vectors${reason === undefined ? "" : ` (${reason})`}`,
  () => {
    beforeAll(mountAll, 600_000);
    afterAll(() => rmSync(scratch, { recursive: true }));

    for (const { name, tree } of vectors) {
      for (const version of [0, 1] as const) {
        test(`erofs with objects, version ${version}: ${name} is seen as its dump says`, () => {
          expect(overlayLines(entriesOf(`${name} ${version} overlay`), tree)).toEqual(
            overlayLines(expectedEntries(tree, { version, readContent }), tree),
          );
        });
      }
      test(`erofs alone: ${name} has the names, kinds, owners, sizes and times of its dump`, () => {
        expect(bareLines(entriesOf(`${name} 1 erofs`), tree)).toEqual(bareLines(expectedEntries(tree), tree));
      });
    }
  },
);

function readVectors(): readonly Vector[] {
  const folder = new VectorFolder("test/vectors/composefs/cases");
  return folder
    .images()
    .filter(([name]) => exceptions[name] === undefined)
    .map(([name, { file }]) => ({ name, tree: withoutAcls(parseDump(folder.dump(file))) }));
}

/** The vectors' ACLs are just bytes, which makes the kernel refuse files and directories that have them. */
function withoutAcls(tree: FileTree): FileTree {
  const copies = new Map<Inode, Inode>();
  const copyOf = (inode: Inode): Inode => {
    const known = copies.get(inode);
    if (known !== undefined) return known;
    const xattrs = new Map([...inode.xattrs].filter(([name]) => !name.startsWith("system.posix_acl_")));
    const copy = inode.kind === "directory" ? copyDirectory({ ...inode, xattrs }) : { ...inode, xattrs };
    copies.set(inode, copy);
    return copy;
  };
  const copyDirectory = (directory: Directory): Directory => ({
    ...directory,
    entries: new Map(Array.from(directory.entries, ([name, child]) => [name, copyOf(child)])),
  });
  return { root: copyDirectory(tree.root) };
}

/** One process mounts everything: a process for each image would take minutes. */
function mountAll(): void {
  scratch = mkdtempSync(join(tmpdir(), "osdeploy-kernel-vectors-"));
  const jobs = vectors.flatMap(({ name, tree }, index) => {
    const objects = join(scratch, `${index}-objects`);
    mkdirSync(objects);
    writeObjects(tree.root, objects);
    return ([0, 1] as const).flatMap((version) => {
      const work = join(scratch, `${index}-${version}`);
      mkdirSync(work);
      const image = join(work, "image");
      writeFileSync(image, writeErofs(tree, { version }));
      const alone = version === 1 ? [{ key: `${name} 1 erofs`, job: { image, work } }] : [];
      return [{ key: `${name} ${version} overlay`, job: { image, objects, work } }, ...alone];
    });
  });
  const answers = tryTrees(jobs.map(({ job }) => job));
  for (const [index, { key }] of jobs.entries()) seen.set(key, answers[index] ?? "no answer");
}

/** Objects of zeros, of the right size, in the places that the images name. */
function writeObjects(directory: Directory, objects: string): void {
  for (const inode of directory.entries.values()) {
    if (inode.kind === "directory") writeObjects(inode, objects);
    if (inode.kind !== "regular" || !hasObject(inode.content)) continue;
    const file = join(objects, inode.content.backingPath ?? "");
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, "");
    truncateSync(file, Number(inode.content.sizeBytes));
  }
}

/** Whether {@link writeObjects} makes an object: a small one with a plain relative name. */
function hasObject(content: FileContent): content is Extract<FileContent, { kind: "external" }> {
  if (content.kind === "inline" || content.sizeBytes > objectLimit) return false;
  return /^[\w-]+(\/[\w-]+)*$/.test(content.backingPath ?? "");
}

function readContent(content: FileContent): string | undefined {
  if (content.kind === "inline") return inlineDigest(content);
  if (!hasObject(content)) return undefined;
  return createHash("sha256")
    .update(new Uint8Array(Number(content.sizeBytes)))
    .digest("hex");
}

function entriesOf(key: string): readonly SeenEntry[] {
  const answer = seen.get(key);
  if (typeof answer !== "object") throw new Error(`${key}: ${answer}`);
  return answer;
}

/** Of a file whose object is not there the kernel shows the name, and for the rest an error or, in part, the truth. */
function overlayLines(entries: readonly SeenEntry[], tree: FileTree): readonly string[] {
  const missing = new Set<string>();
  for (const { path, size, content } of expectedEntries(tree, { readContent })) {
    if (size !== undefined && content === undefined) missing.add(path);
  }
  const name = ({ path }: SeenEntry): string => `/${path} without its object`;
  return entries.flatMap((entry) => (missing.has(entry.path) ? [name(entry)] : seenLines([entry])));
}

/**
 * What an EROFS file shows without overlay: no attributes (they are escaped there) and no objects. The root has
 * 256 whiteouts of its own there, `00` to `ff`, that hide the object directories.
 */
function bareLines(entries: readonly SeenEntry[], tree: FileTree): readonly string[] {
  const isStub = (path: string): boolean => /^[0-9a-f]{2}$/.test(path) && !tree.root.entries.has(fromText(path));
  const compared = entries.filter(({ path }) => !isStub(path));
  return seenLines(compared.map(({ content: _, ...entry }) => ({ ...entry, xattrs: [] })));
}
