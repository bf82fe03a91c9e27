import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type ByteString, fromBytes, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { parseObjectId } from "../../../src/core/digest/object-id.ts";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import type { Directory, Inode } from "../../../src/core/tree/inode.ts";
import { type EtcStep, mergeEtc } from "../../../src/core/tree/merge-etc.ts";
import type { ContentSource } from "../../../src/linux/file-content.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { removeTree } from "../../../src/linux/remove-tree.ts";
import { formatOrigin, parseOrigin } from "../../../src/sysroot/origin-file.ts";
import {
  listUnfinished,
  type NewState,
  readDeploymentDirectories,
  removeStateDirectories,
  writeOrigin,
  writeStateDirectory,
} from "../../../src/sysroot/state-directory.ts";
import { type SysrootPaths, sysrootPaths } from "../../../src/sysroot/sysroot-paths.ts";
import { directory, file, special, symlink } from "../../builders/file-trees.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const rootImage = parseObjectId("ab".repeat(64), "sha512");
const origin = {
  imageReference: "docker://registry.example/os:1",
  manifestDigest: parseManifestDigest(`sha256:${"12".repeat(32)}`),
  bootDigest: "34".repeat(32),
  verifiedBy: [],
  sealedBy: [],
};

const text = fromText;
const withCode = (code: string) => expect.objectContaining({ code });

/** Directory with a little of everything; the names are text. */
const etc = directory(
  {
    hosts: file("127.0.0.1\n", { permissions: 0o640, uid: 3, gid: 4, mtimeSeconds: 1_000n, mtimeNanoseconds: 5 }),
    shadow: file("secret", { permissions: 0 }, new Map([[text("user.note"), fromBytes(Uint8Array.of(0, 255, 10))]])),
    setuid: file("program", { permissions: 0o4755, uid: 9 }),
    localtime: symlink("../usr/share/zoneinfo/UTC"),
    conf: directory({ deep: directory({ file: file("x") }, { permissions: 0o2770, mtimeSeconds: 77n }) }),
    pipe: special("fifo"),
    null: special("character-device", 0x0103),
  },
  { permissions: 0o751, mtimeSeconds: -5n, mtimeNanoseconds: 999_999_999 },
);

function stepsOf(root: Directory): readonly EtcStep[] {
  return mergeEtc({ pristine: { root }, host: { root }, image: { root } }).steps;
}

function contentOf({ inode }: EtcStep): ContentSource {
  if (inode.kind !== "regular" || inode.content.kind !== "inline") throw new Error("These files are inline");
  return { kind: "bytes", bytes: toBytes(inode.content.bytes) };
}

function newState(changes: Partial<NewState> = {}): NewState {
  const seed = directory({ lib: directory({ state: file("of the image", { uid: 7 }) }) });
  return { rootImage, origin, etc: stepsOf(etc), var: stepsOf(seed), addedToVar: [], contentOf, ...changes };
}

/** What lies at `path`, in the words of a tree. */
function readInode(files: LinuxFiles, path: ByteString): unknown {
  const { kind, permissions, uid, gid, mtimeSeconds, mtimeNanoseconds, rdev } = files.lstat(path);
  const stat = { permissions, uid, gid, mtimeSeconds, mtimeNanoseconds };
  const xattrs = Object.fromEntries(files.xattrs(path));
  switch (kind) {
    case "directory": {
      const entries = files.readDirectory(path).map((name) => [name, readInode(files, text(`${path}/${name}`))]);
      return { kind, stat, xattrs, entries: Object.fromEntries(entries) };
    }
    case "regular":
      return { kind, stat, xattrs, content: fromBytes(files.readFile(path, 1000)) };
    case "symlink":
      return { kind, stat: { ...stat, permissions: 0o777 }, xattrs, target: files.readLink(path) };
    default:
      return { kind, stat, xattrs, rdev };
  }
}

function expected(inode: Inode): unknown {
  const { kind, stat } = inode;
  const common = { kind, stat, xattrs: Object.fromEntries(inode.xattrs) };
  switch (kind) {
    case "directory":
      return {
        ...common,
        entries: Object.fromEntries([...inode.entries].map(([name, child]) => [name, expected(child)])),
      };
    case "regular":
      return { ...common, content: inode.content.kind === "inline" ? inode.content.bytes : undefined };
    case "symlink":
      return { ...common, target: inode.target };
    default:
      return { ...common, rdev: inode.rdev };
  }
}

const temporary = mkdtempSync(join(tmpdir(), "state-directory-"));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));
const isRoot = process.getuid?.() === 0;

describe.each(["fake", "live"] as const)("on the %s Linux", (kind) => {
  const skipped = kind === "live" && !isRoot;
  test.skipIf(skipped)(
    `writeStateDirectory: everything of /etc comes out as it was${skipped ? " (skipped: needs root)" : ""}`,
    () => {
      const { files } = kind === "fake" ? new FakeLinux() : openLinux();
      const root = text(kind === "fake" ? "/target" : join(temporary, "target"));
      files.makeDirectory(root, 0o755);
      const paths = sysrootPaths(root);
      writeStateDirectory(files, paths, newState(), text("1"));
      const target = `${root}/state/deploy/${rootImage}`;
      expect(files.readDirectory(text(target))).toEqual([`${rootImage}.origin`, "etc", "var"]);
      expect(readInode(files, text(`${target}/etc`))).toEqual(expected(etc));
      expect(files.readLink(text(`${target}/var`))).toBe("../../os/default/var");
      expect(fromBytes(files.readFile(text(`${target}/var/lib/state`), 100))).toBe("of the image");
      expect(files.lstat(text(`${target}/var/lib/state`)).uid).toBe(7);
      const written = new TextDecoder().decode(files.readFile(text(`${target}/${rootImage}.origin`), 1000));
      expect(parseOrigin(written)).toEqual(origin);
      expect(readDeploymentDirectories(files, paths)).toEqual([{ rootImage, origin }]);
    },
  );
});

function machine(): { linux: FakeLinux; files: LinuxFiles; paths: SysrootPaths } {
  const linux = new FakeLinux();
  linux.files.makeDirectory(text("/target"), 0o755);
  return { linux, files: linux.files, paths: sysrootPaths(text("/target")) };
}

const other = parseObjectId("cd".repeat(64), "sha512");

describe("writeStateDirectory", () => {
  test("seeds the shared /var once, and never touches it again", () => {
    const { files, paths } = machine();
    writeStateDirectory(files, paths, newState(), text("1"));
    files.unlink(text("/target/state/os/default/var/lib/state"));
    const seed = stepsOf(directory({ lib: directory({}), more: file("of the second image") }));
    writeStateDirectory(files, paths, newState({ rootImage: other, var: seed }), text("2"));
    expect(files.readDirectory(paths.sharedVar)).toEqual(["lib"]);
    expect(files.readDirectory(text("/target/state/os/default/var/lib"))).toEqual([]);
    expect(files.readLink(text(`/target/state/deploy/${other}/var`))).toBe("../../os/default/var");
  });

  test("what is added to /var gets into one that is there as well, where nothing has its name", () => {
    const { files, paths } = machine();
    const path = (name: string) => text(`/target/state/os/default/var/${name}`);
    const added = stepsOf(directory({ home: directory({ keys: file("mine") }, { permissions: 0o700 }) })).slice(1);
    const changes = { var: stepsOf(directory({ home: directory({}) })), addedToVar: added };
    writeStateDirectory(files, paths, newState(changes), text("1"));
    expect(fromBytes(files.readFile(path("home/keys"), 10))).toBe("mine");
    removeTree(files, path("home"));
    // What a stopped run left.
    files.makeDirectory(path("home.osdeploy-new"), 0o755);
    writeStateDirectory(files, paths, newState(changes), text("2"));
    expect(files.readDirectory(paths.sharedVar)).toEqual(["home"]);
    expect(files.lstat(path("home")).permissions).toBe(0o700);
    expect(files.readDirectory(path("home"))).toEqual(["keys"]);
    files.unlink(path("home/keys"));
    files.writeNewFile(path("home/keys"), toBytes(text("theirs")), 0o600);
    writeStateDirectory(files, paths, newState(changes), text("3"));
    expect(fromBytes(files.readFile(path("home/keys"), 10))).toBe("theirs");
    removeTree(files, path("home"));
    files.symlink(text("/elsewhere"), path("home"));
    expect(() => writeStateDirectory(files, paths, newState(changes), text("4"))).toThrow(
      'Cannot add to "/target/state/os/default/var/home": it is a symlink, and no directory',
    );
  });

  test("replaces one that is there, and leaves nothing of it", () => {
    const { files, paths } = machine();
    writeStateDirectory(files, paths, newState(), text("1"));
    files.unlink(text(`/target/state/deploy/${rootImage}/etc/hosts`));
    files.writeNewFile(text(`/target/state/deploy/${rootImage}/etc/more`), new Uint8Array(), 0o644);
    writeStateDirectory(files, paths, newState(), text("2"));
    expect(readInode(files, text(`/target/state/deploy/${rootImage}/etc`))).toEqual(expected(etc));
    expect(files.readDirectory(paths.deployments)).toEqual([rootImage]);
  });

  test("is durable before it has its name", () => {
    const { linux, files, paths } = machine();
    writeStateDirectory(files, paths, newState(), text("1"));
    const after = linux.crash({ keepUnsynced: false, names: "lost" });
    expect(readInode(after.files, text(`/target/state/deploy/${rootImage}/etc`))).toEqual(expected(etc));
    expect(readDeploymentDirectories(after.files, paths)).toEqual([{ rootImage, origin }]);
  });

  test("copies large files from where they lie, and clones them where the file system can", () => {
    for (const clone of [false, true]) {
      const linux = new FakeLinux({ clone });
      const { files } = linux;
      const bytes = new Uint8Array(700_000).map((_, index) => index % 251);
      files.makeDirectory(text("/target"), 0o755);
      files.writeNewFile(text("/large"), bytes, 0o644);
      const steps = stepsOf(directory({ large: file("", { permissions: 0o604 }) }));
      const state = newState({
        etc: steps,
        contentOf: () => ({ kind: "file", path: text("/large") }),
        var: stepsOf(directory({})),
      });
      writeStateDirectory(files, sysrootPaths(text("/target")), state, text("1"));
      const copy = text(`/target/state/deploy/${rootImage}/etc/large`);
      expect(Buffer.compare(files.readFile(copy, 1 << 20), bytes)).toBe(0);
      expect(files.lstat(copy)).toMatchObject({ permissions: 0o604, nlink: 1 });
    }
  });

  test("a file of the host's that is gone by then is left out; a missing one of the image's is an error", () => {
    const { files, paths } = machine();
    const both = stepsOf(directory({ gone: file("x"), kept: file("y") }));
    const source = (step: EtcStep): ContentSource =>
      step.path === "gone" ? { kind: "file", path: text("/nowhere") } : contentOf(step);
    const ofHost = both.map((step) => ({ ...step, from: "host" as const }));
    writeStateDirectory(files, paths, newState({ etc: ofHost, contentOf: source }), text("1"));
    expect(files.readDirectory(text(`/target/state/deploy/${rootImage}/etc`))).toEqual(["kept"]);
    const write = () => writeStateDirectory(files, paths, newState({ etc: both, contentOf: source }), text("2"));
    expect(write).toThrow(withCode("not-found"));
    // Nor is a directory left out to which a file of the host's cannot be written.
    const lost = ofHost.filter(({ path }) => path !== "").map((step) => ({ ...step, path: text(`no/${step.path}`) }));
    const there: ContentSource = { kind: "file", path: text("/there") };
    files.writeNewFile(text("/there"), new Uint8Array(1), 0o644);
    const toNowhere = newState({ etc: lost, contentOf: () => there });
    expect(() => writeStateDirectory(files, paths, toNowhere, text("3"))).toThrow(withCode("not-found"));
  });

  test("what does not fit leaves nothing", () => {
    const { linux: base, paths } = machine();
    const whole = base.crash({ keepUnsynced: true });
    writeStateDirectory(whole.files, paths, newState(), text("1"));
    const last = whole.trace.findIndex(({ path }) => path.endsWith(".new-1/etc/shadow"));
    expect(last).toBeGreaterThan(0);
    const { files } = base.crash({ keepUnsynced: true }, { failAt: last + 1, fault: "ENOSPC" });
    expect(() => writeStateDirectory(files, paths, newState(), text("1"))).toThrow(withCode("no-space"));
    expect(files.readDirectory(paths.deployments)).toEqual([]);
    // What cannot be removed is no other error, and goes with the next run.
    const unremovable = {
      ...files,
      removeDirectory: () => {
        throw new OsdeployError("system", "Cannot remove it");
      },
    };
    const etcOfNothing = () => ({ kind: "file", path: text("/nowhere") }) as const;
    const failing = newState({ contentOf: etcOfNothing, var: [] });
    expect(() => writeStateDirectory(unremovable, paths, failing, text("2"))).toThrow(withCode("not-found"));
  });

  test("a name in bytes that are no text stays as it is", () => {
    const { files, paths } = machine();
    const name = fromBytes(Uint8Array.of(0xff, 0x0a, 0x41));
    const root: Directory = { ...directory({}), entries: new Map([[name, file("odd")]]) };
    writeStateDirectory(files, paths, newState({ etc: stepsOf(root) }), text("1"));
    expect(files.readDirectory(text(`/target/state/deploy/${rootImage}/etc`))).toEqual([name]);
  });
});

describe("readDeploymentDirectories", () => {
  test("passes over what is no root image's name, and is empty without a directory", () => {
    const { files, paths } = machine();
    expect(readDeploymentDirectories(files, paths)).toEqual([]);
    writeStateDirectory(files, paths, newState(), text("1"));
    for (const name of [".new-2", "notes", "ab".repeat(20), "AB".repeat(32), `${rootImage}.old`, `x${rootImage}`]) {
      files.makeDirectory(text(`/target/state/deploy/${name}`), 0o755);
    }
    expect(readDeploymentDirectories(files, paths).map((found) => found.rootImage)).toEqual([rootImage]);
  });

  test.each([
    ["missing", undefined],
    ["no origin file", "hello"],
    ["empty", ""],
    ["far too long", "x".repeat(70_000)],
  ])("keeps a deployment whose origin is %s, without origin", (_, content) => {
    const { files, paths } = machine();
    writeStateDirectory(files, paths, newState(), text("1"));
    const path = text(`/target/state/deploy/${rootImage}/${rootImage}.origin`);
    files.unlink(path);
    if (content !== undefined) files.writeNewFile(path, toBytes(text(content)), 0o644);
    expect(readDeploymentDirectories(files, paths)).toEqual([{ rootImage, origin: undefined }]);
  });

  test.each([65_536, 65_537])("64 KiB of an origin are read, and no more; one has %i bytes", (bytes) => {
    const { files, paths } = machine();
    writeStateDirectory(files, paths, newState(), text("1"));
    const path = text(`/target/state/deploy/${rootImage}/${rootImage}.origin`);
    const whole = formatOrigin(origin).padEnd(bytes, "\n");
    files.unlink(path);
    files.writeNewFile(path, toBytes(text(whole)), 0o644);
    const read = bytes % 2 === 0 ? origin : undefined;
    expect(readDeploymentDirectories(files, paths)).toEqual([{ rootImage, origin: read }]);
  });

  test("an origin that the disk does not give back hides no deployment", () => {
    const { files, paths } = machine();
    writeStateDirectory(files, paths, newState(), text("1"));
    const path = text(`/target/state/deploy/${rootImage}/${rootImage}.origin`);
    files.unlink(path);
    files.makeDirectory(path, 0o755);
    expect(readDeploymentDirectories(files, paths)).toEqual([{ rootImage, origin: undefined }]);
  });
});

describe("writeOrigin", () => {
  const changed = { ...origin, imageReference: "docker://registry.example/another/os:2" };

  test("lets a deployment follow something else, durable, and leaves its /etc alone", () => {
    const { linux, files, paths } = machine();
    writeStateDirectory(files, paths, newState(), text("1"));
    const hosts = text(`/target/state/deploy/${rootImage}/etc/hosts`);
    files.unlink(hosts);
    writeOrigin(files, paths, { rootImage, origin: changed }, text("2"));
    const after = linux.crash({ keepUnsynced: false, names: "lost" }).files;
    expect(readDeploymentDirectories(after, paths)).toEqual([{ rootImage, origin: changed }]);
    expect(files.lstatIfExists(hosts)).toBeUndefined();
    expect(files.readDirectory(paths.deployments)).toEqual([rootImage]);
  });

  test("a crash at any moment leaves the old origin or the new one", () => {
    const whole = machine();
    writeStateDirectory(whole.files, whole.paths, newState(), text("1"));
    const durable = whole.linux.crash({ keepUnsynced: false, names: "lost" });
    const before = durable.trace.length;
    const write = ({ files }: FakeLinux) => writeOrigin(files, whole.paths, { rootImage, origin: changed }, text("2"));
    const calls = (linux: FakeLinux) => linux.trace.length - before;
    write(durable);
    const origins = [origin, changed].map((each) => [{ rootImage, origin: each }]);
    for (let failAt = 1; failAt <= calls(durable); failAt++) {
      const crashing = whole.linux.crash({ keepUnsynced: false, names: "lost" }, { failAt });
      expect(() => write(crashing)).toThrow();
      for (const names of ["lost", "kept"] as const) {
        const { files } = crashing.crash({ keepUnsynced: false, names });
        expect(origins).toContainEqual(readDeploymentDirectories(files, whole.paths));
      }
    }
  });

  test("writes nothing when it says so already", () => {
    const { linux, files, paths } = machine();
    writeStateDirectory(files, paths, newState(), text("1"));
    const calls = linux.trace.length;
    writeOrigin(files, paths, { rootImage, origin }, text("2"));
    expect(linux.trace.slice(calls)).toEqual([]);
  });
});

test("removeStateDirectories: takes deployments away at once, durable, and leaves the others and the shared /var", () => {
  const { linux, files, paths } = machine();
  writeStateDirectory(files, paths, newState(), text("1"));
  writeStateDirectory(files, paths, newState({ rootImage: other }), text("2"));
  removeStateDirectories(files, paths, [rootImage], () => text("3"));
  expect(files.readDirectory(paths.deployments)).toEqual([other]);
  expect(files.readDirectory(paths.sharedVar)).toEqual(["lib"]);
  const after = linux.crash({ keepUnsynced: false, names: "lost" }).files;
  expect(readDeploymentDirectories(after, paths).map((found) => found.rootImage)).toEqual([other]);
  const calls = linux.trace.length;
  removeStateDirectories(files, paths, [], () => text("4"));
  expect(linux.trace.slice(calls)).toEqual([]);
});

test("removeStateDirectories, writeStateDirectory: what cannot be removed is told, and is no deployment", () => {
  const { linux, files, paths } = machine();
  writeStateDirectory(files, paths, newState(), text("1"));
  const calls = linux.trace.length;
  removeStateDirectories(files, paths, [rootImage], () => text("2"));
  const removal = linux.trace.slice(calls).findIndex(({ call }) => call === "unlink");
  expect(removal).toBeGreaterThan(0);
  const again = machine();
  writeStateDirectory(again.files, paths, newState(), text("1"));
  const failing = again.linux.crash({ keepUnsynced: true }, { failAt: removal + 1, fault: "EIO" });
  const left = removeStateDirectories(failing.files, paths, [rootImage], () => text("2"));
  expect(left).toEqual([expect.objectContaining({ code: "system" })]);
  expect(readDeploymentDirectories(failing.files, paths)).toEqual([]);
  expect(writeStateDirectory(failing.files, paths, newState(), text("3"))).toEqual([]);
  expect(writeStateDirectory(failing.files, paths, newState(), text("4"))).toEqual([]);
  expect(listUnfinished(failing.files, paths)).toEqual(["/target/state/deploy/.gone-2"]);
});

test("removeStateDirectories: a deployment that chattr +i protects goes", () => {
  const { linux, files, paths } = machine();
  writeStateDirectory(files, paths, newState(), text("1"));
  linux.protect(text(`/target/state/deploy/${rootImage}`));
  linux.protect(text(`/target/state/deploy/${rootImage}/etc/hosts`));
  expect(removeStateDirectories(files, paths, [rootImage], () => text("2"))).toEqual([]);
  expect(files.readDirectory(paths.deployments)).toEqual([]);
});

test("listUnfinished: names what is half-made and half-removed", () => {
  const { files, paths } = machine();
  expect(listUnfinished(files, paths)).toEqual([]);
  writeStateDirectory(files, paths, newState(), text("1"));
  files.makeDirectory(text("/target/state/deploy/.new-9"), 0o755);
  files.writeNewFile(text("/target/state/os/default/.new-8"), new Uint8Array(), 0o644);
  expect(listUnfinished(files, paths)).toEqual(["/target/state/deploy/.new-9", "/target/state/os/default/.new-8"]);
});
