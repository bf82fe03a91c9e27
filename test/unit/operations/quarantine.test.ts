import { beforeEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { leaveQuarantine, listQuarantine } from "../../../src/operations/quarantine.ts";
import { writeQuarantine } from "../../../src/sysroot/quarantine-store.ts";
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

test.each([manifestOf("a"), "sha256:aa", "aaaa"])("leaveQuarantine: takes the image %s out", async (digest) => {
  expect(await leave(digest)).toEqual({ manifestDigest: manifestOf("a") });
  expect(await list()).toEqual([recordOf("b")]);
});

test.each([
  ["cc", "it is not in quarantine"],
  ["sha256:", "more than one digest in quarantine begins so"],
])("leaveQuarantine: refuses %s", async (digest, state) => {
  expect(await failureOf(leave(digest))).toMatchObject({
    code: "not-found",
    message: `Cannot take "${digest}" out of quarantine: ${state}`,
  });
  expect(await list()).toHaveLength(2);
});
