import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commandGroups, commandTable } from "../../../src/cli/command-table.ts";
import { runMain } from "../../../src/cli/run-main.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { buildImage } from "../../builders/oci-image.ts";
import type { LayerFile } from "../../builders/oci-layer.ts";
import { writeLayout } from "../../builders/oci-layout.ts";
import { FakeCliIo } from "../../fakes/fake-cli-io.ts";
import { type JsonSchema, schemaErrors } from "../../tools/json-schema.ts";

let scratch: string;
let repo: string;
let sysroot: string;
const layout = (tag: string): string => `oci:${scratch}/layout:${tag}`;

const base: readonly LayerFile[] = [
  { path: "boot/" },
  { path: "sysroot/" },
  { path: "run/" },
  { path: "var/" },
  { path: "etc/" },
  { path: "etc/hostname", content: "host\n" },
  { path: "usr/" },
  { path: "usr/lib/" },
  { path: "usr/lib/os-release", content: 'ID=test\nPRETTY_NAME="Test OS 1"\nVERSION="1"\n' },
  { path: "usr/lib/modules/" },
  { path: "usr/lib/modules/6.1.0/" },
  { path: "usr/lib/modules/6.1.0/vmlinuz", content: "kernel ".repeat(100) },
  { path: "usr/lib/modules/6.1.0/initramfs.img", content: "initramfs ".repeat(100) },
  { path: "usr/lib/link", symlink: "os-release" },
];
const update: readonly LayerFile[] = [
  { path: "usr/lib/os-release", content: 'ID=test\nPRETTY_NAME="Test OS 2"\nVERSION="2"\n' },
  { path: "usr/lib/large", content: "x".repeat(5000) },
];

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), "osdeploy-cli-"));
  repo = join(scratch, "repo");
  sysroot = join(scratch, "sysroot");
  mkdirSync(sysroot);
  writeLayout(join(scratch, "layout"), [
    { image: await buildImage({ layers: [base] }), tag: "v1" },
    { image: await buildImage({ layers: [base, update] }), tag: "v2" },
  ]);
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function run(...argv: readonly string[]) {
  const io = new FakeCliIo({ linux: openLinux(), environment: { HOME: scratch } });
  const status = await runMain(argv, io);
  return { status, out: io.stdout.text, err: io.stderr.text, io };
}

/** Runs a command, which must succeed, and returns its output. */
async function ok(...argv: readonly string[]): Promise<string> {
  const { status, out, err } = await run(...argv);
  expect([status, err.includes("osdeploy: Cannot")], err).toEqual([0, false]);
  return out;
}

/** Runs a command with --json, and checks the document against the schema `name`. */
async function json(name: string, ...argv: readonly string[]): Promise<unknown> {
  const { status, out, err } = await run("--json", ...argv);
  expect(out, err).not.toBe("");
  const value: unknown = JSON.parse(out);
  expect([status, schemaErrors(value, schemaOf(name))]).toEqual([0, []]);
  return value;
}

function schemaOf(name: string): JsonSchema {
  return JSON.parse(readFileSync(new URL(`../../../docs/reference/schema/${name}.json`, import.meta.url), "utf8"));
}

const hex = /\b[0-9a-f]{64}([0-9a-f]{64})?\b/g;
const shorten = (text: string): string => text.replaceAll(scratch, "SCRATCH").replace(hex, "HEX");

test("commandTable: every command has a summary, and every group too", () => {
  expect(commandTable.filter((row) => row.summary === "")).toEqual([]);
  const groups = commandTable.filter((row) => row.words.length > 1).map((row) => row.words[0]);
  expect([...new Set(groups)].sort()).toEqual(Object.keys(commandGroups).sort());
});

describe("a repo's life", () => {
  test("repo init: makes a repo, and finds it when run again", async () => {
    const words = ["repo", "init", "--repo", repo, "--insecure"];
    expect(shorten(await ok(...words))).toBe("Made a sha512 repo without fs-verity at SCRATCH/repo\n");
    expect(shorten(await ok(...words))).toBe("There is already a sha512 repo without fs-verity at SCRATCH/repo\n");
    expect(await json("repo-init", ...words)).toMatchObject({ algorithm: "sha512", secure: false, created: false });
  });

  test("repo init: another repo in the same place is refused with status 4", async () => {
    const { status, err } = await run("repo", "init", "--repo", repo, "--insecure", "--fsverity-algorithm", "sha256");
    expect([status, err.split("\n").length]).toEqual([4, 2]);
  });

  test("pull: tells what it brought, and the second time that all was there", async () => {
    expect(shorten(await ok("pull", "--repo", repo, layout("v1")))).toMatch(
      /^Image: {6}oci:SCRATCH\/layout:v1\nDigest: {5}sha256:HEX\nRoot image: HEX\nLayers: {5}1, 0 already there\nAdded: {6}\d+ objects \([\d.]+ kB\)\n$/,
    );
    expect(await json("pull", "pull", "--bootable", "--repo", repo, layout("v2"))).toMatchObject({
      layers: [{ known: true }, { known: false }],
      repaired: [],
      sealedBy: [],
    });
    expect(await json("pull", "pull", "--repo", repo, layout("v1"))).toMatchObject({ addedObjects: 0, addedBytes: 0 });
  });

  test("pull: progress goes to standard error, as JSON lines that follow their schema", async () => {
    const { out, err } = await run("--json", "--progress=json", "pull", "--repo", repo, layout("v2"));
    expect(JSON.parse(out)).toMatchObject({ addedObjects: 0 });
    const lines = err
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.map((line) => line.type)).toEqual(expect.arrayContaining(["Start", "ProgressBytes", "Done"]));
    expect(lines.flatMap((line) => schemaErrors(line, schemaOf("progress")))).toEqual([]);
  });

  test.each([
    [3, ["pull", "oci:/nowhere:x"]],
    [2, ["pull", "ftp://x"]],
    [2, ["pull", "--creds", "nobody", "localhost/os"]],
    [2, ["pull", "--platform", "a/b/c/d", "localhost/os"]],
    [3, ["repo", "fsck", "--repo", "/nowhere"]],
  ])("status %i and one clear line for %j", async (expected, argv) => {
    const { status, out, err } = await run(...argv, ...(argv[0] === "pull" ? ["--repo", repo] : []));
    expect([status, out]).toEqual([expected, ""]);
    expect(err.split("\n").filter((line) => line.startsWith("osdeploy: Cannot "))).toHaveLength(1);
    expect(err).not.toContain("nobody");
  });

  test("images: a table with a line for each tag, sorted", async () => {
    const lines = shorten(await ok("images", "--repo", repo)).split("\n");
    expect(lines[0]).toMatch(/^IMAGE +VERSION +PLATFORM +CREATED +LAYERS +SIZE +BOOTABLE +DIGEST$/);
    expect(lines[1]).toMatch(/^oci:SCRATCH\/layout:v1 +- +linux\/amd64 +2024-01-02 +1 +[\d.]+ k?B +no +[0-9a-f]{12}$/);
    expect(lines[2]).toMatch(/^oci:SCRATCH\/layout:v2 +- +linux\/amd64 +2024-01-02 +2 +[\d.]+ k?B +yes +[0-9a-f]{12}$/);
    expect(await json("images", "images", "--repo", repo)).toHaveLength(2);
  });

  test("repo info: what the repo is and holds", async () => {
    expect(await ok("repo", "info", "--repo", repo)).toMatch(/\nDigest: +sha512\nSecurity: +none: .*\n.*\nTags: +2\n/);
    expect(await json("repo-info", "repo", "info", "--repo", repo)).toMatchObject({
      tags: 2,
      secure: false,
      erofsFormat: 1,
    });
  });

  test("repo fsck: a repo as it should be", async () => {
    expect(await ok("repo", "fsck", "--repo", repo)).toMatch(
      /^Checked \d+ objects \([\d.]+ kB\), \d+ streams, \d+ root images: all is well\n$/,
    );
    expect(await json("repo-fsck", "repo", "fsck", "--repo", repo, "--metadata-only")).toMatchObject({ ok: true });
  });

  test("repo gc: nothing goes while tags keep it", async () => {
    expect(await ok("repo", "gc", "--repo", repo, "--dry-run", "--verbose")).toMatch(/Would remove .*kept\n$/);
    expect(await json("repo-gc", "repo", "gc", "--repo", repo)).toMatchObject({ dryRun: false });
    expect(await ok("repo", "fsck", "--repo", repo)).toContain("all is well");
  });
});

describe("looking into an image", () => {
  const image = (word: string, ...rest: readonly string[]): readonly string[] => [
    "image",
    word,
    "--repo",
    repo,
    ...rest,
  ];

  test("image inspect: digests and layers, and with --json the documents", async () => {
    expect(shorten(await ok(...image("inspect", layout("v1"))))).toMatch(
      /^Digest: +sha256:HEX\nConfig: +sha256:HEX\nRoot image: HEX\nBoot image: none\n\nLAYER +SIZE +TYPE\nsha256:HEX +[\d.]+ k?B +application/,
    );
    expect(await json("image-inspect", ...image("inspect", layout("v2")))).toMatchObject({ config: { os: "linux" } });
  });

  test("image ls: names of a directory, all names below it, and with their metadata", async () => {
    expect(await ok(...image("ls", layout("v1"), "/usr/lib"))).toBe(
      "/usr/lib/link\n/usr/lib/modules/\n/usr/lib/os-release\n",
    );
    expect((await ok(...image("ls", "-R", layout("v1")))).split("\n")).toContain("/usr/lib/modules/6.1.0/vmlinuz");
    expect(await ok(...image("ls", "-l", layout("v1"), "usr/lib"))).toMatch(
      /^MODE +LINKS +UID +GID +SIZE +TIME +PATH\nl0?777 +1 +0 +0 +10 +\S+Z +\/usr\/lib\/link -> os-release\nd0755 +- +0 +0 +- /,
    );
    expect(await json("image-ls", ...image("ls", "-R", layout("v2")))).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ path: "/usr/lib/large", sizeBytes: 5000, permissions: "0644" }),
      ]),
    );
  });

  test("image cat: the bytes of a file, through a symlink too", async () => {
    expect(await ok(...image("cat", layout("v1"), "/usr/lib/link"))).toContain('PRETTY_NAME="Test OS 1"\n');
    expect(await ok("--json", ...image("cat", layout("v2"), "/usr/lib/large"))).toBe("x".repeat(5000));
    expect(await run(...image("cat", layout("v1"), "/nope"))).toMatchObject({ status: 3, out: "" });
  });

  test("image dump: is a dump that composefs create takes, and gives the root image's digest", async () => {
    const dump = await ok(...image("dump", layout("v1")));
    expect(dump).toMatch(/^\/ \d+ 40755 /);
    expect(await ok(...image("digest", layout("v1")))).toMatch(/^[0-9a-f]{128}\n$/);
    expect(await json("image-digest", ...image("digest", "--bootable", layout("v1")))).toHaveProperty("rootImage");
  });

  test("image diff: a line for each path that differs, and what is shared", async () => {
    expect(await ok(...image("diff", layout("v1"), layout("v2")))).toMatch(
      /^A \/usr\/lib\/large\nM \/usr\/lib\/os-release \(content\)\n2 paths differ; shared 2 objects \([\d.]+ kB\); only before/,
    );
    expect(await json("image-diff", ...image("diff", layout("v2"), layout("v1")))).toMatchObject({
      differences: [
        { kind: "removed", after: null },
        { kind: "changed", changes: ["content"] },
      ],
    });
  });

  test("image explain: what an image gives, from the repo or its source, and where a dump differs", async () => {
    expect(await json("image-explain", ...image("explain", layout("v1")))).toMatchObject({
      promises: [],
      expected: null,
    });
    expect(await ok(...image("explain", "--from-source", layout("v2")))).toMatch(
      /\nNothing is promised of this image\n$/,
    );
    const dump = join(scratch, "expected.dump");
    writeFileSync(dump, (await ok(...image("dump", layout("v2")))).replace(" 100644 1 0 0 ", " 100644 1 7 0 "));
    const words = image("explain", "--expected", dump, layout("v2"));
    expect(await json("image-explain", ...words)).toMatchObject({ expected: { differences: 1 } });
    expect(await ok(...words)).toMatch(/First difference: \/\S+ \(owner\)\n {2}- .* 7 0 .*\n {2}\+ /);
    expect(await run(...image("explain", "//"))).toMatchObject({ status: 3, out: "" });
    expect(await run(...image("explain", "--from-source", "//"))).toMatchObject({ status: 2, out: "" });
  });

  test("image mount: an image that is not in the repo is told with those that are", async () => {
    const { status, err } = await run(...image("mount", "nope", scratch));
    expect([status, err]).toEqual([
      3,
      expect.stringMatching(/^osdeploy: Cannot find image "nope": the repo holds oci:.*\n$/),
    ]);
  });
});

describe("composefs images", () => {
  const dump =
    "/ 0 40755 2 0 0 0 0.0 - - -\n/a\\xff 4 100644 1 0 0 0 5.7 - abc\\n -\n/b 100 100644 1 0 0 0 5.0 ab/cd - -\n";

  test("composefs create: from standard input to a file, and its commands read it", async () => {
    const file = join(scratch, "image.cfs");
    const io = new FakeCliIo({ linux: openLinux(), stdin: new TextEncoder().encode(dump) });
    expect(await runMain(["composefs", "create", "--from-file", "--print-digest", "-", file], io)).toBe(0);
    expect(io.stdout.text).toBe(await ok("composefs", "measure", file));
    expect(await ok("composefs", "dump", file)).toBe(dump.replace("/ 0 ", "/ 4096 "));
    expect(await ok("composefs", "ls", "--filter=b", file)).toBe("/b\t@ ab/cd\n");
    expect(await ok("composefs", "objects", file)).toBe("ab/cd\n");
    expect(await ok("composefs", "missing-objects", "--basedir", scratch, file)).toBe("ab/cd\n");
    expect(await json("composefs-measure", "composefs", "measure", file)).toHaveLength(1);
  });

  test("composefs create: to standard output, but never to a terminal", async () => {
    const words = ["composefs", "create", "--from-file", "-", "-"];
    const pipe = new FakeCliIo({ linux: openLinux(), stdin: new TextEncoder().encode(dump) });
    expect([await runMain(words, pipe), pipe.stdout.bytes.length % 4096]).toEqual([0, 0]);
    const terminal = new FakeCliIo({ linux: openLinux(), terminal: 80 });
    expect([await runMain(words, terminal), terminal.stderr.text]).toEqual([
      1,
      "mkcomposefs: stdout is a tty.  Refusing to use it\n",
    ]);
  });

  test("composefs create: from a directory", async () => {
    const value = await json(
      "composefs-create",
      "composefs",
      "create",
      "--use-epoch",
      join(scratch, "layout"),
      join(scratch, "d.cfs"),
    );
    expect(value).toHaveProperty("sizeBytes", readFileSync(join(scratch, "d.cfs")).length);
  });

  test.each([
    [["create", "--from-file", "/dev/null", "x"], "mkcomposefs: No files in dump file\n"],
    [["dump"], "No image path specified\nUsage: osdeploy composefs dump [options] [images...]\n"],
    [["measure"], "No files specified\nUsage: osdeploy composefs measure [options] [files...]\n"],
    [["ls", "/nowhere"], "composefs-info: Failed to open '/nowhere': No such file or directory\n"],
    [["ls", "--filter=a/b", "x"], "composefs-info: Filter must be a single name: a/b: Success\n"],
  ])("composefs %j fails as the program that it stands in for", async (argv, text) => {
    expect(await run("composefs", ...argv)).toMatchObject({ status: 1, out: "", err: text });
  });
});

describe("a sysroot's life", () => {
  test("switch: deploys, and does nothing when that boots already", async () => {
    expect(shorten(await ok("switch", "--sysroot", sysroot, "--karg", "quiet", layout("v1")))).toMatch(
      /^oci:SCRATCH\/layout:v1 boots next\n {2}Digest: +sha256:HEX\n {2}Root image: +[0-9a-f]{12}\n {2}Kernel: +6\.1\.0\n/,
    );
    expect(await json("switch", "switch", "--sysroot", sysroot, layout("v2"))).toMatchObject({ kind: "deployed" });
    expect(await json("switch", "switch", "--sysroot", sysroot, layout("v2"))).toMatchObject({ kind: "kept" });
    expect(shorten(await ok("switch", "--sysroot", sysroot, layout("v2")))).toBe(
      "Nothing to do: oci:SCRATCH/layout:v2 boots next already\n",
    );
  });

  test("status: shows what boots next first", async () => {
    const text = shorten(await ok("status", "--sysroot", sysroot));
    expect(text).toMatch(
      /^Test OS 2 \(boots next\)\n {2}Version: +2\n(?: {2}.*\n)+\nTest OS 1 \(rollback\)\n {2}Version: +1\n/,
    );
    expect(await json("status", "status", "--sysroot", sysroot)).toMatchObject({
      deployments: [{ roles: ["default"] }, { roles: ["rollback"] }],
      problems: [],
    });
  });

  test("image untag: the name goes, the one that keeps a deployment stays", async () => {
    const own = `${sysroot}/composefs`;
    expect(await json("pull", "pull", "--repo", own, layout("v1"))).toMatchObject({ tag: layout("v1") });
    expect(await json("image-untag", "image", "untag", "--repo", own, layout("v1"))).toMatchObject([
      { tag: layout("v1") },
    ]);
    await ok("pull", "--repo", own, layout("v1"));
    expect(await ok("image", "untag", "--repo", own, layout("v1"))).toMatch(
      /^Untagged oci:.*:v1 \(sha256:[0-9a-f]+\)\n$/,
    );
    const [kept] = JSON.parse(await ok("images", "--json", "--repo", own));
    expect(kept.tag).toMatch(/^localhost\/bootc-sha256:/);
    expect(await run("image", "untag", "--repo", own, kept.tag)).toMatchObject({ status: 2, out: "" });
    expect(await json("repo-gc", "repo", "gc", "--repo", own)).toMatchObject({ dryRun: false });
    expect(await ok("repo", "fsck", "--repo", own)).toContain("all is well");
  });

  test("status: a directory that is no sysroot is told in one line", async () => {
    const { status, err } = await run("status", "--sysroot", join(scratch, "layout"));
    expect([status === 0, err.split("\n").length <= 3]).toEqual([false, true]);
  });
});
