import { describe, expect, test } from "vitest";
import { fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import type { Linux, LinuxFiles } from "../../../src/linux/linux.ts";
import type { ProgressEvent } from "../../../src/operations/progress.ts";
import { type PullResult, pull } from "../../../src/operations/pull.ts";
import { objectPath } from "../../../src/repo/repo-paths.ts";
import { content, placeRootDirectory } from "../../builders/os-images.ts";
import { idOf, makeRepo, repoPath } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const root = fromText("/os");
const platform = { os: "linux", architecture: "amd64", variant: undefined };
const source = { environment: { variables: {}, userId: 0 } };

function machine(): FakeLinux {
  const linux = new FakeLinux();
  makeRepo(linux);
  placeRootDirectory(linux.files, root);
  return linux;
}

async function pullRoot(
  linux: Linux,
  options: { readonly reference?: string; readonly events?: ProgressEvent[]; readonly signal?: AbortSignal } = {},
): Promise<PullResult> {
  const image = parseImageReference(options.reference ?? `rootfs:${root}`);
  const progress = (event: ProgressEvent) => void options.events?.push(event);
  const signal = options.signal ?? new AbortController().signal;
  const system = { linux, progress, signal, importThreads: 0 };
  return await pull(system, { image, repo: repoPath, platform, source, bootable: true });
}

/** The machine, but something happens when a file of the directory is opened. */
function whenOpened(linux: FakeLinux, path: string, happens: (files: LinuxFiles) => void): Linux {
  const { files } = linux;
  const open: LinuxFiles["open"] = (opened, mode, permissions) => {
    if (opened === `${root}/${path}`) happens(files);
    return files.open(opened, mode, permissions);
  };
  return { ...linux, files: { ...files, open } };
}

describe("pull of rootfs:DIR", () => {
  test("an unchanged directory gives the same image, and the second time nothing is added", async () => {
    const linux = machine();
    const first = await pullRoot(linux);
    expect(first).toMatchObject({ tag: "rootfs:/os", layers: [{ known: false }] });
    expect(first.bootImage).toBeDefined();
    expect(first.addedObjects).toBeGreaterThan(5);
    const second = await pullRoot(linux);
    expect(second).toEqual({
      ...first,
      layers: first.layers.map((layer) => ({ ...layer, known: true })),
      ...{ addedObjects: 0, addedBytes: 0, repaired: [] },
    });
  });

  test("where the directory lies does not matter, its content does", async () => {
    const linux = machine();
    const first = await pullRoot(linux);
    linux.files.rename(root, fromText("/elsewhere"));
    const moved = await pullRoot(linux, { reference: "rootfs:/elsewhere" });
    expect(moved.manifestDigest).toBe(first.manifestDigest);
    linux.files.writeNewFile(fromText("/elsewhere/etc/new"), toBytes(fromText("new")), 0o644);
    const changed = await pullRoot(linux, { reference: "rootfs:/elsewhere" });
    expect(changed.manifestDigest).not.toBe(first.manifestDigest);
    expect(changed.rawImage).not.toBe(first.rawImage);
  });

  test("an object that the repo has damaged is whole again, though the image is known", async () => {
    const linux = machine();
    const first = await pullRoot(linux);
    const kernel = idOf(new TextEncoder().encode(content("kernel", 3000)));
    linux.damage(objectPath(repoPath, kernel), 10);
    expect(await pullRoot(linux)).toMatchObject({ manifestDigest: first.manifestDigest, repaired: [kernel] });
    expect((await pullRoot(linux)).repaired).toEqual([]);
  });

  test("tells what it reads, and that a socket is left out", async () => {
    const linux = machine();
    linux.files.makeNode(fromText("/os/var/socket"), "socket", { permissions: 0o600, rdev: 0 });
    const events: ProgressEvent[] = [];
    await pullRoot(linux, { events });
    const kinds = events.map((event) => (event.kind === "phase" ? event.phase : event.kind));
    expect(kinds).toEqual([
      ...["start", "read-directory", "warning", "layers", "layer-finished"],
      ...["merge", "root-image", "publish", "done"],
    ]);
    expect(events[2]).toEqual({
      kind: "warning",
      message: "rootfs:/os/var/socket is a socket, which no image can hold: it is left out",
    });
  });

  test("gives way while it reads much, and stops when it is asked to", async () => {
    const linux = machine();
    linux.files.makeDirectory(fromText("/os/var/many"), 0o755);
    for (let i = 0; i < 1500; i++) linux.files.symlink(fromText("target"), fromText(`/os/var/many/${i}`));
    const events: ProgressEvent[] = [];
    await pullRoot(linux, { events });
    expect(events.filter(({ kind }) => kind === "phase-advanced")).toHaveLength(1);
    const stopping = pullRoot(linux, { signal: AbortSignal.abort("SIGINT") });
    await expect(stopping).rejects.toThrow(expect.objectContaining({ code: "interrupted" }));
    expect(linux.openPaths).toEqual([]);
    expect(linux.files.readDirectory(fromText(`${repoPath}/staging`))).toEqual([]);
  });

  test.each<readonly [string, string, (files: LinuxFiles) => void]>([
    ["a file that is written meanwhile", "usr/bin/dash", (files) => files.setTime(fromText("/os/usr/bin/dash"), 5n, 0)],
    ["a small file that grows", "etc/hostname", (files) => grow(files, "/os/etc/hostname")],
  ])("refuses %s, and publishes nothing", async (_what, path, happens) => {
    const linux = machine();
    const before = linux.files.readDirectory(fromText(`${repoPath}/objects`));
    const changing = whenOpened(linux, path, happens);
    const files: LinuxFiles = {
      ...changing.files,
      readFile: (read, limit) => {
        if (read === `${root}/${path}`) happens(linux.files);
        return linux.files.readFile(read, limit);
      },
    };
    await expect(pullRoot({ ...changing, files })).rejects.toThrow(
      expect.objectContaining({ code: "busy", message: `Cannot read "/os/${path}": it changes while it is read` }),
    );
    expect(linux.files.readDirectory(fromText(`${repoPath}/objects`))).toEqual(before);
    expect(linux.openPaths).toEqual([]);
  });

  test.each([
    ["rootfs:/", "usage", 'Cannot pull rootfs:/: repo "/repo" lies in it'],
    ["rootfs:/repo", "usage", 'Cannot pull rootfs:/repo: repo "/repo" lies in it'],
    ["rootfs:/os/etc/hostname", "bad-format", "Cannot read /os/etc/hostname as a root: it is not a directory"],
    ["rootfs:/gone", "not-found", 'Cannot read the metadata of "/gone": it does not exist (ENOENT)'],
    ["rootfs:/os/etc", "not-bootable", "Cannot make a root image of rootfs:/os/etc: it has no /usr"],
  ])("refuses %s: %s", async (reference, code, message) => {
    await expect(pullRoot(machine(), { reference })).rejects.toThrow(expect.objectContaining({ code, message }));
  });
});

function grow(files: LinuxFiles, path: string): void {
  const fd = files.open(fromText(path), "append");
  files.write(fd, Uint8Array.of(0x21));
  files.close(fd);
}
