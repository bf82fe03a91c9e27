import { expect, test } from "vitest";
import { checkRepo } from "../../../src/operations/check-repo.ts";
import { collectGarbage } from "../../../src/operations/collect-garbage.ts";
import { untagImage } from "../../../src/repo/references.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import {
  layoutReference,
  machineWithRepo,
  objectsInRepo,
  pullTag,
  repoOfSysroot,
  systemOn,
} from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";

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
