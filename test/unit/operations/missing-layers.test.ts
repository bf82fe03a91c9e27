import { afterEach, describe, expect, test } from "vitest";
import type { ObjectId } from "../../../src/core/digest/object-id.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { checkRepo } from "../../../src/operations/check-repo.ts";
import type { System } from "../../../src/operations/system.ts";
import { listTags, tagImage } from "../../../src/repo/references.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { objectPath } from "../../../src/repo/repo-paths.ts";
import { noise } from "../../builders/chunked-layer.ts";
import { machineWithRepo, objectsInRepo, pullTag, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { buildOsImage, content } from "../../builders/os-images.ts";
import { pullFrom, registryWith, type SeenPull, stopRegistries, v1, v1Image } from "../../builders/partial-pull.ts";
import { idOf } from "../../builders/repos.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

afterEach(stopRegistries);

const os = await buildOsImage("os", [{ path: "usr/lib/twin", content: content("only here") }]);

function pathOf(id: string) {
  return objectPath(repoOfSysroot, id as ObjectId);
}

async function problemsOf(linux: FakeLinux): Promise<readonly unknown[]> {
  return (await checkRepo(systemOn(linux), { repo: repoOfSysroot, metadataOnly: false })).problems;
}

test.each([true, false])(
  "mends whatever is damaged or gone, with the name that keeps it (verity: %s)",
  async (verity) => {
    const linux = await machineWithRepo({ os }, { verity });
    await pullTag(linux, "os");
    const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
    const [tag] = listTags(repo);
    tagImage(repo, "localhost/bootc-kept", tag?.manifest ?? expect.fail("no tag"));
    repo.close();
    for (const id of objectsInRepo(linux)) {
      linux.damage(pathOf(id), 5);
      expect((await pullTag(linux, "os", { repair: true })).repaired).toEqual([id]);
      linux.files.unlink(pathOf(id));
      const { addedObjects, repaired } = await pullTag(linux, "os", { repair: true });
      expect({ id, addedObjects, repaired }).toEqual({ id, addedObjects: 1, repaired: [] });
    }
    expect(await problemsOf(linux)).toEqual([]);
    expect(linux.openPaths).toEqual([]);
  },
);

test("brings only the layers that are hit, and gives an image that is there no second name", async () => {
  const linux = await machineWithRepo({ os });
  await pullTag(linux, "os");
  const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
  const [tag] = listTags(repo);
  tagImage(repo, "before/all", tag?.manifest ?? expect.fail("no tag"));
  repo.close();
  linux.damage(pathOf(idOf(Buffer.from(content("only here")))), 5);
  expect((await pullTag(linux, "os")).repaired).toEqual([]);
  const { layers, tag: kept } = await pullTag(linux, "os", { repair: true });
  expect(layers.map(({ known }) => known)).toEqual([true, false]);
  expect(kept).toBe("before/all");
  expect(await problemsOf(linux)).toEqual([]);
});

test("an object without its seal is one to mend", async () => {
  const linux = await machineWithRepo({ os });
  await pullTag(linux, "os");
  const path = pathOf(idOf(Buffer.from(content("only here"))));
  const bytes = linux.files.readFile(path, 1_000_000);
  linux.files.unlink(path);
  linux.files.writeNewFile(path, bytes, 0o644);
  expect((await pullTag(linux, "os", { repair: true })).repaired).toHaveLength(1);
  expect(await problemsOf(linux)).toEqual([]);
});

describe.each([true, false])("of a layer that can come in parts (verity: %s)", (verity) => {
  const medium = 30_000;
  const noneSaved = 0.1 * v1.blob.length;

  async function machineWithLayer(): Promise<{ readonly linux: FakeLinux; readonly repair: () => Promise<SeenPull> }> {
    const linux = await machineWithRepo({}, { verity });
    const registry = await registryWith({ v1: v1Image });
    await pullFrom(linux, registry, "v1");
    return { linux, repair: () => pullFrom(linux, registry, "v1", { repair: true }) };
  }

  test("only the parts of what is damaged or gone come again, whichever it is", async () => {
    const { linux, repair } = await machineWithLayer();
    const objects = objectsInRepo(linux);
    const sizes = new Map(objects.map((id) => [id, linux.files.lstat(pathOf(id)).sizeBytes]));
    expect(objects.length).toBeGreaterThan(5);
    for (const id of objects) {
      const few = noneSaved + (sizes.get(id) ?? 0);
      linux.damage(pathOf(id), 5);
      const mended = await repair();
      expect(mended).toMatchObject({ repaired: [id], addedObjects: 0, warnings: [] });
      expect(mended.layerBytes).toBeLessThan(few);
      linux.files.unlink(pathOf(id));
      const brought = await repair();
      expect(brought).toMatchObject({ repaired: [], addedObjects: 1, warnings: [] });
      expect(brought.layerBytes).toBeLessThan(few);
    }
    expect(await problemsOf(linux)).toEqual([]);
  });

  test("what is damaged in several places is mended at once", async () => {
    const { linux, repair } = await machineWithLayer();
    const hit = [idOf(noise(medium, 2)), idOf(noise(70_000, 5))];
    for (const id of hit) linux.damage(pathOf(id), 5);
    const { repaired, layerBytes } = await repair();
    expect([...repaired].sort()).toEqual([...hit].sort());
    expect(layerBytes).toBeLessThan(noneSaved + medium + 70_000);
    expect(await problemsOf(linux)).toEqual([]);
  });
});

test("a signal ends it while it reads", async () => {
  const linux = await machineWithRepo({ os });
  await pullTag(linux, "os");
  const stop = new AbortController();
  const system: Partial<System> = {
    signal: stop.signal,
    progress: (event) => {
      if (event.kind === "phase" && event.phase === "check-objects")
        stop.abort(new OsdeployError("interrupted", "stop"));
    },
  };
  await expect(pullTag(linux, "os", { repair: true, system })).rejects.toMatchObject({ code: "interrupted" });
});
