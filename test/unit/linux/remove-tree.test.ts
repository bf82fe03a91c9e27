import { expect, test } from "vitest";
import { fromBytes, fromText } from "../../../src/core/bytes/byte-string.ts";
import { childPath } from "../../../src/linux/path.ts";
import { removeTree } from "../../../src/linux/remove-tree.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const at = fromText;

test("removeTree: takes all kinds of files below a directory, and nothing that symlinks lead to", () => {
  const { files } = new FakeLinux();
  for (const path of ["/keep", "/gone", "/gone/d", "/gone/d/e"]) files.makeDirectory(at(path), 0o755);
  files.writeNewFile(at("/keep/file"), new Uint8Array(3), 0o644);
  files.link(at("/keep/file"), at("/gone/d/hard"));
  files.symlink(at("/keep"), at("/gone/d/link"));
  files.makeNode(at("/gone/pipe"), "fifo", { permissions: 0o600, rdev: 0 });
  files.writeNewFile(childPath(at("/gone/d/e"), fromBytes(Uint8Array.of(0xff, 0x0a))), new Uint8Array(), 0o600);
  removeTree(files, at("/gone"));
  expect(files.readDirectory(at("/"))).toEqual(["keep"]);
  expect(files.lstat(at("/keep/file")).nlink).toBe(1);
});

test("removeTree: takes a single file or symlink, and nothing there is fine", () => {
  const { files } = new FakeLinux();
  files.symlink(at("/nowhere"), at("/link"));
  removeTree(files, at("/link"));
  removeTree(files, at("/none"));
  removeTree(files, at("/none/below"));
  expect(files.readDirectory(at("/"))).toEqual([]);
});
