import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { type DiskStep, ownedByRoot } from "../../../src/core/disk/disk-step.ts";
import { uuidOfSeed } from "../../../src/core/disk/uuid.ts";
import { makeExt4 } from "../../../src/disk/ext4-file-system.ts";
import { ScratchFiles } from "../../../src/disk/scratch-files.ts";
import type { LinuxPrograms } from "../../../src/linux/linux.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const xattrs = new Map([[fromText("security.capability"), fromText("cap")]]);
const step = { path: fromText("d"), stat: ownedByRoot(0o755, 1), xattrs, content: { kind: "directory" } } as const;

const two: readonly DiskStep[] = [step, { ...step, path: fromText("e") }];

function make(run: LinuxPrograms["run"], isSparse = true, steps = two): FakeLinux {
  const linux = new FakeLinux({ runProgram: run });
  linux.files.makeDirectory(fromText("/scratch"), 0o700);
  makeExt4(linux, {
    target: fromText("/disk"),
    offsetBytes: 1024,
    sizeBytes: 65_536_000,
    uuid: uuidOfSeed("root"),
    label: "root",
    time: 1,
    isSparse,
    steps,
    scratch: new ScratchFiles(linux.files, fromText("/scratch")),
  });
  return linux;
}

function saying(stderr: string): LinuxPrograms["run"] {
  return ([program]) => ({ status: 0, stdout: new Uint8Array(0), stderr: program === "debugfs" ? stderr : "" });
}

test("makeExt4: hands the tools all that could differ between machines", () => {
  const seen: { readonly words: readonly string[]; readonly environment: unknown; readonly input: string }[] = [];
  const linux = make((words, { environment, input } = {}) => {
    seen.push({ words, environment, input: new TextDecoder().decode(input) });
    return { status: 0, stdout: new Uint8Array(0), stderr: "debugfs 1.47.0 (5-Feb-2023)\n" };
  });
  expect(seen.map(({ words }) => words[0])).toEqual(["mkfs.ext4", "debugfs", "e2fsck"]);
  const uuid = uuidOfSeed("root");
  const extended = `offset=1024,hash_seed=${uuid},lazy_itable_init=0,root_owner=0:0,nodiscard`;
  expect(seen[0]?.words.slice(1)).toEqual([
    "-q",
    "-F",
    "-b",
    "4096",
    "-N",
    "4000",
    "-U",
    uuid,
    "-L",
    "root",
    "-E",
    extended,
    "/disk",
    "64000k",
  ]);
  const own = { E2FSPROGS_FAKE_TIME: "1", SOURCE_DATE_EPOCH: "1", MKE2FS_CONFIG: "/scratch/value-0", TZ: "UTC" };
  for (const { environment } of seen) expect(environment).toEqual(own);
  expect(seen[1]?.words.slice(1)).toEqual(["-w", "-f", "-", "/disk?offset=1024"]);
  expect(seen[1]?.input).toContain('mkdir "d"');
  expect(seen[2]?.words.slice(1)).toEqual(["-fn", "/disk?offset=1024"]);
  // One file for one value, however often it comes.
  expect(linux.files.readDirectory(fromText("/scratch"))).toEqual(["value-0", "value-1"]);
});

test("makeExt4: many small files get inodes, with as many again for what comes later", () => {
  const words: string[] = [];
  const steps = Array.from({ length: 3000 }, (_, index) => ({ ...step, path: fromText(`d${index}`) }));
  make(
    (all) => {
      words.push(...all);
      return { status: 0, stdout: new Uint8Array(0), stderr: "" };
    },
    true,
    steps,
  );
  expect(words.join(" ")).toContain(" -N 6000 ");
});

test("makeExt4: on a disk the kernel may fill the inode tables later", () => {
  const words: string[] = [];
  make((all) => {
    words.push(...all);
    return { status: 0, stdout: new Uint8Array(0), stderr: "" };
  }, false);
  expect(words.join(" ")).toContain("lazy_itable_init=1");
});

test("makeExt4: whatever debugfs complains of is an error, for it always ends with status 0", () => {
  const complaint = "debugfs 1.47.0 (5-Feb-2023)\nmkdir: Ext2 directory already exists \u001b[0mx\nmore\n";
  expect(() => make(saying(complaint))).toThrow(
    expect.objectContaining({
      code: "system",
      message: "Cannot install: debugfs says: mkdir: Ext2 directory already exists  [0mx",
    }),
  );
  const full = "write: Could not allocate block in ext2 filesystem while reading\n";
  expect(() => make(saying(full))).toThrow(expect.objectContaining({ code: "no-space", facts: { complaints: 1 } }));
  const host = "./object: No space left on device \n";
  const facts = { complaints: 1, hint: expect.stringContaining("make room there") };
  expect(() => make(saying(host))).toThrow(expect.objectContaining({ code: "no-space", facts }));
});
