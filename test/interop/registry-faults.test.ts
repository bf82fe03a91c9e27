import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseDiffId } from "../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { checkRepo } from "../../src/operations/check-repo.ts";
import { type PullResult, pull } from "../../src/operations/pull.ts";
import { openRepo } from "../../src/repo/repo.ts";
import { findStream, layerStreamName } from "../../src/repo/streams.ts";
import { openssl, selfSigned } from "../builders/certificates.ts";
import { type BuiltImage, buildImage } from "../builders/oci-image.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { linuxAmd64, machineWithRepo, repoOfSysroot, systemOn } from "../builders/operation-machine.ts";
import type { FakeLinux } from "../fakes/fake-linux.ts";
import { FaultProxy, type PlannedFault, type ProxyFault } from "../fakes/fault-proxy.ts";
import {
  type DockerRegistry,
  hasDockerRegistry,
  pushLayout,
  registryUser,
  startDockerRegistry,
} from "../tools/docker-registry.ts";

const canRun = hasDockerRegistry && openssl !== undefined;
const directory = mkdtempSync(join(tmpdir(), "registry-faults-"));

let registry: DockerRegistry;
let proxy: FaultProxy;
let authority: string;
let v1: BuiltImage;
let v2: BuiltImage;

/** Content that compression makes little smaller. */
function noise(length: number, seed: number): string {
  let text = "";
  for (let at = 0; text.length < length; at++) text += createHash("sha512").update(`${seed} ${at}`).digest("base64");
  return text.slice(0, length);
}

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

/** A machine that trusts the proxy and has a login for it. */
async function machine(): Promise<FakeLinux> {
  const linux = await machineWithRepo({});
  const auth = Buffer.from(`${registryUser.user}:${registryUser.password}`).toString("base64");
  for (const path of [
    "/etc",
    "/etc/osdeploy",
    "/etc/containers",
    "/etc/containers/certs.d",
    `/etc/containers/certs.d/${proxy.host}`,
  ]) {
    if (linux.files.lstatIfExists(fromText(path)) === undefined) linux.files.makeDirectory(fromText(path), 0o755);
  }
  const write = (path: string, text: string) => linux.files.writeNewFile(fromText(path), Buffer.from(text), 0o600);
  write(`/etc/containers/certs.d/${proxy.host}/ca.crt`, authority);
  write("/etc/osdeploy/auth.json", JSON.stringify({ auths: { [proxy.host]: { auth } } }));
  return linux;
}

/** Losing patience after three tries and half a second of silence. */
function pullOn(linux: FakeLinux): Promise<PullResult> {
  return pull(systemOn(linux), {
    image: parseImageReference(`${proxy.host}/lab/os:v1`),
    repo: repoOfSysroot,
    platform: linuxAmd64,
    source: {
      environment: { variables: {}, userId: 0 },
      retry: { tries: 3, delayMs: 1 },
      timeouts: { connectMs: 5_000, headersMs: 5_000, idleMs: 500 },
    },
    bootable: false,
  });
}

const sumOf = (bytes: ReadonlyMap<string, number>) => [...bytes.values()].reduce((sum, each) => sum + each, 0);
const layerBytes = (image: BuiltImage) => image.layers.reduce((sum, { blob }) => sum + blob.length, 0);

/** The bytes of an image's layers that the machine has: in layers that are imported, or in files that wait. */
function bytesHere(linux: FakeLinux, image: BuiltImage): number {
  const repo = openRepo(linux, repoOfSysroot, { access: "read", wait: false });
  const bytes = image.layers.map(({ digest, diffId, blob }) => {
    if (findStream(repo, layerStreamName(parseDiffId(diffId))) !== undefined) return blob.length;
    const path = fromText(`${repoOfSysroot}/staging/layer-${digest.replace(":", "-")}`);
    return linux.files.lstatIfExists(path)?.sizeBytes ?? 0;
  });
  repo.close();
  return bytes.reduce((sum, each) => sum + each, 0);
}

/** One pull with a fault, what it says, and that it left the repo in order. */
async function disturbed(linux: FakeLinux, planned: PlannedFault): Promise<{ readonly code: string }> {
  proxy.plan(planned);
  const before = Date.now();
  const ended = await pullOn(linux).then(
    () => ({ code: "done", message: "" }),
    (error: unknown) => {
      if (!(error instanceof OsdeployError)) throw error;
      return { code: error.code, message: error.message };
    },
  );
  expect(Date.now() - before).toBeLessThan(20_000);
  expect(ended.message).not.toMatch(/s3cret|YW5u/);
  if (ended.code !== "done") expect(ended.message).toMatch(/^Cannot /);
  await expectInOrder(linux);
  expect(proxy.strangers.filter((authorization) => authorization !== undefined)).toEqual([]);
  return ended;
}

async function expectInOrder(linux: FakeLinux): Promise<void> {
  const { problems } = await checkRepo(systemOn(linux), { repo: repoOfSysroot, metadataOnly: false });
  expect(problems.filter(({ kind }) => kind !== "leftover")).toEqual([]);
}

/** The next run, undisturbed: it ends well and brings only the rest. Returns what it brought. */
async function nextRun(linux: FakeLinux): Promise<number> {
  proxy.plan(undefined);
  const { manifestDigest } = await pullOn(linux);
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
    const linux = await machine();
    expect(await nextRun(linux)).toBe(layerBytes(v1) + v1.config.length);
    expect(await nextRun(linux)).toBe(v1.config.length);
  });

  test.each(faults)("each request %s once", { timeout: 300_000 }, async (_, fault, expected) => {
    const requests = await requestsOfPull();
    for (let at = 0; at < requests; at++) {
      const linux = await machine();
      const outcome = await disturbed(linux, { fault, at, lasts: "once" });
      // Who refuses to say what refers to the image, by a list or by the tag in its place, has nothing that does.
      const isList = /\/referrers\/|\/manifests\/sha256-/.test(proxy.paths[at] ?? "");
      const isRefused = fault.kind === "status" && fault.status < 429;
      expect(outcome.code, `at request ${at}`).toMatch(isList && isRefused ? /^done$/ : expected);
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
      const linux = await machine();
      const outcome = await disturbed(linux, { fault, at, lasts: "for ever" });
      expect(outcome.code, `from request ${at} on`).toMatch(expected);
      await nextRun(linux);
    }
  });
});

async function requestsOfPull(): Promise<number> {
  proxy.plan(undefined);
  await pullOn(await machine());
  return proxy.requests;
}
