import { expect, test } from "vitest";
import { fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { checkInvariants } from "../../../src/core/deployment/invariants.ts";
import type { Path } from "../../../src/linux/linux.ts";
import { checkRepo } from "../../../src/operations/check-repo.ts";
import { collectGarbage } from "../../../src/operations/collect-garbage.ts";
import { listTags, untagImage } from "../../../src/repo/references.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import {
  layoutReference,
  machineWith,
  machineWithRepo,
  objectsInRepo,
  pullTag,
  repoOfSysroot,
  switchTo,
  sysrootPath,
  systemOn,
} from "../../builders/operation-machine.ts";
import { buildOsImage, content } from "../../builders/os-images.ts";
import { idOf } from "../../builders/repos.ts";
import { runningMachine } from "../../builders/running-machine.ts";
import { takeSnapshot } from "../../builders/system-snapshot.ts";

const images = { v1: await buildOsImage("v1"), v2: await buildOsImage("v2") };

test("collectGarbage: a dry run tells what would go and takes nothing; the real one ends as if it had never come", async () => {
  const linux = await machineWithRepo(images);
  await pullTag(linux, "v1");
  await pullTag(linux, "v2");
  const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
  untagImage(repo, layoutReference("v1"));
  repo.close();
  const before = describeFiles(linux.files, repoOfSysroot);
  const planned = await collectGarbage(systemOn(linux), { repo: repoOfSysroot, dryRun: true });
  expect(describeFiles(linux.files, repoOfSysroot)).toEqual(before);
  const done = await collectGarbage(systemOn(linux), { repo: repoOfSysroot, dryRun: false });
  expect({ ...done, dryRun: true }).toEqual(planned);
  const alone = await machineWithRepo(images);
  await pullTag(alone, "v2");
  expect(objectsInRepo(linux)).toEqual(objectsInRepo(alone));
  const { problems } = await checkRepo(systemOn(linux), { repo: repoOfSysroot, metadataOnly: false });
  expect(problems).toEqual([]);
  expect(linux.openPaths).toEqual([]);
});

test("collectGarbage: keeps what a deployment boots though its tag is gone, and fsck tells which deployment damage hits", async () => {
  const linux = machineWith(images);
  const { rootImage } = await switchTo(linux, "v1");
  const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
  for (const { tag } of listTags(repo)) untagImage(repo, tag);
  repo.close();
  const { missingImages } = await collectGarbage(systemOn(linux), { repo: repoOfSysroot, dryRun: false });
  expect(missingImages).toEqual([]);
  const after = takeSnapshot(linux, sysrootPath);
  expect(checkInvariants(after)).toEqual([]);
  expect([...after.rootImages.keys()]).toContain(rootImage);
  const shell = idOf(toBytes(fromText(content("shell"))));
  linux.damage(fromText(`/target/composefs/objects/${shell.slice(0, 2)}/${shell.slice(2)}`));
  const { problems } = await checkRepo(systemOn(linux), { repo: repoOfSysroot, metadataOnly: false });
  expect(problems.flatMap(({ hits }) => hits)).toContain(`deployment ${rootImage}`);
});

test("collectGarbage: names what goes from the running system's repo as users do", async () => {
  const linux = await runningMachine(images, "v1");
  const openWritable = (path: Path) => ({ path: fromText(`/.${path}`), close: () => {} });
  const system = systemOn({ ...linux, clock: linux.clock, mounts: { ...linux.mounts, openWritable } });
  linux.files.symlink(fromText("../none"), fromText("/sysroot/composefs/streams/refs/dangling"));
  const result = await collectGarbage(system, { repo: fromText("/sysroot/composefs"), dryRun: false });
  expect(result.danglingReferences).toEqual(["/sysroot/composefs/streams/refs/dangling"]);
});
