import { afterEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import type { OsdeployError } from "../../../src/core/errors.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { checkRepo } from "../../../src/operations/check-repo.ts";
import { listImageFiles } from "../../../src/operations/list-image-files.ts";
import { type PullResult, pull } from "../../../src/operations/pull.ts";
import type { System } from "../../../src/operations/system.ts";
import { readDirectoryIfExists } from "../../../src/repo/object-listing.ts";
import { listTags } from "../../../src/repo/references.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { findStream, layerStreamName } from "../../../src/repo/streams.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { type BuiltImage, buildImage } from "../../builders/oci-image.ts";
import type { LayerFile } from "../../builders/oci-layer.ts";
import { bareEnvironment } from "../../builders/oci-source.ts";
import {
  failureOf,
  layoutReference,
  linuxAmd64,
  machineWithRepo,
  namesInRepo,
  objectsInRepo,
  pullTag,
  repoOfSysroot,
  SeenProgress,
  systemOn,
} from "../../builders/operation-machine.ts";
import { buildOsImage, content } from "../../builders/os-images.ts";
import { idOf } from "../../builders/repos.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";
import { FakeRegistry, type FakeRegistryOptions } from "../../fakes/fake-registry.ts";

const v1 = await buildOsImage("v1");
const v2 = await buildOsImage("v2", [{ path: "usr/lib/new", content: content("new") }]);

function tagsOf(linux: FakeLinux): readonly { readonly tag: string; readonly manifest: string }[] {
  const repo = openRepo(linux, repoOfSysroot, { access: "read", wait: false });
  try {
    return listTags(repo);
  } finally {
    repo.close();
  }
}

/** Nothing is wrong, and nothing is left but what was fetched of these layers. */
async function expectHealthy(linux: FakeLinux, fetched: readonly string[] = []): Promise<void> {
  const files = fetched.map((digest) => `layer-${digest.replace(":", "-")}`);
  const { problems } = await checkRepo(systemOn(linux), { repo: repoOfSysroot, metadataOnly: false });
  expect(problems.map(({ kind, severity, path }) => [kind, severity, path])).toEqual(
    files.map((name) => ["leftover", "note", `staging/${name}`]),
  );
  expect(readDirectoryIfExists(linux.files, fromText(`${repoOfSysroot}/staging`))).toEqual(files);
  expect(linux.openPaths).toEqual([]);
}

describe("pull from a layout", () => {
  test("brings layers, documents and both root images, and tags them with the reference", async () => {
    const linux = await machineWithRepo({ v1 });
    const pulled = await pullTag(linux, "v1");
    expect(pulled).toMatchObject({
      image: layoutReference("v1"),
      tag: layoutReference("v1"),
      manifestDigest: v1.manifestDigest,
      configDigest: v1.configDigest,
      layers: v1.layers.map(({ digest, diffId, blob }) => ({ digest, diffId, sizeBytes: blob.length, known: false })),
      ...{ repaired: [], sealedBy: [] },
    });
    expect(pulled.addedObjects).toBe(objectsInRepo(linux).length);
    expect(tagsOf(linux)).toEqual([{ tag: layoutReference("v1"), manifest: v1.manifestDigest }]);
    expect(namesInRepo(linux)).toEqual(
      expect.arrayContaining([
        `/target/composefs/images/${pulled.rawImage}`,
        `/target/composefs/images/${pulled.bootImage}`,
      ]),
    );
    await expectHealthy(linux);
  });

  test("without bootable makes the root image to look at only, and the other one later", async () => {
    const linux = await machineWithRepo({ v1 });
    const looked = await pullTag(linux, "v1", { bootable: false });
    expect(looked.bootImage).toBeUndefined();
    const booted = await pullTag(linux, "v1");
    expect(booted.rawImage).toBe(looked.rawImage);
    expect(booted.bootImage).toMatch(/^[0-9a-f]{128}$/);
    expect(booted.layers.every(({ known }) => known)).toBe(true);
    expect(await pullTag(linux, "v1", { bootable: false })).toMatchObject({ bootImage: booted.bootImage });
    await expectHealthy(linux);
  });

  test("a second time writes nothing but the tag", async () => {
    const linux = await machineWithRepo({ v1 });
    const first = await pullTag(linux, "v1");
    const before = describeFiles(linux.files, repoOfSysroot);
    const again = await pullTag(linux, "v1");
    expect(again).toMatchObject({
      rawImage: first.rawImage,
      bootImage: first.bootImage,
      addedObjects: 0,
      addedBytes: 0,
    });
    expect(describeFiles(linux.files, repoOfSysroot)).toEqual(before);
  });

  test("an upgrade takes known layers and files, and ends with the same objects as a pull of it alone", async () => {
    const upgraded = await machineWithRepo({ v1, v2 });
    await pullTag(upgraded, "v1");
    const hinted = await pullTag(upgraded, "v2");
    const fresh = await machineWithRepo({ v1, v2 });
    const alone = await pullTag(fresh, "v2");
    expect(hinted.layers.map(({ known }) => known)).toEqual([true, false]);
    expect([hinted.rawImage, hinted.bootImage]).toEqual([alone.rawImage, alone.bootImage]);
    expect(hinted.addedObjects).toBeLessThan(alone.addedObjects);
    const all = new Set(objectsInRepo(upgraded));
    expect(objectsInRepo(fresh).filter((id) => !all.has(id))).toEqual([]);
    await expectHealthy(upgraded);
  });

  test("a layer that an image has twice comes once", async () => {
    const layer = [{ path: "usr" }, { path: "usr/a", content: content("twice") }];
    const linux = await machineWithRepo({ twice: await buildImage({ layers: [layer, [{ path: "etc" }], layer] }) });
    const seen = new SeenProgress();
    const pulled = await pullTag(linux, "twice", { bootable: false, system: { progress: seen.report } });
    expect(pulled.layers).toHaveLength(3);
    expect(seen.events.filter(({ kind }) => kind === "layer-finished")).toHaveLength(2);
    await expectHealthy(linux);
  });

  test("tells what it does, in order", async () => {
    const linux = await machineWithRepo({ v1 });
    const seen = new SeenProgress();
    await pullTag(linux, "v1", { system: { progress: seen.report } });
    const kinds = seen.events.filter(({ kind }) => kind !== "layer-advanced").map((event) => event.kind);
    expect(kinds.slice(0, 4)).toEqual(["start", "phase", "layers", "phase"]);
    expect(kinds.slice(4, 8)).toEqual(["layer-started", "layer-finished", "layer-started", "layer-finished"]);
    expect(kinds.at(-1)).toBe("done");
    expect(seen.events.find(({ kind }) => kind === "layers")).toEqual({
      kind: "layers",
      layers: v1.layers.map(({ digest, diffId, blob }) => ({ digest, diffId, sizeBytes: blob.length, known: false })),
    });
  });

  test("a damaged object is whole again after the pull of an image that needs it", async () => {
    const linux = await machineWithRepo({ v1 }, { verity: false });
    await pullTag(linux, "v1");
    const inBoth = objectsInRepo(linux);
    // An image of its own with a file of the same bytes: what both repos have is that file's object.
    const twin = await buildImage({ layers: [[{ path: "usr" }, { path: "usr/twin", content: content("shell") }]] });
    const other = await machineWithRepo({ twin }, { verity: false });
    const before = new Set(objectsInRepo(other));
    await pullTag(other, "twin", { bootable: false });
    const [id] = objectsInRepo(other).filter((each) => !before.has(each) && inBoth.includes(each));
    expect(id).toBeDefined();
    const target = await machineWithRepo({ v1, twin }, { verity: false });
    await pullTag(target, "v1");
    target.damage(fromText(`${repoOfSysroot}/objects/${id?.slice(0, 2)}/${id?.slice(2)}`), 9);
    expect((await checkRepo(systemOn(target), { repo: repoOfSysroot, metadataOnly: false })).problems).not.toEqual([]);
    const pulled = await pullTag(target, "twin", { bootable: false });
    expect(pulled.repaired).toEqual([id]);
    await expectHealthy(target);
  });

  test.each([true, false])(
    "a pull of the same image mends its streams, documents and root images (verity: %s)",
    async (verity) => {
      const machine = await machineWithRepo({ v1 }, { verity });
      const pulled = await pullTag(machine, "v1");
      const links = ["streams", "images"].flatMap((folder) =>
        machine.files
          .readDirectory(fromText(`${repoOfSysroot}/${folder}`))
          .filter((name) => name !== "refs")
          .map((name) => machine.files.readLink(fromText(`${repoOfSysroot}/${folder}/${name}`)).slice(2)),
      );
      // Two layers, two documents, and one root image: this one has nothing that makes the other differ.
      expect(links.length).toBe(5);
      const documents = [pulled.manifestDigest, pulled.configDigest].map((digest) =>
        idOf(v1.blobs.get(digest) ?? new Uint8Array()),
      );
      const objects = [...links, ...documents.map((id) => `/objects/${id.slice(0, 2)}/${id.slice(2)}`)];
      for (const object of objects) {
        machine.damage(fromText(`${repoOfSysroot}${object}`), 30);
        const again = await pullTag(machine, "v1");
        expect({ object, mended: again.repaired.length }).toEqual({ object, mended: 1 });
        await expectHealthy(machine);
      }
    },
  );

  test("labels the tree that boots from the policy in the image's own layers, new or known", async () => {
    const policy: readonly LayerFile[] = [
      { path: "etc/selinux" },
      { path: "etc/selinux/config", content: `${content("# comment\n", 70)}SELINUX=enforcing\nSELINUXTYPE=targeted\n` },
      { path: "etc/selinux/targeted" },
      { path: "etc/selinux/targeted/contexts" },
      { path: "etc/selinux/targeted/contexts/files" },
      {
        path: "etc/selinux/targeted/contexts/files/file_contexts",
        content: `${content("#", 80)}\n/.* system_u:object_r:default_t:s0\n/etc/hostname -- system_u:object_r:hostname_t:s0\n`,
      },
    ];
    const labelled = await buildOsImage("v1", policy);
    const labelsOf = async (linux: FakeLinux) => {
      const request = { repo: repoOfSysroot, image: layoutReference("labelled"), bootable: true };
      const files = await listImageFiles(systemOn(linux), { ...request, path: fromText("/etc"), recursive: false });
      return files.map(({ path, inode }) => `${path} ${inode.xattrs.get(fromText("security.selinux"))}`);
    };
    const linux = await machineWithRepo({ labelled });
    const { rawImage, bootImage } = await pullTag(linux, "labelled");
    expect(bootImage).not.toBe(rawImage);
    expect(await labelsOf(linux)).toEqual([
      "/etc/hostname system_u:object_r:hostname_t:s0",
      "/etc/motd system_u:object_r:default_t:s0",
      "/etc/passwd system_u:object_r:default_t:s0",
      "/etc/selinux system_u:object_r:default_t:s0",
    ]);
    const later = await machineWithRepo({ labelled });
    await pullTag(later, "labelled", { bootable: false });
    expect((await pullTag(later, "labelled")).bootImage).toBe(bootImage);
  });

  test("fails without a trace when an image is asked for that is not there", async () => {
    const linux = await machineWithRepo({ v1 });
    expect(await failureOf(pullTag(linux, "v9"))).toMatchObject({ code: "not-found" });
    expect(namesInRepo(linux)).toEqual([]);
    await expectHealthy(linux);
  });
});

/** Aborts as soon as an event is told that `when` accepts. */
function abortWhen(when: (kind: string) => boolean): Partial<System> {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    progress: (event) => {
      if (when(event.kind === "phase" ? event.phase : event.kind)) controller.abort();
    },
  };
}

describe("pull, interrupted", () => {
  test.each(["resolve", "layers", "layer-started", "layer-finished"])("at %s names no image", async (moment) => {
    const linux = await machineWithRepo({ v1 });
    const error = await failureOf(pullTag(linux, "v1", { system: abortWhen((seen) => seen === moment) }));
    expect(error).toMatchObject({ code: "interrupted" });
    expect(namesInRepo(linux).filter((name) => !name.includes("oci-layer-"))).toEqual([]);
    await expectHealthy(linux);
    await pullTag(linux, "v1");
    await expectHealthy(linux);
  });

  test("keeps a layer that was complete, which then need not come again", async () => {
    const linux = await machineWithRepo({ v1 });
    await failureOf(pullTag(linux, "v1", { system: abortWhen((seen) => seen === "layer-finished") }));
    expect(namesInRepo(linux)).toHaveLength(1);
    const pulled = await pullTag(linux, "v1");
    expect(pulled.layers.filter(({ known }) => known)).toHaveLength(1);
    expect(pulled.rawImage).toBe((await pullTag(await machineWithRepo({ v1 }), "v1")).rawImage);
  });

  test("does nothing when it was aborted before it began", async () => {
    const linux = await machineWithRepo({ v1 });
    const calls = linux.trace.length;
    const signal = AbortSignal.abort();
    expect(await failureOf(pullTag(linux, "v1", { system: { signal } }))).toMatchObject({ code: "interrupted" });
    expect(linux.trace.slice(calls).filter(({ call }) => call.startsWith("write"))).toEqual([]);
    expect(namesInRepo(linux)).toEqual([]);
  });
});

const registries: FakeRegistry[] = [];
afterEach(async () => {
  for (const registry of registries.splice(0)) await registry.stop();
});

async function registryWith(image: BuiltImage, options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start(options);
  registries.push(registry);
  registry.add(image, "v1");
  return registry;
}

async function pullFrom(linux: FakeLinux, registry: FakeRegistry, system: Partial<System> = {}): Promise<PullResult> {
  return await pull(systemOn(linux, system), {
    image: parseImageReference(`docker://${registry.host}/os:v1`),
    repo: repoOfSysroot,
    platform: linuxAmd64,
    source: {
      environment: bareEnvironment,
      retry: { tries: 2, delayMs: 1 },
      timeouts: { connectMs: 2_000, headersMs: 2_000, idleMs: 2_000 },
    },
    bootable: true,
  });
}

describe("pull from a registry", () => {
  test("gives the same root images as from a layout, tags without transport, and leaves no blob", async () => {
    const linux = await machineWithRepo({ v1 });
    const registry = await registryWith(v1);
    const pulled = await pullFrom(linux, registry);
    expect(pulled.tag).toBe(`${registry.host}/os:v1`);
    expect(pulled.image).toBe(`docker://${registry.host}/os:v1`);
    const fromLayout = await pullTag(await machineWithRepo({ v1 }), "v1");
    expect([pulled.rawImage, pulled.bootImage]).toEqual([fromLayout.rawImage, fromLayout.bootImage]);
    await expectHealthy(linux);
  });

  test("fetches no layer that the repo has", async () => {
    const linux = await machineWithRepo({ v1 });
    await pullTag(linux, "v1");
    const registry = await registryWith(v2);
    await pullFrom(linux, registry);
    const blobs = registry.requests.filter(({ path }) => path.includes("/blobs/")).map(({ path }) => path);
    expect(blobs.some((path) => path.endsWith(v2.layers[0]?.digest ?? ""))).toBe(false);
    expect(blobs.some((path) => path.endsWith(v2.layers[1]?.digest ?? ""))).toBe(true);
  });

  test("keeps finished layers when the network goes in the middle, and goes on from there", async () => {
    const linux = await machineWithRepo({ v1 });
    const [first, second] = [...v1.layers].sort((a, b) => b.blob.length - a.blob.length);
    const registry = await registryWith(v1, {
      faults: [{ path: new RegExp(`${second?.digest.slice(7)}$`), times: 100, dropAfterBytes: 100 }],
    });
    expect(await failureOf(pullFrom(linux, registry))).toMatchObject({ code: "network" });
    const repo = openRepo(linux, repoOfSysroot, { access: "read", wait: false });
    const has = (diffId: string | undefined) =>
      findStream(repo, layerStreamName(diffId as Parameters<typeof layerStreamName>[0])) !== undefined;
    expect([has(first?.diffId), has(second?.diffId)]).toEqual([true, false]);
    repo.close();
    expect(tagsOf(linux)).toEqual([]);
    await expectHealthy(linux, [second?.digest ?? ""]);
    registry.faults.length = 0;
    registry.requests.length = 0;
    await pullFrom(linux, registry);
    expect(registry.requests.some(({ path }) => path.endsWith(first?.digest ?? "?"))).toBe(false);
    // Two tries of the first run brought 100 bytes each.
    expect(registry.requests.filter(({ path }) => path.endsWith(second?.digest ?? "?"))).toMatchObject([
      { range: "bytes=200-" },
    ]);
    await expectHealthy(linux);
  });

  test.each([
    ["other bytes of the same length", (blob: Uint8Array) => blob.map((byte) => byte ^ 1)],
    ["fewer bytes", (blob: Uint8Array) => blob.subarray(0, blob.length - 1)],
    ["more bytes", (blob: Uint8Array) => Buffer.concat([blob, Buffer.alloc(5)])],
  ])("names nothing when a registry sends %s", async (_, spoil) => {
    const linux = await machineWithRepo({ v1 });
    const layer = v1.layers[1];
    const registry = await registryWith(v1, {
      faults: [
        { path: new RegExp(`${layer?.digest.slice(7)}$`), times: 100, content: spoil(layer?.blob ?? new Uint8Array()) },
      ],
    });
    const error = await failureOf(pullFrom(linux, registry));
    expect(error).toMatchObject({ code: expect.stringMatching(/^(digest-mismatch|bad-format|network)$/) });
    expect(namesInRepo(linux).filter((name) => !name.includes(`oci-layer-${v1.layers[0]?.diffId}`))).toEqual([]);
    await expectHealthy(linux, (error as OsdeployError).code === "network" ? [layer?.digest ?? ""] : []);
  });

  test("what an earlier run fetched is thrown away when it is not the layer's, and fetched anew once", async () => {
    const [largest] = [...v1.layers].sort((a, b) => b.blob.length - a.blob.length);
    const path = fromText(`${repoOfSysroot}/staging/layer-${largest?.digest.replace(":", "-")}`);
    for (const wrong of [Buffer.alloc(50, 7), Buffer.alloc(largest?.blob.length ?? 0), Buffer.alloc(1_000_000)]) {
      const linux = await machineWithRepo({ v1 });
      linux.files.makeDirectory(fromText(`${repoOfSysroot}/staging`), 0o700);
      linux.files.writeNewFile(path, wrong, 0o600);
      const registry = await registryWith(v1);
      await pullFrom(linux, registry);
      expect(
        registry.requests.filter((each) => each.path.endsWith(largest?.digest ?? "?")).at(-1)?.range,
      ).toBeUndefined();
      await expectHealthy(linux);
    }
  });

  test("interrupted while a registry sends nothing more, ends at once", async () => {
    const linux = await machineWithRepo({ v1 });
    const registry = await registryWith(v1, {
      faults: [{ path: /blobs\/sha256:[0-9a-f]{64}$/, times: 100, stallAfterBytes: 10 }],
    });
    const controller = new AbortController();
    const pulled = failureOf(pullFrom(linux, registry, { signal: controller.signal }));
    setTimeout(() => controller.abort(), 50);
    expect(await pulled).toMatchObject({ code: "interrupted" });
    expect(namesInRepo(linux)).toEqual([]);
    await expectHealthy(linux);
  });
});

test("pull: a full disk is told as such, and leaves nothing", async () => {
  const whole = await machineWithRepo({ v1 });
  const linux = whole.crash({ keepUnsynced: true }, { failAt: 12, fault: "ENOSPC", faultStays: true });
  expect(await failureOf(pullTag(linux, "v1"))).toMatchObject({ code: "no-space" });
  const after = linux.crash({ keepUnsynced: true });
  expect(namesInRepo(after)).toEqual([]);
  await pullTag(after, "v1");
  await expectHealthy(after);
});
