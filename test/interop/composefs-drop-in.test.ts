import {
  chmodSync,
  copyFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ByteString, fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import type { Path } from "../../src/linux/linux.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { sha256 } from "../builders/composefs-vectors.ts";
import { findTool, isRoot } from "../tools/find-tool.ts";
import { type Ended, osdeployCommand, run } from "../tools/run-cli.ts";

const tools = { mkcomposefs: findTool("mkcomposefs"), "composefs-info": findTool("composefs-info") };
const missing = Object.entries(tools).flatMap(([name, path]) => (path === undefined ? [name] : []));
const absent = missing.length === 0 ? "" : ` (${missing.join(" and ")} not there: sh test/setup.sh)`;

const scratch = mkdtempSync(join(tmpdir(), "drop-in-"));
const { files } = openLinux();
const at = (path: string): string => join(scratch, path);
const bytesAt = (path: string, name: ByteString): Path => `${at(path)}/${name}` as Path;

/** A directory with all that mkcomposefs can store. Both programs run beside it, so that they print the same paths. */
function makeTree(): void {
  for (const path of ["tree/sub/deep", "tree/empty", "tree/usr/lib", "devices", "plain"]) {
    mkdirSync(at(path), { recursive: true });
  }
  for (const length of [0, 1, 64, 65, 4096, 4097, 70_000])
    writeFileSync(at(`tree/usr/lib/${length}`), "x".repeat(length));
  writeFileSync(at("tree/usr/lib/same"), "x".repeat(4097));
  linkSync(at("tree/usr/lib/4096"), at("tree/sub/link"));
  linkSync(at("tree/usr/lib/1"), at("tree/a-link"));
  symlinkSync("usr/lib/65", at("tree/symlink"));
  symlinkSync("t".repeat(300), at("tree/sub/long"));
  chmodSync(at("tree/sub/deep"), 0o1777);
  files.writeNewFile(bytesAt("tree/sub", "odd \xff\\\n\x01name" as ByteString), toBytes(fromText("odd")), 0o600);
  files.makeNode(bytesAt("tree/sub", fromText("pipe")), "fifo", { permissions: 0o600, rdev: 0 });
  files.makeNode(bytesAt("tree/sub", fromText("socket")), "socket", { permissions: 0o600, rdev: 0 });
  const xattrs = [
    ["user.text", "value"],
    ["user.binary", "\x00\xff=\n"],
    ["user.overlay.x", "1"],
    ["trusted.overlay.opaque", "y"],
    ["trusted.other", "2"],
  ];
  for (const [key, value] of xattrs.filter(([name]) => isRoot || name?.startsWith("user."))) {
    for (const path of ["tree/usr/lib/65", "tree/empty"])
      files.setXattr(fromText(at(path)), fromText(key ?? ""), value as ByteString);
  }
  if (isRoot) {
    files.makeNode(bytesAt("devices", fromText("null")), "character-device", { permissions: 0o666, rdev: 0x103 });
    files.makeNode(bytesAt("devices", fromText("whiteout")), "character-device", { permissions: 0o600, rdev: 0 });
    files.makeNode(bytesAt("devices", fromText("disk")), "block-device", { permissions: 0o660, rdev: 0x801 });
    files.setOwner(bytesAt("tree/sub", fromText("deep")), 70_000, 3_000_000_000);
  }
  writeFileSync(at("plain/file"), "hello\n");
  writeFileSync(at("plain/big"), "x".repeat(100));
  utimesSync(at("plain/file"), 1, -5.5);
}

const rootLine = "/ 4096 40755 2 0 0 0 0.0 - - -\n";
const digest = "ab".repeat(32);

function makeInputs(): void {
  const dumps: Readonly<Record<string, string>> = {
    "good.dump": `${rootLine}/f 4 100644 1 0 0 0 1.5 - abcd -\n`,
    "external.dump": `${rootLine}/f 400 100644 1 0 0 0 0.0 ab/cd - ${digest}\n/g 9 100644 1 0 0 0 0.0 x/yz - -\n`,
    "whiteout.dump": `${rootLine}/w 0 20000 1 0 0 0 0.0 - - -\n`,
    "empty.dump": "",
    "bad.dump": "/ 4096 4x755 2 0 0 0 0.0 - - -\n",
    "short.dump": "/ 4096 40755\n",
    "no-newline.dump": rootLine.trimEnd(),
    "xattr.dump": "/ 4096 40755 2 0 0 0 0.0 - - - user.a=b user.c=\\x00\\n\n",
  };
  for (const [name, text] of Object.entries(dumps)) writeFileSync(at(name), text);
  symlinkSync("tree", at("tree-link"));
  symlinkSync("good.dump", at("dump-link"));
  symlinkSync("plain.img", at("image-link"));
  run(String(tools.mkcomposefs), [at("plain"), at("plain.img")]);
  run(String(tools.mkcomposefs), [`--digest-store=${at("objects")}`, at("tree"), at("tree.img")]);
  run(String(tools.mkcomposefs), ["--from-file", at("external.dump"), at("external.img")]);
  copyFileSync(at("plain.img"), at("cut.img"));
  truncateSync(at("cut.img"), 4000);
  writeFileSync(at("zeros.img"), Buffer.alloc(8192));
  mkdirSync(at("some-objects"));
  const [prefix = ""] = readdirSync(at("objects")).sort();
  files.symlink(fromText(at(`objects/${prefix}`)), fromText(at(`some-objects/${prefix}`)));
}

beforeAll(() => {
  makeTree();
  if (missing.length > 0) return;
  makeInputs();
  for (const who of ["ours", "theirs"]) mkdirSync(at(who));
});
afterAll(() => rmSync(scratch, { recursive: true }));

/** One command line, run by both programs. `words` come after the command's name. */
interface Case {
  readonly words: readonly string[];
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** What a shell does before, in the same directory. */
  readonly before?: string;
  /** What differs on purpose, and why. */
  readonly differs?: Difference;
}

type Difference =
  | { readonly in: "stdout" | "stderr" | "files"; readonly because: string }
  | { readonly in: "all"; readonly because: string; readonly ours: Partial<Outcome> };

interface Outcome extends Pick<Ended, "status" | "stdout" | "stderr"> {
  readonly files: Readonly<Record<string, string>>;
}

function runIn(who: "ours" | "theirs", [program, ...words]: readonly [string, ...string[]], given: Case): Outcome {
  const directory = at(who);
  rmSync(directory, { recursive: true });
  mkdirSync(directory);
  const ended = run(
    "env",
    [
      ...["-C", directory, ...Object.entries(given.environment ?? {}).map(([name, value]) => `${name}=${value}`)],
      ...["sh", "-c", `${given.before ?? ":"}\nexec "$@"`, "sh", program, ...words],
    ],
    given.input,
  );
  const { status, stdout, stderr } = ended;
  return { status, stdout, stderr: inOneVoice(stderr, program), files: contentsOf(directory) };
}

/** How to call it and by which path it was called is each program's own; all other words are to be the same. */
function inOneVoice(stderr: string, program: string): string {
  return stderr
    .replaceAll(/\S*\/(mkcomposefs|composefs-info)(?=: (unrecognized|invalid|option))/g, "$1")
    .replaceAll(program, "PROGRAM")
    .replace(/(^|\n)usage: [\s\S]*$/i, "$1USAGE\n");
}

function contentsOf(directory: string): Readonly<Record<string, string>> {
  const found = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const names = found.map((entry) => join(entry.parentPath, entry.name)).sort();
  return Object.fromEntries(names.map((name) => [name.slice(directory.length + 1), sha256(readFileSync(name))]));
}

function expectSame(given: Case, ours: Outcome, theirs: Outcome): void {
  const compared = (outcome: Outcome) => {
    const { files: written, stderr, stdout, status } = outcome;
    return {
      status,
      ...(given.differs?.in !== "stdout" && { stdout }),
      ...(given.differs?.in !== "stderr" && { stderr }),
      ...(given.differs?.in !== "files" && { files: written }),
    };
  };
  if (given.differs?.in === "all") expect(ours).toMatchObject(given.differs.ours);
  else expect(compared(ours)).toEqual(compared(theirs));
}

const leftEmpty = {
  in: "files",
  because: "mkcomposefs leaves an empty image where it fails; we leave what was there",
} as const;

const creates: readonly Case[] = [
  ...[[], ["--use-epoch"], ["--skip-xattrs"], ["--user-xattrs"], ["--skip-devices"]].map((options) => ({
    words: [...options, "../tree", "x.img"],
  })),
  ...["0", "1"].map((version) => ({ words: [`--min-version=${version}`, "../tree", "x.img"] })),
  ...["0", "1"].map((version) => ({ words: [`--max-version=${version}`, "../tree", "x.img"] })),
  { words: ["--min-version=1", "--max-version=1", "../tree", "x.img"] },
  { words: ["--min-version=1", "--max-version=0", "../tree", "x.img"] },
  { words: ["--threads=1", "../tree", "x.img"] },
  { words: ["--threads", "4", "../tree", "x.img"] },
  { words: ["../devices", "x.img"] },
  { words: ["--skip-devices", "../devices", "x.img"] },
  { words: ["--digest-store=store", "../tree", "x.img"] },
  { words: ["--digest-store=new/deep/store", "--print-digest", "../tree", "x.img"] },
  { words: ["--digest-store=store", "--threads=1", "--use-epoch", "../tree", "x.img"] },
  { words: ["--digest-store=store", "--print-digest-only", "../tree"] },
  { words: ["--digest-store=store", "../plain/file", "x.img"], differs: leftEmpty },
  { words: ["--digest-store=store", "missing", "x.img"], differs: leftEmpty },
  { words: ["--digest-store=../plain/file", "../tree", "x.img"], differs: leftEmpty },
  { words: ["--digest-store=store", "--from-file", "../external.dump", "x.img"] },
  { words: ["--digest-store=", "../tree", "x.img"] },
  { words: ["--digest-store=store/", "../tree", "x.img"] },
  { words: ["--digest-store=store", "../devices", "x.img"] },
  { words: ["../tree", "x.img"], before: "echo old >y.img; ln -s y.img x.img" },
  { words: ["../tree", "x.img"], before: "ln -s new.img x.img" },
  { words: ["../tree", "x.img"], before: "echo old >x.img" },
  { words: ["--print-digest", "../tree", "x.img"] },
  { words: ["--print-digest", "../tree", "-"] },
  { words: ["--print-digest-only", "../tree"] },
  { words: ["--print-digest-only", "--print-digest", "../tree"] },
  { words: ["../tree", "-"] },
  { words: ["../tree", "x.img", "--print-digest"] },
  { words: ["--", "../tree", "x.img"] },
  { words: ["../tree-link/", "x.img"] },
  { words: ["../tree-link", "x.img"], differs: leftEmpty },
  { words: ["../plain/file", "x.img"], differs: leftEmpty },
  { words: ["missing", "x.img"], differs: leftEmpty },
  { words: ["../plain/file/below", "x.img"], differs: leftEmpty },
  { words: ["../missing/deep", "x.img"], differs: leftEmpty },
  { words: ["--print-digest-only", "missing"] },
  { words: ["--print-digest-only", "-"] },
  { words: ["", "x.img"], differs: leftEmpty },
  { words: ["../tree", "missing/x.img"] },
  { words: ["missing", "missing/x.img"] },
  { words: ["../tree", "../plain/file/x.img"] },
  { words: ["../tree", ".."] },
  { words: ["../tree", ""] },
  { words: ["--print-digest", "../tree", "/dev/null"] },
  { words: ["--skip-xattrs", "--user-xattrs", "../tree", "x.img"], differs: leftEmpty },
  { words: ["--from-file", "../good.dump", "x.img"] },
  { words: ["--from-file", "--print-digest", "../external.dump", "x.img"] },
  { words: ["--from-file", "--max-version=1", "../whiteout.dump", "x.img"] },
  { words: ["--from-file", "--min-version=1", "../xattr.dump", "x.img"] },
  { words: ["--from-file", "../dump-link", "x.img"] },
  { words: ["--from-file", "-", "x.img"], input: rootLine },
  { words: ["--from-file", "-", "-"], input: rootLine },
  { words: ["--from-file", "pipe", "x.img"], before: "mkfifo pipe; timeout 20 cat ../good.dump >pipe &" },
  { words: ["--from-file", "-", "x.img"], input: "", differs: leftEmpty },
  { words: ["--from-file", "--print-digest-only", "-"], input: rootLine },
  { words: ["--from-file", "../empty.dump", "x.img"], differs: leftEmpty },
  { words: ["--from-file", "../bad.dump", "x.img"], differs: leftEmpty },
  { words: ["--from-file", "../short.dump", "x.img"], differs: leftEmpty },
  { words: ["--from-file", "../no-newline.dump", "x.img"] },
  {
    words: ["--from-file", "../no-newline.dump", "x.img"],
    environment: { CFS_PARSE_STRICT: "1" },
    differs: leftEmpty,
  },
  { words: ["--from-file", "../tree", "x.img"], differs: leftEmpty },
  { words: ["--from-file", "missing", "x.img"], differs: leftEmpty },
  { words: ["--from-file", "missing", "missing/x.img"] },
  { words: ["--from-file", "../plain/file/below", "x.img"], differs: leftEmpty },
  { words: ["--min-version=2", "../tree", "x.img"], differs: leftEmpty },
  { words: ["--max-version=2", "../tree", "x.img"], differs: leftEmpty },
  { words: ["--min-version=-1", "../tree", "x.img"], differs: leftEmpty },
  { words: ["--max-version=-1", "../tree", "x.img"], differs: leftEmpty },
  { words: ["--min-version=99999999999", "../tree", "x.img"], differs: leftEmpty },
  ...["--min-version=x", "--max-version=1x", "--min-version=", "--threads=x", "--threads=0", "--threads=-1"].map(
    (option) => ({
      words: [option, "../tree", "x.img"],
    }),
  ),
  { words: ["--threads=99999999999999999999", "../tree", "x.img"] },
  { words: [] },
  { words: ["../tree"] },
  { words: ["../tree", "x.img", "y.img"] },
  { words: ["--print-digest-only", "../tree", "x.img"] },
  { words: ["--bogus", "../tree", "x.img"] },
  { words: ["-x", "../tree", "x.img"] },
  { words: ["--threads"] },
  { words: ["--digest-store"] },
  { words: ["--use-epoch=1", "../tree", "x.img"] },
  {
    words: ["--help"],
    differs: { in: "all", because: "asked for help, osdeploy gives it and succeeds", ours: { status: 0, stderr: "" } },
  },
];

const debugLine = {
  in: "stdout",
  because: 'composefs-info 1.0.8 prints a stray "Def" after what getopt refuses',
} as const;
const firstMistake = { in: "stderr", because: "of two mistakes each program tells another one first" } as const;
const ownLine = { in: "stderr", because: "composefs-info leaves out its name and the end of the line" } as const;
const emptyFile = {
  in: "stdout",
  because: "composefs-info 1.0.8 hashes a block for an empty file, and the kernel does not",
} as const;

const infos: readonly Case[] = [
  ...["dump", "ls", "objects", "missing-objects", "measure"].flatMap((command): readonly Case[] => [
    { words: [command, "../tree.img"] },
    { words: [command, "../plain.img", "../tree.img"] },
    { words: [command] },
    { words: [command, "missing"] },
    { words: [command, "../plain.img", "missing"] },
    { words: [command, "missing", "../plain.img"] },
    { words: [command, "../tree"], ...(command === "measure" && { differs: ownLine }) },
    { words: [command, "../plain.img", "../tree"], ...(command === "measure" && { differs: ownLine }) },
    { words: [command, "../plain/file"] },
    { words: [command, "../plain/file/below"] },
    { words: [command, "../empty.dump"], ...(command === "measure" && { differs: emptyFile }) },
    { words: [command, "../cut.img"] },
    { words: [command, "../zeros.img"] },
    { words: [command, "../image-link"] },
    { words: [command, "/dev/null"], ...(command === "measure" && { differs: emptyFile }) },
    { words: [command, "--filter=usr", "../tree.img"] },
    { words: [command, "--filter", "sub", "--filter=usr", "../tree.img"] },
    { words: [command, "--filter=missing", "../tree.img"] },
    { words: [command, "--filter=", "../tree.img"] },
    { words: [command, "--filter=a/b", "../tree.img"] },
    { words: [command, "--filter"], differs: debugLine },
    { words: [command, "--bogus", "../tree.img"], differs: debugLine },
    { words: [command, "--basedir=../objects", "../tree.img"] },
    { words: [command, "--basedir=../some-objects", "../tree.img"] },
    { words: [command, "--basedir=missing", "../tree.img"] },
    { words: [command, "--basedir=missing", "missing"] },
    { words: [command, "--basedir=../plain/file", "../tree.img"] },
    { words: [command, "--basedir=", "../tree.img"] },
    { words: [command, "--basedir=missing"], ...(command !== "measure" && { differs: firstMistake }) },
    { words: [command, "../tree.img", "--filter=sub"] },
  ]),
  { words: ["measure", "../plain/big", "../tree/usr/lib/70000", "../good.dump"] },
  { words: ["objects", "../tree.img", "../tree.img"] },
  { words: ["missing-objects", "--basedir=../objects", "../tree.img", "../tree.img"] },
  {
    words: ["missing-objects", "--basedir=objects", "../external.img"],
    before: "mkdir -p objects/ab; ln -s nowhere objects/ab/cd; ln -s x objects/x",
  },
  {
    words: ["missing-objects", "--basedir=objects", "../external.img"],
    before: "mkdir -p objects/ab; ln -s ../y objects/ab/cd; ln -s ab objects/x; touch objects/y",
  },
  ...["", "=x", "a b", "a=b", "it's", "lss", "-"].map((command) => ({ words: [command, "../tree.img"] })),
  ...["--xx=3", "--a'b", "--x<y>", "-x", "-xyz"].flatMap((option) => [
    { words: ["ls", option, "../tree.img"], differs: debugLine },
    { words: [option, "ls", "../tree.img"], differs: debugLine },
  ]),
  { words: ["--basedir=../objects", "missing-objects", "../tree.img"] },
  { words: ["--basedir", "missing", "missing-objects", "--basedir=../some-objects", "../tree.img"] },
  { words: ["--filter=usr", "ls", "--filter", "sub", "../tree.img"] },
  { words: ["--filter=a/b", "ls", "../tree.img"] },
  { words: ["--filter"], differs: debugLine },
  { words: ["--basedir=../objects"] },
];

function nameOf({ words, input, environment, before: script, differs }: Case): string {
  const before = Object.entries(environment ?? {}).map(([name, value]) => `${name}=${value} `);
  const after = input === undefined ? "" : ` < ${JSON.stringify(input.slice(0, 20))}`;
  const why = differs === undefined ? "" : ` [${differs.in} differ: ${differs.because}]`;
  if (script !== undefined) before.push(`${script}; `);
  return `${before.join("")}${words.map((word) => (word === "" ? '""' : word)).join(" ")}${after}${why}`;
}

describe.skipIf(missing.length > 0)(`osdeploy composefs stands in for mkcomposefs${absent}`, () => {
  test.each(creates.map((given) => [nameOf(given), given] as const))("create %s", (_name, given) => {
    const ours = runIn("ours", osdeployCommand("composefs", "create", ...given.words), given);
    const theirs = runIn("theirs", [String(tools.mkcomposefs), ...given.words], given);
    expectSame(given, ours, theirs);
  });
});

describe.skipIf(missing.length > 0)(`osdeploy composefs stands in for composefs-info${absent}`, () => {
  test.each(infos.map((given) => [nameOf(given), given] as const))("%s", (_name, given) => {
    const ours = runIn("ours", osdeployCommand("composefs", ...given.words), given);
    const [command = "", ...words] = given.words;
    const theirCommand = command === "measure" ? "measure-file" : command;
    const theirs = runIn("theirs", [String(tools["composefs-info"]), theirCommand, ...words], given);
    expectSame(given, ours, theirs);
  });
});
