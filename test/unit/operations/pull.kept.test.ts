import { afterEach, expect, test, vi } from "vitest";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { pull } from "../../../src/operations/pull.ts";
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
import { FakeRegistry, type Fault } from "../../fakes/fake-registry.ts";

const v1 = await buildOsImage("v1");
const [first, second] = [...v1.layers].sort((a, b) => b.blob.length - a.blob.length);
const registries: FakeRegistry[] = [];

afterEach(async () => {
  for (const registry of registries.splice(0)) await registry.stop();
});

/** Pulls from a registry with this fault: the code of the error, the layers that were kept, and requests for the other. */
async function pullWith(fault: Omit<Fault, "path">): Promise<readonly unknown[]> {
  const linux = await machineWithRepo({ v1 });
  const registry = await FakeRegistry.start({
    faults: [{ path: new RegExp(`${second?.digest.slice(7)}$`), times: 100, ...fault }],
  });
  registries.push(registry);
  registry.add(v1, "v1");
  const error = await failureOf(
    pull(systemOn(linux), {
      ...{ image: parseImageReference(`docker://${registry.host}/os:v1`), repo: repoOfSysroot, platform: linuxAmd64 },
      source: { environment: bareEnvironment, retry: { tries: 1, delayMs: 1 } },
      bootable: true,
    }),
  );
  const names = namesInRepo(linux).filter((name) => name.includes("oci-layer-"));
  const requests = registry.requests.filter(({ path }) => path.endsWith(second?.digest ?? "?")).length;
  return [(error as { readonly code?: string }).code, names.map((name) => name.split("oci-layer-")[1]), requests];
}

const spoiled = Buffer.from(second?.blob ?? []).map((byte) => byte ^ 1);

test.each<[string, Omit<Fault, "path">, number]>([
  ["network", { dropAfterBytes: 100 }, 1],
  ["unauthorized", { status: 403 }, 1],
  ["not-found", { status: 404 }, 1],
  ["digest-mismatch", { content: spoiled }, 2],
])(
  "pull: where it is who serves a layer that is at fault (%s), finished ones are kept, and only other bytes come once more",
  async (code, fault, requests) => {
    expect(await pullWith(fault)).toEqual([code, [first?.diffId], requests]);
  },
);

test("pull: layers come while the registry is asked what refers to the image", async () => {
  const linux = await machineWithRepo({ v1 });
  const registry = await FakeRegistry.start({
    faults: [{ path: /\/referrers\//, stallAfterBytes: 0, content: Buffer.alloc(10) }],
  });
  registries.push(registry);
  registry.add(v1, "v1");
  const controller = new AbortController();
  const pulled = failureOf(
    pull(systemOn(linux, { signal: controller.signal }), {
      ...{ image: parseImageReference(`docker://${registry.host}/os:v1`), repo: repoOfSysroot, platform: linuxAmd64 },
      source: { environment: bareEnvironment },
      bootable: true,
    }),
  );
  await vi.waitFor(() => {
    const asked = registry.requests.map(({ path }) => path.split("/").at(-1));
    expect(asked).toEqual(expect.arrayContaining([v1.manifestDigest, first?.digest, second?.digest]));
  });
  controller.abort();
  expect(await pulled).toMatchObject({ code: "interrupted" });
});

test("pull: of an image that is itself bad no layer is kept", async () => {
  const longer = Buffer.concat([second?.blob ?? Buffer.alloc(0), Buffer.alloc(5)]);
  expect(await pullWith({ content: longer })).toEqual(["bad-format", [], 1]);
});
