import { describe, expect, test } from "vitest";
import { type ByteString, fromBytes, fromText } from "../../../src/core/bytes/byte-string.ts";
import type { Linux } from "../../../src/linux/linux.ts";
import { removeTree } from "../../../src/linux/remove-tree.ts";
import { finalizeStaged } from "../../../src/operations/finalize-staged.ts";
import { systemOn } from "../../builders/operation-machine.ts";
import { buildOsImage, content } from "../../builders/os-images.ts";
import { physicalRoot, runningMachine, stateOf, switchRunning, writeText } from "../../builders/running-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const config = (mount: string) => [
  { path: "usr/lib/composefs" },
  { path: "usr/lib/composefs/setup-root-conf.toml", content: `[etc]\nmount = "${mount}"\n` },
];
/** As long as what is kept with its name in a root image; a byte more lies in an object of its own. */
const edgeOf = (version: string) => version.padEnd(64, ".");
const etcOf = (version: string) => [
  { path: "etc/edge", content: edgeOf(version) },
  { path: "etc/new.conf", content: `new in ${version}\n` },
  { path: "etc/dir" },
  { path: "etc/dir/a", content: content(`a of ${version}`) },
  { path: "etc/dir/b", content: "b\n" },
];
const ownInitramfs = [
  ...["usr/lib/osdeploy", "usr/lib/osdeploy/boot"].map((path) => ({ path })),
  { path: "usr/lib/osdeploy/boot/setup-root", content: "#!/bin/sh\n" },
];

const images = {
  v1: await buildOsImage("v1", etcOf("v1")),
  v2: await buildOsImage("v2", etcOf("v2")),
  overlaid1: await buildOsImage("v1", [...etcOf("v1"), ...config("overlay")]),
  overlaid2: await buildOsImage("v2", [...etcOf("v2"), ...config("overlay")]),
  // Say nothing, and have osdeploy's own initramfs, which mounts a directory then.
  ours: await buildOsImage("v1", [...etcOf("v2"), ...ownInitramfs]),
  ours2: await buildOsImage("v2", [...etcOf("v2"), ...ownInitramfs]),
  bound: await buildOsImage("v2", [...etcOf("v2"), ...config("bind")]),
};
type Tag = keyof typeof images;

const bootedEtc = (linux: FakeLinux) => `/sysroot/state/deploy/${stateOf(linux).booted?.rootImage}/etc`;
const text = (linux: FakeLinux, path: string) => fromBytes(linux.files.readFile(fromText(path), 1_000_000));
const namesIn = (linux: FakeLinux, path: string) => linux.files.readDirectory(fromText(path));

/** A machine that runs this image with an /etc of which the initramfs has made an overlay. */
async function overlaidMachine(tag: Tag): Promise<FakeLinux> {
  const linux = await runningMachine(images, tag);
  const etc = bootedEtc(linux);
  removeTree(linux.files, fromText(etc));
  for (const path of ["", "/upper", "/work", "/upper/dir"]) linux.files.makeDirectory(fromText(`${etc}${path}`), 0o755);
  linux.files.setXattr(fromText(`${etc}/upper/dir`), fromText("trusted.overlay.impure"), fromText("y"));
  writeText(linux, `${etc}/upper/local.conf`, content("local"));
  writeText(linux, `${etc}/upper/dir/a`, "mine\n");
  linux.files.makeNode(fromText(`${etc}/upper/dir/b`), "character-device", { permissions: 0, rdev: 0 });
  return linux;
}

/** The /etc of what boots next, once that was staged and committed. */
async function upgrade(linux: FakeLinux, tag: Tag): Promise<string> {
  const { rootImage } = await switchRunning(linux, tag);
  await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
  return `/sysroot/state/deploy/${rootImage}/etc`;
}

describe("mergeHostEtc of an overlay", () => {
  test.each<[Tag, Tag]>([
    ["v1", "v2"],
    ["overlaid1", "overlaid2"],
    ["v1", "overlaid2"],
    ["ours", "ours2"],
  ])("%s to %s: only what was changed goes over, to an upper directory again", async (from, to) => {
    const linux = await overlaidMachine(from);
    const etc = await upgrade(linux, to);
    expect(namesIn(linux, etc)).toEqual(["upper", "work"]);
    expect(namesIn(linux, `${etc}/work`)).toEqual([]);
    expect(["", "/work"].map((name) => linux.files.lstat(fromText(`${etc}${name}`)).permissions)).toEqual([
      0o755, 0o700,
    ]);
    expect(namesIn(linux, `${etc}/upper`)).toEqual(["dir", "local.conf"]);
    expect(namesIn(linux, `${etc}/upper/dir`)).toEqual(["a", "b"]);
    expect(text(linux, `${etc}/upper/local.conf`)).toBe(content("local"));
    expect(text(linux, `${etc}/upper/dir/a`)).toBe("mine\n");
    expect(linux.files.lstat(fromText(`${etc}/upper/dir/b`))).toMatchObject({ kind: "character-device", rdev: 0 });
    expect([...linux.files.xattrs(fromText(`${etc}/upper/dir`)).keys()]).toEqual([]);
  });

  test.each<[string, Tag, Tag]>([
    ["that wants /etc as a whole", "overlaid1", "bound"],
    ["that drops the wish for an overlay and has osdeploy's initramfs", "overlaid1", "ours2"],
    ["that has osdeploy's initramfs as the first one", "v1", "ours2"],
  ])("an image %s gets the merge as a whole", async (_, from, to) => {
    const linux = await overlaidMachine(from);
    const etc = await upgrade(linux, to);
    expect(text(linux, `${etc}/passwd`)).toBe(content("root:x:0:0\n"));
    expect(namesIn(linux, etc)).toContain("new.conf");
    expect(text(linux, `${etc}/new.conf`)).toBe("new in v2\n");
    expect(text(linux, `${etc}/local.conf`)).toBe(content("local"));
    expect(namesIn(linux, `${etc}/dir`)).toEqual(["a"]);
    expect(text(linux, `${etc}/dir/a`)).toBe("mine\n");
  });

  test("refuses an image that drops the wish and has an initramfs that nobody knows", async () => {
    const linux = await overlaidMachine("overlaid1");
    await expect(switchRunning(linux, "v2")).rejects.toMatchObject({
      code: "unsupported",
      message:
        "Cannot make /etc for this image: the image before has an overlay by /usr/lib/composefs/setup-root-conf.toml, and this one does not say what it has",
    });
    expect(stateOf(linux).staged).toBeUndefined();
  });

  test("from an /etc as a whole to an image that wants an overlay, only the changes go over", async () => {
    const linux = await runningMachine(images, "v1");
    writeText(linux, `${bootedEtc(linux)}/local.conf`, content("local"));
    linux.files.unlink(fromText(`${bootedEtc(linux)}/new.conf`));
    const etc = await upgrade(linux, "overlaid2");
    expect(namesIn(linux, `${etc}/upper`)).toEqual(["local.conf", "new.conf"]);
    expect(text(linux, `${etc}/upper/local.conf`)).toBe(content("local"));
    expect(linux.files.lstat(fromText(`${etc}/upper/new.conf`)).kind).toBe("character-device");
  });

  test("what was installed as a whole and is mounted as an overlay has changes in its upper directory only", async () => {
    const linux = await runningMachine(images, "overlaid1");
    const etc = bootedEtc(linux);
    for (const name of ["upper", "work"]) removeTree(linux.files, fromText(`${etc}/${name}`));
    writeText(linux, `${etc}/passwd`, "of the installation\n");
    // The initramfs made no upper directory yet: nothing was changed.
    expect(namesIn(linux, `${await upgrade(linux, "overlaid2")}/upper`)).toEqual([]);
  });

  test("tells where the host and the image changed the same file", async () => {
    const linux = await overlaidMachine("v1");
    const staged = await switchRunning(linux, "v2");
    expect(staged).toMatchObject({ kind: "staged", etcConflicts: [expect.objectContaining({ path: "dir/a" })] });
  });

  test("an /etc as a whole stays one, whatever directories somebody has made in it", async () => {
    const linux = await runningMachine(images, "v1");
    for (const name of ["upper", "work"]) linux.files.makeDirectory(fromText(`${bootedEtc(linux)}/${name}`), 0o755);
    writeText(linux, `${bootedEtc(linux)}/upper/mine`, "mine\n");
    const etc = await upgrade(linux, "v2");
    expect(text(linux, `${etc}/passwd`)).toBe(content("root:x:0:0\n"));
    expect(text(linux, `${etc}/upper/mine`)).toBe("mine\n");
  });

  test("refuses what only the kernel understands, and stages nothing", async () => {
    const linux = await overlaidMachine("v1");
    const directory = fromText(`${bootedEtc(linux)}/upper/dir`);
    linux.files.setXattr(directory, fromText("trusted.overlay.redirect"), fromText("old"));
    await expect(switchRunning(linux, "v2")).rejects.toMatchObject({
      code: "unsupported",
      message:
        "Cannot merge /etc/dir: its upper directory needs the overlay's redirect, which only the kernel resolves",
    });
    expect(stateOf(linux).staged).toBeUndefined();
  });
});

test("mergeHostEtc: the host's files keep their times, and one that got a second name is not changed by that", async () => {
  const linux = await runningMachine(images, "v1");
  const etc = bootedEtc(linux);
  writeText(linux, `${etc}/local.conf`, content("local"));
  linux.files.setTime(fromText(`${etc}/local.conf`), 1_234_567n, 89);
  linux.files.link(fromText(`${etc}/motd`), fromText(`${etc}/motd.before`));
  const merged = await upgrade(linux, "v2");
  const time = { mtimeSeconds: 1_234_567n, mtimeNanoseconds: 89 };
  expect(linux.files.lstat(fromText(`${merged}/local.conf`))).toMatchObject(time);
  expect(text(linux, `${merged}/motd`)).toBe(content("welcome to v2 "));
  expect(text(linux, `${merged}/edge`)).toBe(edgeOf("v2"));
  expect(text(linux, `${merged}/motd.before`)).toBe(content("welcome to v1 "));
  expect(linux.files.lstat(fromText(`${merged}/motd`)).nlink).toBe(1);
});

describe("mergeHostEtc of an /etc that is in use", () => {
  /** The machine as an operation sees it, where something happens before a call for a path that ends so. */
  function withHook(linux: FakeLinux, hooks: Readonly<Record<string, (path: ByteString) => void>>): Linux {
    const hooked = Object.entries(linux.files).map(([name, call]) => [
      name,
      (path: unknown, ...rest: readonly unknown[]) => {
        const [end, happens] =
          Object.entries(hooks).find(([key]) => String(path).endsWith(key.split(" ")[1] ?? "")) ?? [];
        if (end?.startsWith(`${name} `)) happens?.(path as ByteString);
        return (call as (...words: readonly unknown[]) => unknown)(path, ...rest);
      },
    ]);
    return Object.assign(Object.create(linux), { files: Object.fromEntries(hooked) });
  }

  test.each([
    ["as it is looked at", "lstat /etc/.tmp1"],
    ["as it is read", "open /etc/.tmp1"],
    ["as it is copied", "cloneFile /etc/.tmp1"],
  ])("what vanishes %s is left out", async (_, when) => {
    const linux = await runningMachine(images, "v1");
    const etc = bootedEtc(linux);
    writeText(linux, `${etc}/.tmp1`, content("half"));
    writeText(linux, `${etc}/local.conf`, content("local"));
    const gone: string[] = [];
    const hooked = withHook(linux, {
      [when]: (path) => {
        if (gone.length === 0) linux.files.unlink(path);
        gone.push(path);
      },
    });
    const { rootImage } = await switchRunning(linux, "v2", { system: { linux: hooked } });
    expect(gone[0]).toBe(`${etc}/.tmp1`);
    const made = namesIn(linux, `/sysroot/state/deploy/${rootImage}/etc`);
    expect(made).toContain("local.conf");
    expect(made).not.toContain(".tmp1");
  });

  test("files are read in pieces, whatever their size", async () => {
    const linux = await runningMachine(images, "v1");
    const large = content("large", 1_000_000);
    writeText(linux, `${bootedEtc(linux)}/large`, large);
    const hooked = withHook(linux, {
      "readFile /large": () => {
        throw new RangeError("nobody has so much memory");
      },
    });
    const { rootImage } = await switchRunning(linux, "v2", { system: { linux: hooked } });
    expect(text(linux, `/sysroot/state/deploy/${rootImage}/etc/large`)).toBe(large);
  });
});
