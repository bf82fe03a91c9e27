import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import { writeDump } from "../../src/core/tree/dump-writer.ts";
import type { FileContent, FileTree } from "../../src/core/tree/inode.ts";
import { applyUpper } from "../../src/core/tree/overlay-upper.ts";
import { readRootDirectory } from "../../src/image-source/root-directory.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { isRoot } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";

const { files } = openLinux();

/** Real changes through the kernel's own overlay, of every kind that an administrator makes. */
const changes = `
echo edited >edited && rm removed && rm -r gone && echo new >new && chmod 600 mode
rm -r again && mkdir again && echo only >again/only
rm was-file && mkdir was-file && echo in >was-file/in && rm -r was-dir && echo file >was-dir
ln -s elsewhere link && mkdir -p deep/below && rm deep/old && echo x >deep/below/x && mkfifo pipe
`;

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "osdeploy-overlay-"));
  for (const name of ["lower", "upper", "work", "seen"]) mkdirSync(join(place, name));
  const made = `cd "$1" && for f in edited removed mode was-file kept; do echo $f >$f; done
    for d in gone again was-dir deep; do mkdir $d && echo old >$d/old && echo two >$d/two; done`;
  expect(run("sh", ["-c", made, "sh", join(place, "lower")]).status).toBe(0);
});
afterEach(() => {
  run("umount", [join(place, "seen")]);
  rmSync(place, { recursive: true });
});

function read(name: string): FileTree {
  return readRootDirectory(files, fromText(join(place, name)), {
    contentOf: (path, stat): FileContent => ({
      kind: "external",
      sizeBytes: BigInt(stat.sizeBytes),
      backingPath: undefined,
      digest: verityDigest("sha256", files.readFile(path, stat.sizeBytes)),
    }),
    ...{ hardLinks: "ignore", devices: "keep", xattrs: "all", times: "keep", mounts: "enter", vanished: "refuse" },
  });
}

test.skipIf(!isRoot)("applyUpper: sees what the kernel's overlay shows (needs root, and overlayfs)", () => {
  const at = (name: string) => join(place, name);
  const options = `lowerdir=${at("lower")},upperdir=${at("upper")},workdir=${at("work")}`;
  expect(run("mount", ["-t", "overlay", "-o", options, "overlay", at("seen")])).toMatchObject({ status: 0 });
  expect(run("sh", ["-ec", `cd "$1"\n${changes}`, "sh", at("seen")])).toMatchObject({ status: 0 });
  const seen = read("seen");
  run("umount", [at("seen")]);
  expect(readdirSync(at("upper"))).toContain("removed");
  const dump = (tree: FileTree) => writeDump(tree);
  expect(dump(applyUpper(read("lower"), read("upper"))).split("\n")).toEqual(dump(seen).split("\n"));
});
