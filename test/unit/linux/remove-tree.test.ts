import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fromBytes, fromText } from "../../../src/core/bytes/byte-string.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
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

test("removeTree: takes what chattr +i is on, and the protection of nothing else", () => {
  const linux = new FakeLinux();
  const { files } = linux;
  for (const path of ["/top", "/top/gone", "/top/gone/d"]) files.makeDirectory(at(path), 0o755);
  files.writeNewFile(at("/top/gone/d/file"), new Uint8Array(), 0o644);
  files.symlink(at("/nowhere"), at("/top/gone/d/link"));
  for (const path of ["/top/gone", "/top/gone/d", "/top/gone/d/file"]) linux.protect(at(path));
  removeTree(files, at("/top/gone"));
  expect(files.readDirectory(at("/top"))).toEqual([]);
  files.writeNewFile(at("/top/file"), new Uint8Array(), 0o644);
  linux.protect(at("/top"));
  expect(() => removeTree(files, at("/top/file"))).toThrow(expect.objectContaining({ code: "permission-denied" }));
  expect(files.takeProtection(at("/top"))).toBe(true);
  expect(files.takeProtection(at("/top"))).toBe(false);
});

test("removeTree: what is mounted in a directory stays whole", () => {
  const { files } = new FakeLinux({ mountPoints: [{ path: "/gone/mnt" }] });
  files.writeNewFile(at("/gone/mnt/file"), new Uint8Array(), 0o644);
  files.writeNewFile(at("/gone/a"), new Uint8Array(), 0o644);
  expect(() => removeTree(files, at("/gone"))).toThrow('Cannot remove the directory "/gone/mnt": it is in use (EBUSY)');
  expect([files.readDirectory(at("/gone")), files.readDirectory(at("/gone/mnt"))]).toEqual([["mnt"], ["file"]]);
});

/** Not every file system has the flags, and only root may set them. */
const canProtect = (() => {
  const directory = mkdtempSync(join(tmpdir(), "protect-"));
  const answers = ["+i", "-i"].map((flag) => spawnSync("chattr", [flag, directory]).status);
  rmSync(directory, { recursive: true });
  return answers.every((status) => status === 0);
})();

test.runIf(canProtect)("removeTree: takes what chattr has protected on this machine (needs root)", () => {
  const parent = mkdtempSync(join(tmpdir(), "remove-tree-"));
  const gone = join(parent, "gone");
  mkdirSync(join(gone, "etc"), { recursive: true });
  writeFileSync(join(gone, "etc/resolv.conf"), "nameserver 192.0.2.1\n");
  writeFileSync(join(gone, "etc/log"), "line\n");
  expect(spawnSync("chattr", ["+a", join(gone, "etc/log")]).status).toBe(0);
  expect(spawnSync("chattr", ["+i", join(gone, "etc/resolv.conf"), join(gone, "etc"), gone]).status).toBe(0);
  try {
    removeTree(openLinux().files, at(gone));
    expect(readdirSync(parent)).toEqual([]);
  } finally {
    spawnSync("chattr", ["-R", "-ia", parent]);
    rmSync(parent, { recursive: true });
  }
});
