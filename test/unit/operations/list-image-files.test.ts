import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { listImageFiles } from "../../../src/operations/list-image-files.ts";
import { layoutReference, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { storeOs } from "../../builders/stored-os.ts";

const { linux } = await storeOs();

async function list(path: string, options: { recursive?: boolean; bootable?: boolean; image?: string } = {}) {
  const found = await listImageFiles(systemOn(linux), {
    repo: repoOfSysroot,
    image: layoutReference(options.image ?? "v1"),
    bootable: options.bootable ?? false,
    path: fromText(path),
    recursive: options.recursive ?? false,
  });
  return found.map((entry) => `${entry.path} ${entry.inode.kind}`);
}

describe("listImageFiles", () => {
  const top = ["bin symlink", "boot directory", "etc directory", "run directory", "sysroot directory"].map(
    (line) => `/${line}`,
  );

  test.each(["/", "", ".", "//"])("gives the names of the root for %j", async (path) => {
    expect((await list(path)).slice(0, 5)).toEqual(top);
    expect(await list(path)).toHaveLength(8);
  });

  test.each(["/usr/bin", "usr/bin/", "./usr/./bin"])("gives the names in %s", async (path) => {
    expect(await list(path)).toEqual(["/usr/bin/dash regular", "/usr/bin/sh regular", "/usr/bin/sudo regular"]);
  });

  test("goes below when asked to", async () => {
    expect(await list("/var", { recursive: true })).toEqual(["/var/lib directory", "/var/lib/state regular"]);
  });

  test("gives a file or symlink itself", async () => {
    expect(await list("/etc/hostname")).toEqual(["/etc/hostname regular"]);
    expect(await list("bin")).toEqual(["/bin symlink"]);
  });

  test("lists the tree that boots, also of an image of which none was made", async () => {
    expect(await list("/etc", { bootable: true })).toEqual(await list("/etc"));
    await expect(list("/", { image: "data", bootable: true })).rejects.toMatchObject({ code: "not-bootable" });
  });

  test("refuses what is not there", async () => {
    await expect(list("/etc/none")).rejects.toMatchObject({
      code: "not-found",
      message: 'Cannot find "/etc/none" in image "oci:/layout:v1": there is no such file',
    });
    await expect(list("/etc/naïve")).rejects.toThrow('Cannot find "/etc/naïve" in image');
    await expect(list("/etc/hostname/below")).rejects.toMatchObject({ code: "not-found" });
    expect(linux.openPaths).toEqual([]);
  });
});
