import { beforeEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { leaveQuarantine, listQuarantine } from "../../../src/operations/quarantine.ts";
import { removeQuarantine, writeQuarantine } from "../../../src/sysroot/quarantine-store.ts";
import { sysrootPaths } from "../../../src/sysroot/sysroot-paths.ts";
import { failureOf, sysrootPath, systemOn } from "../../builders/operation-machine.ts";
import { manifestOf, recordOf } from "../../builders/sysroot-states.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

let linux: FakeLinux;
beforeEach(() => {
  linux = new FakeLinux();
  for (const name of ["", "/state", "/state/deploy"]) linux.files.makeDirectory(fromText(`/target${name}`), 0o755);
  for (const digit of ["a", "b"]) writeQuarantine(linux.files, sysrootPaths(sysrootPath), recordOf(digit));
});

const leave = (digest: string) => leaveQuarantine(systemOn(linux), { sysroot: sysrootPath, digest });
const list = () => listQuarantine(systemOn(linux), { sysroot: sysrootPath });

test("listQuarantine: tells the records", async () => {
  expect(await list()).toEqual([recordOf("a"), recordOf("b")]);
});

test.each([manifestOf("a"), "sha256:aaaa", "aaaa"])("leaveQuarantine: takes the image %s out", async (digest) => {
  expect(await leave(digest)).toEqual({ manifestDigest: manifestOf("a") });
  expect(await list()).toEqual([recordOf("b")]);
});

test.each(["", "a", "aaa", "sha256:", "sha256:aaa", "aaaz", "aaaaz", "AAAA", "sha1:aaaa"])(
  "leaveQuarantine: refuses words that are no digest or too little of one: '%s'",
  async (digest) => {
    removeQuarantine(linux.files, sysrootPaths(sysrootPath), recordOf("b").manifestDigest);
    expect(await failureOf(leave(digest))).toMatchObject({
      code: "usage",
      message: `Cannot take "${digest}" out of quarantine: it is no digest, and no beginning of one with at least 4 digits`,
    });
    expect(await list()).toEqual([recordOf("a")]);
  },
);

test("leaveQuarantine: wrong words are refused before a sysroot is looked for", async () => {
  const sysroot = fromText("/nowhere");
  expect(await failureOf(leaveQuarantine(systemOn(linux), { sysroot, digest: "" }))).toMatchObject({ code: "usage" });
});

test.each(["cccc", "sha512:aaaa"])("leaveQuarantine: refuses %s, which is not in there", async (digest) => {
  expect(await failureOf(leave(digest))).toMatchObject({
    code: "not-found",
    message: `Cannot take "${digest}" out of quarantine: it is not in quarantine`,
  });
  expect(await list()).toHaveLength(2);
});

test("leaveQuarantine: digits from the middle of a digest mean nothing", async () => {
  const other = { ...recordOf("a"), manifestDigest: parseManifestDigest(`sha256:${"cd".repeat(32)}`) };
  writeQuarantine(linux.files, sysrootPaths(sysrootPath), other);
  expect(await failureOf(leave("dcdc"))).toMatchObject({ code: "not-found" });
  expect(await list()).toHaveLength(3);
});

test("leaveQuarantine: names the images that the digits may mean when they are more than one", async () => {
  const other = { ...recordOf("a"), manifestDigest: parseManifestDigest(`sha256:aaaa${"b".repeat(60)}`) };
  writeQuarantine(linux.files, sysrootPaths(sysrootPath), other);
  expect(await failureOf(leave("aaaa"))).toMatchObject({
    code: "not-found",
    message: `Cannot take "aaaa" out of quarantine: it may be ${manifestOf("a")} or ${other.manifestDigest}`,
  });
  expect(await list()).toHaveLength(3);
});
