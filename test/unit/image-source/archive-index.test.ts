import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { indexArchive } from "../../../src/image-source/archive-index.ts";
import { readRange } from "../../../src/image-source/file-range.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { buildTar, type LayerFile } from "../../builders/oci-layer.ts";
import { entry, gnu, pax, tarOf } from "../../builders/tar-blocks.ts";

const directory = mkdtempSync(join(tmpdir(), "archive-"));
const { files } = openLinux();
afterAll(() => rmSync(directory, { recursive: true }));

let count = 0;

function write(bytes: Uint8Array): string {
  const path = join(directory, `${count++}.tar`);
  writeFileSync(path, bytes);
  return path;
}

const indexOf = (path: string) => indexArchive(files, fromText(path));
const archive = async (...entries: readonly LayerFile[]) => indexOf(write(await buildTar(entries)));

function contentOf(index: ReturnType<typeof indexOf>, path: string): string | undefined {
  const location = index.locate(fromText(path));
  return location === undefined ? undefined : Buffer.from(readRange(files, location, 1_000_000)).toString();
}

/** A header of the old form with these fields and nothing else; size in octal. */
function header(name: string, type: string, size: number): Buffer {
  const block = Buffer.alloc(512);
  block.write(name, 0);
  block.write("0000644\0", 100);
  block.write(size.toString(8).padStart(11, "0"), 124);
  block.write(`${type}ustar  \0`, 156);
  block.fill(" ", 148, 156);
  block.write(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0`,
    148,
  );
  return block;
}

describe("indexArchive", () => {
  test("finds files by their clean paths; folders are none", async () => {
    const index = await archive(
      { path: "a/" },
      { path: "./a/b", content: "B" },
      { path: "/c", content: "C".repeat(700) },
    );
    expect(["a", "a/b", "c", "d"].map((path) => contentOf(index, path)?.length)).toEqual([
      undefined,
      1,
      700,
      undefined,
    ]);
    expect(contentOf(index, "a/b")).toBe("B");
  });

  test("reads the archive that a symlink leads to, also when the symlink is changed then", async () => {
    const path = join(directory, "newest.tar");
    symlinkSync(write(await buildTar([{ path: "a", content: "1" }])), path);
    const index = indexOf(path);
    rmSync(path);
    symlinkSync(write(await buildTar([{ path: "a", content: "22" }])), path);
    expect([contentOf(index, "a"), contentOf(indexOf(path), "a")]).toEqual(["1", "22"]);
    rmSync(path);
    symlinkSync("gone.tar", path);
    expect(() => indexOf(path)).toThrow(`Cannot find the archive ${path}`);
  });

  test("of two files with one name the last counts", async () => {
    expect(contentOf(await archive({ path: "a", content: "1" }, { path: "a", content: "2" }), "a")).toBe("2");
  });

  test("follows symlinks and hard links within the archive", async () => {
    const index = await archive(
      { path: "x/layer.tar", content: "L" },
      { path: "y/layer.tar", symlink: "../x/./layer.tar" },
      { path: "z/layer.tar", symlink: "/y/layer.tar" },
      { path: "h", hardLink: "x/layer.tar" },
      { path: "dangling", symlink: "gone" },
    );
    expect(["y/layer.tar", "z/layer.tar", "h", "dangling"].map((path) => contentOf(index, path))).toEqual([
      "L",
      "L",
      "L",
      undefined,
    ]);
  });

  test("refuses links in a circle, and links out of the archive", async () => {
    const index = await archive({ path: "a", symlink: "b" }, { path: "b", symlink: "a" });
    expect(() => index.locate(fromText("a"))).toThrow("its links go in a circle");
    await expect(archive({ path: "x/a", symlink: "../../etc/passwd" })).rejects.toThrow("the link x/a leaves it");
  });

  test("reads long names of PAX and of GNU", async () => {
    const long = `${"d".repeat(120)}/${"f".repeat(120)}`;
    expect(contentOf(await archive({ path: long, content: "P" }, { path: "l", symlink: long }), "l")).toBe("P");
    const blocks = [
      ...[header("././@LongLink", "L", long.length + 1), Buffer.from(long.padEnd(512, "\0")), header("short", "0", 1)],
      ...[
        Buffer.from("G".padEnd(512, "\0")),
        header("././@LongLink", "K", long.length),
        Buffer.from(long.padEnd(512, "\0")),
      ],
      ...[header("link", "2", 0), header("global", "g", 0), header("fifo", "6", 9), Buffer.alloc(1024)],
    ];
    const index = indexOf(write(Buffer.concat(blocks)));
    expect([long, "link", "short", "fifo"].map((path) => contentOf(index, path))).toEqual([
      "G",
      "G",
      undefined,
      undefined,
    ]);
  });

  test("what a PAX header says of a size is of the file, and not of the extensions in between", () => {
    const long = "n".repeat(120);
    const tar = tarOf(
      pax({ size: "600" }),
      pax({ comment: "for all" }, "g"),
      entry({ name: "././@LongLink", type: "L", magic: gnu }, `${long}\0`),
      entry({ name: "short", size: 0 }, "c".repeat(600)),
      entry({ name: "next" }, "n"),
    );
    const index = indexOf(write(tar));
    expect([long, "short", "next"].map((path) => contentOf(index, path))).toEqual(["c".repeat(600), undefined, "n"]);
  });

  test("reads a file of the old form, and one without an end", () => {
    const index = indexOf(write(Buffer.concat([header("a", "\0", 2), Buffer.from("ab".padEnd(512, "\0"))])));
    expect(contentOf(index, "a")).toBe("ab");
    expect(contentOf(indexOf(write(Buffer.alloc(512))), "a")).toBeUndefined();
  });

  test.each([
    ["a path with ..", [header("../a", "0", 0)], 'its path holds ".."'],
    ["no header", [Buffer.alloc(512, 1)], "Cannot read the archive"],
    ["less than a header", [Buffer.alloc(511)], "it is no tar"],
    ["nothing", [], "it is no tar"],
    ["a file that goes beyond the end", [header("a", "0", 4096), Buffer.alloc(512)], "a goes beyond its end"],
  ])("refuses %s", (_, blocks, state) => {
    const path = write(Buffer.concat(blocks));
    expect(() => indexOf(path)).toThrow(state);
    expect(() => indexOf(path)).toThrow(`Cannot read the archive ${path}: `);
  });

  test.each(["L", "K", "x"])("takes 64 KiB of what an entry of the kind %s says of the next, and not more", (kind) => {
    const saying = (bytes: number) => {
      const text = Buffer.alloc(Math.ceil(bytes / 512) * 512);
      // One comment in PAX; for the others a name and many NULs.
      text.write(kind === "x" ? `${bytes} comment=`.padEnd(bytes - 1, "c").concat("\n") : "name");
      return write(Buffer.concat([header("of the next", kind, bytes), text, header("link", "2", 0)]));
    };
    expect(() => indexOf(saying(65_536))).not.toThrow();
    expect(() => indexOf(saying(65_537))).toThrow("65537 bytes, 65536 are allowed");
  });

  test("follows 15 links, and takes more for a circle", async () => {
    const links = Array.from({ length: 16 }, (_, at) => ({ path: `l${at + 1}`, symlink: `l${at}` }));
    const index = await archive({ path: "l0", content: "L" }, ...links);
    expect(contentOf(index, "l15")).toBe("L");
    expect(() => contentOf(index, "l16")).toThrow("its links go in a circle");
  });

  test("takes 100,000 entries, and not more", () => {
    const empty = header("a", "0", 0);
    const path = write(empty);
    const endless: typeof files = {
      ...files,
      read: (_fd, target, { offset, length }) => {
        target.set(empty, offset);
        return length;
      },
    };
    const indexWith = (entries: number) => {
      truncateSync(path, entries * 512);
      return indexArchive({ ...endless, open: () => 0 as never, close: () => {} }, fromText(path));
    };
    expect(indexWith(100_000).locate(fromText("a"))).toBeDefined();
    expect(() => indexWith(100_001)).toThrow(expect.objectContaining({ code: "limit-exceeded" }));
  });

  test.each([
    ["GNU's", entry({ name: "a", type: "S" })],
    ["PAX", Buffer.concat([pax({ "GNU.sparse.major": "1" }), entry({ name: "a" })])],
  ])("refuses sparse files in %s form, and names the archive: their blobs would not be found", (_, blocks) => {
    const path = write(tarOf(blocks));
    expect(() => indexOf(path)).toThrow(
      expect.objectContaining({
        code: "unsupported",
        message: expect.stringMatching(new RegExp(`^Cannot read the archive ${path}: .*without --sparse$`)),
      }),
    );
  });

  test("refuses an archive that is compressed as a whole, and says what to do", async () => {
    const path = write(gzipSync(await buildTar([{ path: "a", content: "1" }])));
    expect(() => indexOf(path)).toThrow(
      expect.objectContaining({
        code: "unsupported",
        message: `Cannot read the archive ${path}: it is compressed as a whole; unpack it with gunzip first`,
      }),
    );
  });

  test("refuses what is not there, and what is no file", () => {
    expect(() => indexOf(join(directory, "gone"))).toThrow(expect.objectContaining({ code: "not-found" }));
    expect(() => indexOf(directory)).toThrow("it is a directory; write oci: in front of that of a layout");
  });

  test("a file that got shorter since: an error, not fewer bytes", async () => {
    const path = write(await buildTar([{ path: "a", content: "1".repeat(2000) }]));
    const index = indexOf(path);
    truncateSync(path, 1000);
    expect(() => contentOf(index, "a")).toThrow("it ends in the middle");
  });
});
