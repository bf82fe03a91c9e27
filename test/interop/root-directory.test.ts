import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runMain } from "../../src/cli/run-main.ts";
import { type ByteString, fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import { paddingBytes } from "../../src/core/tar/tar-header.ts";
import { tarEndBytes, writeEntryHeader } from "../../src/core/tar/tar-writer.ts";
import { dumpLines } from "../../src/core/tree/dump-writer.ts";
import { layerOfTree } from "../../src/core/tree/layer-of-tree.ts";
import { readRootDirectory } from "../../src/image-source/root-directory.ts";
import type { Path } from "../../src/linux/linux.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { sha256 } from "../builders/oci-layer.ts";
import { FakeCliIo } from "../fakes/fake-cli-io.ts";
import { findTool, isRoot } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";

const tar = findTool("tar");
const linux = openLinux();
const { files } = linux;
const scratch = mkdtempSync(join(tmpdir(), "interop-root-"));
const root = join(scratch, "root");
const oddName = "odd-\xff\xfe\n-name" as ByteString;

const at = (path: string): string => join(root, path);
const bytesAt = (path: string, name: ByteString): Path => `${at(path)}/${name}` as Path;

/** A small root file system with everything that a tar can hold. */
function makeRoot(): void {
  for (const path of ["", "boot", "etc", "run", "sysroot", "usr/bin", "usr/lib/modules/6.1", "var/lib"]) {
    mkdirSync(at(path), { recursive: true });
  }
  writeFileSync(at("usr/lib/modules/6.1/vmlinuz"), Buffer.alloc(300_000, "kernel"));
  writeFileSync(at("usr/lib/modules/6.1/initramfs.img"), Buffer.alloc(100_001, "initramfs"));
  for (const length of [0, 1, 64, 65, 511, 512, 513]) writeFileSync(at(`usr/lib/${length}`), "x".repeat(length));
  linkSync(at("usr/lib/513"), at("usr/bin/513"));
  linkSync(at("usr/lib/64"), at("etc/64"));
  symlinkSync("usr/bin", at("bin"));
  symlinkSync("t".repeat(300), at("etc/long-target"));
  linkSync(at("etc/long-target"), at("var/long-target"));
  chmodSync(at("usr/lib/65"), 0o4755);
  mkdirSync(at(`var/${"d".repeat(120)}/${"e".repeat(120)}`), { recursive: true });
  writeFileSync(at(`var/${"d".repeat(120)}/${"e".repeat(120)}/${"f".repeat(200)}`), "long");
  files.writeNewFile(bytesAt("usr/lib", oddName), toBytes(fromText("odd")), 0o600);
  files.makeNode(bytesAt("var", fromText("pipe")), "fifo", { permissions: 0o600, rdev: 0 });
  for (const [key, value] of [
    ["user.binary", "\x01\0\n=\xff"],
    ["user.empty", ""],
  ] as const) {
    files.setXattr(bytesAt("usr/lib", fromText("65")), fromText(key), value as ByteString);
  }
  if (isRoot) {
    files.makeNode(bytesAt("var", fromText("null")), "character-device", { permissions: 0o666, rdev: 0x103 });
    files.makeNode(bytesAt("var", fromText("disk")), "block-device", { permissions: 0o660, rdev: 0x1000_0801 });
    files.setOwner(bytesAt("var", fromText("lib")), 3_000_000_000, 2_097_152);
    files.setXattr(
      bytesAt("usr/lib", fromText("65")),
      fromText("security.capability"),
      "\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0" as ByteString,
    );
  }
  utimesSync(at("usr/lib/1"), 0, -12_345.25);
  utimesSync(at("usr/lib/64"), 0, 10_000_000_000);
  lutimesSync(at("bin"), 0, 1_700_000_000.5);
  for (const path of ["usr/lib", "usr", "etc", "var", ""])
    files.setTime(fromText(at(path)), 1_700_000_000n, 123_456_789);
}

/** The tar that a pull of the directory digests. */
function ownTar(directory: string): Uint8Array {
  const tree = readRootDirectory(files, fromText(directory), {
    contentOf: (path) => ({ kind: "inline", bytes: readFileText(path) }),
    ...{ hardLinks: "detect", devices: "keep", xattrs: "all", times: "keep" },
    ...{ mounts: "leave-empty", vanished: "refuse" },
  });
  const pieces = layerOfTree(tree).entries.flatMap((entry) => {
    const content = entry.kind === "regular" && entry.content.kind === "inline" ? entry.content.bytes : fromText("");
    return [writeEntryHeader(entry), toBytes(content), new Uint8Array(paddingBytes(content.length))];
  });
  return Buffer.concat([...pieces, new Uint8Array(tarEndBytes)]);
}

const readFileText = (path: Path) => Buffer.from(files.readFile(path, 1_000_000)).toString("latin1") as ByteString;

/** All metadata and contents of a directory, hard links included, as dump text. */
function describeDirectory(directory: string): string {
  const tree = readRootDirectory(files, fromText(directory), {
    contentOf: (path, { sizeBytes }) => ({
      kind: "external",
      sizeBytes: BigInt(sizeBytes),
      backingPath: undefined,
      digest: createHash("sha256").update(files.readFile(path, 1_000_000)).digest("hex"),
    }),
    ...{ hardLinks: "detect", devices: "keep", xattrs: "all", times: "keep" },
    ...{ mounts: "leave-empty", vanished: "refuse" },
  });
  return [...dumpLines(tree)].join("");
}

beforeAll(makeRoot);
afterAll(() => rmSync(scratch, { recursive: true }));

async function osdeploy(...words: readonly string[]): Promise<{ readonly stdout: string; readonly status: number }> {
  const io = new FakeCliIo({ linux });
  const status = await runMain(words, io);
  if (status !== 0) throw new Error(`osdeploy ${words.join(" ")}: ${io.stderr.text}`);
  return { stdout: io.stdout.text, status };
}

const absent = tar === undefined ? " (tar is not there)" : "";

describe.skipIf(tar === undefined)(`GNU tar reads what is written for a root directory${absent}`, () => {
  test("it lists every entry, and extracts the same file system", () => {
    const file = join(scratch, "own.tar");
    writeFileSync(file, ownTar(root));
    const listed = run(String(tar), ["-tvf", file]);
    expect(listed).toMatchObject({ status: 0, stderr: "" });
    expect(listed.stdout).toContain("link to etc/64");
    const extracted = join(scratch, "extracted");
    mkdirSync(extracted);
    const owner = isRoot ? ["--same-owner"] : [];
    const extract = [
      "-C",
      extracted,
      "-xpf",
      file,
      "--xattrs",
      "--xattrs-include=*",
      "--numeric-owner",
      "--warning=no-timestamp",
      ...owner,
    ];
    expect(run(String(tar), extract)).toMatchObject({ status: 0, stdout: "", stderr: "" });
    expect(describeDirectory(extracted)).toBe(describeDirectory(root));
  });

  test.each(["--format=posix", "--format=gnu"])(
    "a pull gives the same root images as one of a layer that GNU tar %s made of the directory",
    async (format) => {
      const wholeSeconds = format === "--format=gnu";
      const directory = wholeSeconds ? copyWithWholeSeconds() : root;
      const layer = join(scratch, `layer${format}.tar`);
      const options = [
        "--sort=name",
        "--numeric-owner",
        format,
        ...(wholeSeconds ? [] : ["--xattrs", "--xattrs-include=*"]),
      ];
      execFileSync(String(tar), [...options, "-C", directory, "-cf", layer, "."]);
      const layout = join(scratch, `layout${format}`);
      writeLayoutOf(layout, readFileSync(layer));
      const repo = join(scratch, `repo${format}`);
      await osdeploy("repo", "init", "--repo", repo, "--insecure");
      await osdeploy("pull", "--repo", repo, `rootfs:${directory}`);
      await osdeploy("pull", "--repo", repo, `oci:${layout}`);
      for (const bootable of [[], ["--bootable"]]) {
        const digests = [`rootfs:${directory}`, `oci:${layout}`].map((image) =>
          osdeploy("image", "digest", ...bootable, "--repo", repo, image),
        );
        const [ours, theirs] = await Promise.all(digests);
        expect(ours?.stdout).toMatch(/^[0-9a-f]{128}\n$/);
        expect(ours).toEqual(theirs);
      }
      expect((await osdeploy("repo", "fsck", "--repo", repo)).status).toBe(0);
    },
  );
});

/** GNU's format has no fractions of seconds, and no xattrs. */
function copyWithWholeSeconds(): string {
  const copy = join(scratch, "whole-seconds");
  mkdirSync(copy);
  const file = join(scratch, "whole-seconds.tar");
  const write = ["--format=gnu", "--numeric-owner", "-C", root, "-cf", file, "."];
  execFileSync(String(tar), write);
  execFileSync(String(tar), ["-C", copy, "-xpf", file, "--numeric-owner", "--warning=no-timestamp"]);
  return copy;
}

function writeLayoutOf(layout: string, layer: Uint8Array): void {
  const diffId = sha256(layer);
  const blobs = join(layout, "blobs/sha256");
  mkdirSync(blobs, { recursive: true });
  const add = (mediaType: string, bytes: Uint8Array) => {
    const digest = sha256(bytes);
    writeFileSync(join(blobs, digest.slice(7)), bytes);
    return { mediaType: `application/vnd.oci.image.${mediaType}`, digest, size: bytes.length };
  };
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));
  const layers = [add("layer.v1.tar", layer)];
  const config = add(
    "config.v1+json",
    json({ architecture: "amd64", os: "linux", rootfs: { type: "layers", diff_ids: [diffId] } }),
  );
  const manifest = add("manifest.v1+json", json({ schemaVersion: 2, config, layers }));
  writeFileSync(join(layout, "index.json"), json({ schemaVersion: 2, manifests: [manifest] }));
  writeFileSync(join(layout, "oci-layout"), json({ imageLayoutVersion: "1.0.0" }));
}
