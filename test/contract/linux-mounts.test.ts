import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { fromText, toBytes } from "../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import { writeErofs } from "../../src/core/erofs/writer.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parseDump } from "../../src/core/tree/dump-parser.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import {
  type ComposefsMount,
  erofsFromFile,
  erofsFromLoop,
  overlayByDescriptors,
  overlayByPaths,
} from "../../src/linux/live-mounts.ts";
import { attachMount, openPlace, withDescriptor } from "../../src/linux/mount-context.ts";
import { unmountImage } from "../../src/operations/unmount-image.ts";
import { systemOn } from "../builders/operation-machine.ts";
import { FakeLinux } from "../fakes/fake-linux.ts";
import { projectDir } from "../tools/find-tool.ts";

const linux = openLinux();
const fileSystems = readFileSync("/proc/filesystems", "utf8");
const missing =
  process.getuid?.() !== 0 ? "not root" : ["erofs", "overlay"].find((type) => !fileSystems.includes(`\t${type}\n`));
const canMount = missing === undefined;

const content = "a file whose bytes are in an object, and long enough to be there: ".repeat(200);

describe.skipIf(!canMount)(`live mounts (need root, and erofs and overlay in the kernel; missing: ${missing})`, () => {
  let scratch: string;
  let mount: ComposefsMount;

  beforeAll(() => {
    // Not in /tmp, which is a tmpfs on Debian 13: the kernel mounts no image from a file there, but by a loop device only.
    const cache = join(projectDir, ".cache");
    mkdirSync(cache, { recursive: true });
    scratch = realpathSync(mkdtempSync(join(cache, "mounts-")));
    const bytes = toBytes(fromText(content));
    const id = verityDigest("sha256", bytes);
    const backing = `${id.slice(0, 2)}/${id.slice(2)}`;
    mkdirSync(join(scratch, "objects", id.slice(0, 2)), { recursive: true });
    mkdirSync(join(scratch, "target"));
    writeFileSync(join(scratch, "objects", backing), bytes);
    const dump = [
      "/ 4096 40755 2 0 0 0 0.0 - - -",
      `/large ${bytes.length} 100644 1 7 8 0 5.6 ${backing} - ${id}`,
      "/small 5 100600 1 0 0 0 1.0 - hello -",
      "/link 5 120777 1 0 0 0 1.0 large - -",
      "",
    ].join("\n");
    const image = writeErofs(parseDump(toBytes(fromText(dump))), { version: 0 });
    writeFileSync(join(scratch, "image"), image);
    mount = {
      image: fromText(join(scratch, "image")),
      objects: fromText(join(scratch, "objects")),
      target: fromText(join(scratch, "target")),
      name: fromText(`composefs:${verityDigest("sha256", image)}`),
      verity: false,
    };
  });

  afterEach(() => {
    // A failed test may leave several mounts on top of each other.
    while (mountsBelow(scratch).length > 0) linux.mounts.unmount(mount.target);
  });
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  function expectTheRoot(): void {
    const at = (name: string) => fromText(`${mount.target}/${name}`);
    expect(linux.files.readDirectory(mount.target)).toEqual(["large", "link", "small"]);
    expect(readFileSync(at("large"), "utf8")).toBe(content);
    expect(readFileSync(at("link"), "utf8")).toBe(content);
    expect(readFileSync(at("small"), "utf8")).toBe("hello");
    expect(linux.files.lstat(at("large"))).toMatchObject({ uid: 7, gid: 8, mtimeSeconds: 5n, mtimeNanoseconds: 6 });
    expect(() => linux.files.writeNewFile(at("new"), new Uint8Array(), 0o600)).toThrow(/read-only \(EROFS\)/);
    expect(linux.files.space(mount.target).readOnly).toBe(true);
    const [line, ...others] = mountsBelow(scratch);
    expect(others).toEqual([]);
    expect(line).toContain(` - overlay ${mount.name} ro`);
  }

  test("mountComposefs: shows the image's tree with the objects' bytes, read-only, as one mount", () => {
    linux.mounts.mountComposefs(mount);
    expectTheRoot();
    linux.mounts.unmount(mount.target);
    expect(mountsBelow(scratch)).toEqual([]);
    expect(linux.files.readDirectory(mount.target)).toEqual([]);
  });

  test("mountComposefs: takes a relative image path", () => {
    const before = process.cwd();
    process.chdir(scratch);
    try {
      linux.mounts.mountComposefs({ ...mount, image: fromText("image") });
      expectTheRoot();
    } finally {
      process.chdir(before);
    }
  });

  const images = [
    { name: "file", open: erofsFromFile },
    { name: "loop device", open: erofsFromLoop },
  ];
  const overlays = [
    { name: "descriptors", make: overlayByDescriptors },
    { name: "paths", make: overlayByPaths },
  ];
  test.each(images.flatMap((image) => overlays.map((overlay) => ({ image, overlay }))))(
    "the older ways: erofs from a $image.name, layers by $overlay.name",
    ({ image, overlay }) => {
      withDescriptor(image.open(mount.image), (erofs) =>
        withDescriptor(openPlace(mount.objects), (objects) =>
          withDescriptor(overlay.make(mount, erofs, objects), (fd) => attachMount(fd, mount.target)),
        ),
      );
      expectTheRoot();
    },
  );

  test("mountComposefs: with verity asks the kernel to check, which it cannot for objects that are not sealed", () => {
    linux.mounts.mountComposefs({ ...mount, verity: true });
    expect(mountsBelow(scratch)[0]).toContain("verity=require");
    expect(readFileSync(`${mount.target}/small`, "utf8")).toBe("hello");
    expect(() => readFileSync(`${mount.target}/large`)).toThrow(/EIO/);
  });

  test("mountComposefs: refuses what is no image, and leaves nothing mounted", () => {
    const noImage = fromText(join(scratch, "no-image"));
    writeFileSync(noImage, Buffer.alloc(8192));
    expect(() => linux.mounts.mountComposefs({ ...mount, image: noImage })).toThrow(OsdeployError);
    expect(() => linux.mounts.mountComposefs({ ...mount, image: noImage })).toThrow(
      `Cannot mount erofs from "${noImage}": `,
    );
    expect(() => linux.mounts.mountComposefs({ ...mount, image: fromText(`${scratch}/none`) })).toThrow(/\(ENOENT\)/);
    expect(mountsBelow(scratch)).toEqual([]);
  });

  test("mountComposefs: names the directory that is missing", () => {
    const none = fromText(`${scratch}/none`);
    expect(() => linux.mounts.mountComposefs({ ...mount, objects: none })).toThrow(
      `Cannot open "${none}": it does not exist (ENOENT)`,
    );
    expect(() => linux.mounts.mountComposefs({ ...mount, target: none })).toThrow(
      `Cannot mount at "${none}": it does not exist (ENOENT)`,
    );
    expect(mountsBelow(scratch)).toEqual([]);
  });

  test("unmountImage: takes an image away, and leaves what is mounted on it or without it", async () => {
    const request = { target: mount.target };
    linux.mounts.mountComposefs(mount);
    expect(spawnSync("mount", ["-t", "tmpfs", "none", mount.target]).status).toBe(0);
    await expect(unmountImage(systemOn(linux), request)).rejects.toThrow("what is mounted there is no image (tmpfs)");
    expect(mountsBelow(scratch)).toHaveLength(2);
    linux.mounts.unmount(mount.target);
    await unmountImage(systemOn(linux), request);
    expect(mountsBelow(scratch)).toEqual([]);
    await expect(unmountImage(systemOn(linux), request)).rejects.toThrow("nothing is mounted there");
  });

  test("unmount: says busy while the mount is used, and refuses what is no mount", () => {
    linux.mounts.mountComposefs(mount);
    const fd = linux.files.open(fromText(`${mount.target}/small`), "read");
    expect(() => linux.mounts.unmount(mount.target)).toThrow(`Cannot unmount "${mount.target}": it is in use (EBUSY)`);
    linux.files.close(fd);
    linux.mounts.unmount(mount.target);
    expect(() => linux.mounts.unmount(mount.target)).toThrow(/\(EINVAL\)/);
  });
});

test("fake mounts: refuse", () => {
  const { mounts } = new FakeLinux();
  const nowhere = fromText("/x");
  expect(() => mounts.unmount(nowhere)).toThrow(/without mounts/);
  const all = { image: nowhere, objects: nowhere, target: nowhere, name: nowhere, verity: false };
  expect(() => mounts.mountComposefs(all)).toThrow(OsdeployError);
});

/** The lines of the kernel's list for mounts at `directory` or below. */
function mountsBelow(directory: string): readonly string[] {
  const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return lines.filter((line) => line.split(" ")[4]?.startsWith(directory));
}
