import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { repoInfo } from "../../../src/operations/repo-info.ts";
import {
  machineWithRepo,
  namesInRepo,
  objectsInRepo,
  repoOfSysroot,
  systemOn,
} from "../../builders/operation-machine.ts";
import { storeOs } from "../../builders/stored-os.ts";

test("repoInfo: counts what is there", async () => {
  const { linux } = await storeOs();
  const ids = objectsInRepo(linux);
  const sizes = ids.map(
    (id) => linux.files.lstat(fromText(`${repoOfSysroot}/objects/${id.slice(0, 2)}/${id.slice(2)}`)).sizeBytes,
  );
  const names = namesInRepo(linux);
  expect(await repoInfo(systemOn(linux), { repo: repoOfSysroot })).toEqual({
    path: "/target/composefs",
    algorithm: "sha512",
    secure: true,
    erofsFormat: 1,
    tags: 3,
    rootImages: names.filter((name) => name.includes("/images/")).length,
    streams: names.filter((name) => /\/streams\/oci-/.test(name)).length,
    objects: ids.length,
    objectBytes: sizes.reduce((sum, size) => sum + size, 0),
  });
});

test("repoInfo: a new repo is empty", async () => {
  const linux = await machineWithRepo({}, { verity: false, algorithm: "sha256" });
  expect(await repoInfo(systemOn(linux), { repo: repoOfSysroot })).toMatchObject({
    algorithm: "sha256",
    secure: false,
    tags: 0,
    rootImages: 0,
    streams: 0,
    objects: 0,
    objectBytes: 0,
  });
});

test("repoInfo: refuses what is no repo", async () => {
  const linux = await machineWithRepo({});
  await expect(repoInfo(systemOn(linux), { repo: fromText("/target") })).rejects.toMatchObject({ code: "not-found" });
});
