import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { openssl, selfSigned } from "../builders/certificates.ts";
import { type BuiltImage, buildImage } from "../builders/oci-image.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { repoOfSysroot } from "../builders/operation-machine.ts";
import { bytesHere, endOf, expectInOrder, machineFor, noise, pullOn } from "../builders/registry-machine.ts";
import type { FakeLinux } from "../fakes/fake-linux.ts";
import { FaultProxy, type PlannedFault, type ProxyFault } from "../fakes/fault-proxy.ts";
import { type DockerRegistry, hasDockerRegistry, pushLayout, startDockerRegistry } from "../tools/docker-registry.ts";

const canRun = hasDockerRegistry && openssl !== undefined;
const directory = mkdtempSync(join(tmpdir(), "registry-faults-"));

let registry: DockerRegistry;
let proxy: FaultProxy;
let authority: string;
let v1: BuiltImage;
let v2: BuiltImage;

beforeAll(async () => {
  if (!canRun) return;
  const layers = (seed: number) =>
    [150_000, 40_000, 3_000].map((length, at) => [
      { path: "usr/" },
      { path: `usr/f${at}`, content: noise(length, seed + at) },
    ]);
  v1 = await buildImage({ layers: layers(1) });
  v2 = await buildImage({ layers: layers(100) });
  writeLayout(join(directory, "layout"), [
    { image: v1, tag: "v1" },
    { image: v2, tag: "v2" },
  ]);
  const tls = selfSigned();
  authority = tls.cert;
  registry = await startDockerRegistry(join(directory, "registry"), { tls, login: true });
  for (const tag of ["v1", "v2"]) {
    await pushLayout(`${join(directory, "layout")}:${tag}`, `${registry.host}/lab/os:${tag}`, { login: true });
  }
  proxy = await FaultProxy.start(registry.host, tls);
}, 120_000);

afterAll(async () => {
  if (canRun) {
    await proxy.stop();
    await registry.stop();
  }
  rmSync(directory, { recursive: true });
});

const sumOf = (bytes: ReadonlyMap<string, number>) => [...bytes.values()].reduce((sum, each) => sum + each, 0);
const layerBytes = (image: BuiltImage) => image.layers.reduce((sum, { blob }) => sum + blob.length, 0);

/** One pull with a fault, what it says, and that it left the repo in order. */
async function disturbed(linux: FakeLinux, planned: PlannedFault): Promise<{ readonly code: string }> {
  proxy.plan(planned);
  const before = Date.now();
  const ended = await endOf(pullOn(linux, proxy.host));
  expect(Date.now() - before).toBeLessThan(20_000);
  await expectInOrder(linux);
  expect(proxy.strangers.filter((authorization) => authorization !== undefined)).toEqual([]);
  return ended;
}

/** The next run, undisturbed: it ends well and brings only the rest. Returns what it brought. */
async function nextRun(linux: FakeLinux): Promise<number> {
  proxy.plan(undefined);
  const { manifestDigest } = await pullOn(linux, proxy.host);
  expect([v1.manifestDigest, v2.manifestDigest]).toContain(manifestDigest);
  await expectInOrder(linux);
  expect(linux.files.readDirectory(fromText(`${repoOfSysroot}/staging`))).toEqual([]);
  return sumOf(proxy.sentBytes);
}

const status = (code: number, headers: Readonly<Record<string, string>> = {}): ProxyFault => ({
  ...{ kind: "status", status: code, headers },
});

/** Each fault; how a pull may end that meets it once, and how one that always meets it. */
const faults: readonly (readonly [string, ProxyFault, RegExp, RegExp])[] = [
  ["dropped", { kind: "drop" }, /^done$/, /^network$/],
  ["delayed", { kind: "delay", ms: 50 }, /^done$/, /^done$/],
  ["truncated", { kind: "truncate" }, /^done$/, /^(done|network|bad-format|digest-mismatch|unauthorized)$/],
  ["stalled", { kind: "stall" }, /^done$/, /^(done|network)$/],
  ["asked twice", { kind: "ask-twice" }, /^done$/, /^done$/],
  [
    "answered twice",
    { kind: "send-twice" },
    /^(done|bad-format|digest-mismatch)$/,
    /^(done|bad-format|digest-mismatch)$/,
  ],
  ["401", status(401), /^unauthorized$/, /^unauthorized$/],
  ["403", status(403), /^unauthorized$/, /^unauthorized$/],
  ["404", status(404), /^not-found$/, /^not-found$/],
  ["416", status(416), /^network$/, /^network$/],
  ["429", status(429, { "retry-after": "0" }), /^done$/, /^network$/],
  ["500", status(500), /^done$/, /^network$/],
  ["502", status(502), /^done$/, /^network$/],
  ["503", status(503), /^done$/, /^network$/],
  ["redirected to another host", { kind: "redirect" }, /^done$/, /^done$/],
  [
    "changed",
    { kind: "change" },
    /^(done|bad-format|digest-mismatch|not-found|limit-exceeded|unsupported|network)$/,
    /./,
  ],
  ["truncated, then Range ignored", { kind: "truncate-and-ignore-range" }, /^done$/, /^(done|network|bad-format)$/],
  ["served another image from there on", { kind: "move-tag", from: "v1", to: "v2" }, /^done$/, /^done$/],
];

describe.skipIf(!canRun)("a pull through a proxy with faults (needs docker-registry, skopeo and openssl)", () => {
  test("undisturbed: each layer comes once", async () => {
    const linux = await machineFor(proxy.host, authority);
    expect(await nextRun(linux)).toBe(layerBytes(v1) + v1.config.length);
    expect(await nextRun(linux)).toBe(v1.config.length);
  });

  test.each(faults)("each request %s once", { timeout: 300_000 }, async (_, fault, expected) => {
    const requests = await requestsOfPull();
    for (let at = 0; at < requests; at++) {
      const linux = await machineFor(proxy.host, authority);
      const outcome = await disturbed(linux, { fault, at, lasts: "once" });
      expect(outcome.code, `at request ${at}`).toMatch(isRefusedList(fault, proxy.paths[at]) ? /^done$/ : expected);
      const here = bytesHere(linux, v1);
      const rest = await nextRun(linux);
      // A pull that ended well, or clearly, leaves only the rest to do; what came changed is found out, and comes anew.
      const missing = layerBytes(v1) + v1.config.length - here;
      const spoilt = /change|twice/.test(fault.kind) && outcome.code !== "done" ? layerBytes(v1) : 0;
      expect(rest, `after request ${at}`).toBeLessThanOrEqual(missing + spoilt);
    }
  });

  test.each(faults)("each request from one on %s", { timeout: 300_000 }, async (_, fault, __, expected) => {
    const requests = await requestsOfPull();
    for (let at = 0; at < requests; at++) {
      const linux = await machineFor(proxy.host, authority);
      const outcome = await disturbed(linux, { fault, at, lasts: "for ever" });
      // They come beside the layers, and can be the last of all.
      const onlyLists = proxy.paths.slice(at).every((path) => isRefusedList(fault, path));
      expect(outcome.code, `from request ${at} on`).toMatch(onlyLists ? /^done$/ : expected);
      await nextRun(linux);
    }
  });
});

/** Who refuses to say what refers to the image, by a list or by the tag in its place, has nothing that does. */
function isRefusedList(fault: ProxyFault, path = ""): boolean {
  return fault.kind === "status" && fault.status < 429 && /\/referrers\/|\/manifests\/sha256-/.test(path);
}

async function requestsOfPull(): Promise<number> {
  proxy.plan(undefined);
  await pullOn(await machineFor(proxy.host, authority), proxy.host);
  return proxy.requests;
}
