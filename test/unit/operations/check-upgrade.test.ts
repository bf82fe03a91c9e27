import { beforeEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { bootComplete } from "../../../src/operations/boot-complete.ts";
import { checkUpgrade } from "../../../src/operations/check-upgrade.ts";
import { finalizeStaged } from "../../../src/operations/finalize-staged.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { buildImage } from "../../builders/oci-image.ts";
import { layoutReference, linuxAmd64, noLogin, systemOn } from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import { boot, physicalRoot, replaceLayout, runningMachine, switchRunning } from "../../builders/running-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const [v1, v2] = [await buildOsImage("v1"), await buildOsImage("v2")];

let linux: FakeLinux;
beforeEach(async () => {
  linux = await runningMachine({ latest: v1 }, "latest");
});

const check = () =>
  checkUpgrade(systemOn(linux), {
    sysroot: physicalRoot,
    platform: linuxAmd64,
    source: noLogin,
    ignoreQuarantine: false,
  });

test("checkUpgrade: nothing new", async () => {
  expect(await check()).toEqual({
    kind: "up-to-date",
    image: layoutReference("latest"),
    manifestDigest: v1.manifestDigest,
    version: "v1",
    reason: null,
    missingLayers: 0,
    missingBytes: 0,
    plan: null,
  });
});

test("checkUpgrade: tells what is new, and writes nothing", async () => {
  replaceLayout(linux, { latest: v2 });
  const before = describeFiles(linux.files, fromText("/"));
  const calls = linux.trace.length;
  const found = await check();
  expect(found).toMatchObject({
    kind: "available",
    manifestDigest: v2.manifestDigest,
    version: "v2",
    missingLayers: 1,
  });
  expect(found.missingBytes).toBeGreaterThan(100);
  expect(found.plan).toMatchObject({
    ...{ downloadBytes: found.missingBytes, isDownloadBound: false, newObjects: 0, newBytes: 0, uncountedLayers: 1 },
  });
  expect(describeFiles(linux.files, fromText("/"))).toEqual(before);
  expect(linux.trace.slice(calls)).toEqual([]);
  expect(linux.openPaths).toEqual([]);
});

test("checkUpgrade: an image without a version label has none", async () => {
  replaceLayout(linux, { latest: await buildImage({ layers: [[{ path: "usr" }]] }) });
  expect(await check()).toMatchObject({ kind: "available", version: null });
});

test("checkUpgrade: what is staged, and what failed, is nothing new", async () => {
  replaceLayout(linux, { latest: v2 });
  await switchRunning(linux, "latest");
  expect(await check()).toMatchObject({ kind: "staged", reason: null });
  await finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
  for (let times = 0; times < 4; times++) boot(linux);
  await bootComplete(systemOn(linux), { sysroot: physicalRoot });
  expect(await check()).toMatchObject({ kind: "quarantined", reason: "3 boots of it did not complete" });
});
