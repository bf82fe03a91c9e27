import { beforeEach, expect, test } from "vitest";
import { readBootEntries } from "../../../src/bootloader/bls-directory.ts";
import { blsOptions } from "../../../src/core/boot/bls-entry.ts";
import { fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { failureOf, machineWith, SeenProgress, switchTo } from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const images = { v1: await buildOsImage("v1"), v2: await buildOsImage("v2") };

let linux: FakeLinux;
beforeEach(() => {
  linux = machineWith(images);
});

const menu = () => readBootEntries(linux.files, fromText("/target/boot")).entries;

test("switchImage: warns and makes an insecure repo where there is no fs-verity", async () => {
  linux = machineWith(images, { verity: false });
  const seen = new SeenProgress();
  const result = await switchTo(linux, "v1", { system: { progress: seen.report } });
  expect(seen.warnings).toEqual([
    "This file system or kernel has no fs-verity: the new repo is insecure, and nothing checks files when they are read",
  ]);
  const [entry] = menu();
  expect(entry && blsOptions(entry.entry)).toBe(
    `rw panic=30 composefs=?${result.rootImage} osdeploy.entry=osdeploy-000001`,
  );
});

test("switchImage: makes no insecure repo for any other want than that of fs-verity", async () => {
  const { files } = linux;
  let left = 1;
  const writeNewFile: typeof files.writeNewFile = (path, ...words) => {
    if (path.startsWith("/target/composefs/") && left-- > 0)
      throw new OsdeployError("no-space", "Cannot write: the disk is full");
    files.writeNewFile(path, ...words);
  };
  const full = { ...linux, files: Object.assign(Object.create(files), { writeNewFile }) };
  expect(await failureOf(switchTo(full, "v1"))).toMatchObject({ code: "no-space" });
  expect(linux.files.lstatIfExists(fromText("/target/composefs/meta.json"))).toBeUndefined();
});

test("switchImage: goes on where a run stopped while it made the repo, and refuses one that is damaged", async () => {
  linux.files.makeDirectory(fromText("/target/composefs"), 0o755);
  expect(await switchTo(linux, "v1")).toMatchObject({ kind: "deployed" });
  linux.files.unlink(fromText("/target/composefs/meta.json"));
  linux.files.writeNewFile(fromText("/target/composefs/meta.json"), toBytes(fromText("not what it was")), 0o600);
  expect(await failureOf(switchTo(linux, "v2"))).toMatchObject({
    code: expect.stringMatching(/^(bad-format|damaged)$/),
  });
  expect(menu()).toHaveLength(1);
  expect(linux.openPaths).toEqual([]);
});
