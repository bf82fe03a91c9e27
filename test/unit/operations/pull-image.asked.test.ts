import { afterEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { sealingArtifactType } from "../../../src/core/trust/promised-digests.ts";
import { openImageSource } from "../../../src/image-source/open-image-source.ts";
import { pull } from "../../../src/operations/pull.ts";
import { type ImageToPull, pullImage } from "../../../src/operations/pull-image.ts";
import { readDirectoryIfExists } from "../../../src/repo/object-listing.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { bareEnvironment } from "../../builders/oci-source.ts";
import {
  failureOf,
  linuxAmd64,
  machineWithRepo,
  namesInRepo,
  repoOfSysroot,
  systemOn,
} from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import { putReferrer } from "../../builders/registry-referrer.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";
import { FakeRegistry, type Fault } from "../../fakes/fake-registry.ts";

const v1 = await buildOsImage("v1");
const largest = new RegExp([...v1.layers].sort((a, b) => b.blob.length - a.blob.length)[0]?.digest ?? "?");
const rawKey = "composefs.merged.erofs.v1.fsverity-sha512-12";
const staging = fromText(`${repoOfSysroot}/staging`);
const source = {
  ...{ environment: bareEnvironment, retry: { tries: 1, delayMs: 1 } },
  timeouts: { connectMs: 2_000, headersMs: 400, idleMs: 400 },
};
const registries: FakeRegistry[] = [];

afterEach(async () => {
  for (const registry of registries.splice(0)) await registry.stop();
});

async function registryWith(faults: readonly Fault[] = []): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start({ faults: [...faults] });
  registries.push(registry);
  registry.add(v1, "v1");
  return registry;
}

/** Puts an artifact beside the image that promises this of its root image. */
function promise(registry: FakeRegistry, rawImage: unknown): Promise<string> {
  return putReferrer(`${registry.host}/os:v1`, v1.manifestDigest, {
    ...{ artifactType: sealingArtifactType, mediaType: "application/octet-stream", content: Buffer.from("x") },
    annotations: { [rawKey]: rawImage },
  });
}

function pullFrom(linux: FakeLinux, registry: FakeRegistry) {
  return pull(systemOn(linux), {
    ...{ image: parseImageReference(`docker://${registry.host}/os:v1`), repo: repoOfSysroot, platform: linuxAmd64 },
    ...{ source, bootable: true },
  });
}

describe("what refers to an image", () => {
  test("is asked for also of one that is here, and refuses that", async () => {
    const linux = await machineWithRepo({});
    const registry = await registryWith();
    const { rawImage, sealedBy } = await pullFrom(linux, registry);
    expect(sealedBy).toEqual([]);
    const good = await promise(registry, rawImage);
    expect((await pullFrom(linux, registry)).sealedBy).toEqual([`annotation ${rawKey} of artifact ${good}`]);
    const bad = await promise(registry, "0".repeat(128));
    expect(await failureOf(pullFrom(linux, registry))).toMatchObject({
      code: "digest-mismatch",
      message: expect.stringContaining(`of artifact ${bad} promises`),
    });
  });

  test("refuses a new one before anything of it has a name", async () => {
    const linux = await machineWithRepo({});
    const before = namesInRepo(linux);
    const registry = await registryWith();
    await promise(registry, "0".repeat(128));
    expect(await failureOf(pullFrom(linux, registry))).toMatchObject({ code: "digest-mismatch" });
    expect(namesInRepo(linux)).toEqual(before);
    expect(readDirectoryIfExists(linux.files, staging)).toEqual([]);
  });

  test("that cannot be had is the error, though layers still come", async () => {
    const stalled: Fault = { path: largest, times: 9, stallAfterBytes: 1 };
    const linux = await machineWithRepo({});
    const registry = await registryWith([stalled, { path: /\/referrers\//, status: 503 }]);
    expect(await failureOf(pullFrom(linux, registry))).toMatchObject({
      code: "network",
      message: expect.stringMatching(/^Cannot fetch the referrers of /),
    });
  });

  test("that cannot be read is the error, and nothing stays of layers that still come", async () => {
    const linux = await machineWithRepo({});
    const registry = await registryWith([{ path: largest, times: 9, stallAfterBytes: 1 }]);
    await promise(registry, 5);
    expect(await failureOf(pullFrom(linux, registry))).toMatchObject({ code: "bad-format" });
    expect(readDirectoryIfExists(linux.files, staging)).toEqual([]);
  });

  test("is nobody's failure where something else failed before", async () => {
    const linux = await machineWithRepo({});
    await pullFrom(linux, await registryWith());
    const registry = await registryWith([{ path: /\/referrers\//, status: 503, times: 9 }]);
    const opened = openImageSource(parseImageReference(`docker://${registry.host}/os:v1`), linux, source);
    const image = await opened.resolve(linuxAmd64);
    const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
    const request: ImageToPull = {
      ...{ reference: opened.reference(), image, layers: { kind: "source", source: opened } },
      ...{ tag: "v1", bootable: true },
      checkTree: () => {
        throw new OsdeployError("not-bootable", "it has no kernel");
      },
    };
    expect(await failureOf(pullImage(systemOn(linux), repo, request))).toMatchObject({ code: "not-bootable" });
    // As long as the answer takes.
    await expect.poll(() => registry.requests.some(({ path }) => path.includes("/referrers/"))).toBe(true);
    await opened.close();
    repo.close();
  });
});
