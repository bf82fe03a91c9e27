import { generateKeyPairSync } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { bundleImage } from "../../../src/operations/bundle.ts";
import { pull } from "../../../src/operations/pull.ts";
import { status } from "../../../src/operations/status.ts";
import {
  base,
  bootable,
  bring,
  bundle,
  carry,
  chunks,
  expectSound,
  host,
  images,
  kinds,
  many,
  readBytes,
  switchToBundle,
  top,
} from "../../builders/bundles.ts";
import { buildChunkedImage, buildChunkedLayer, noise } from "../../builders/chunked-layer.ts";
import { type BuiltImage, buildImage } from "../../builders/oci-image.ts";
import { sha256 } from "../../builders/oci-layer.ts";
import { bareEnvironment } from "../../builders/oci-source.ts";
import {
  failureOf,
  layoutReference,
  linuxAmd64,
  machineWith,
  machineWithRepo,
  namesInRepo,
  noLogin,
  pullTag,
  repoOfSysroot,
  SeenProgress,
  switchTo,
  sysrootPath,
  systemOn,
} from "../../builders/operation-machine.ts";
import { registryWith, stopRegistries } from "../../builders/partial-pull.ts";

afterEach(stopRegistries);

describe("bundleImage", () => {
  test("for hosts with the older image it leaves out what they have, and they make the same root image of the rest", async () => {
    const maker = machineWith(images);
    const target = await host("v1");
    const bundled = await bundle(maker, { hosts: await carry([target], maker) });
    expect(bundled).toMatchObject({ manifestDigest: images.v2.manifestDigest, hosts: 1, bundle: "oci-archive:/b.tar" });
    expect(kinds(bundled)).toEqual(["absent", "parts"]);
    const changed = 3 * 20_000 + 10_000;
    expect(bundled.bundledBytes).toBeGreaterThan(changed);
    expect(bundled.bundledBytes).toBeLessThan(1.1 * changed + top.v2.tableBytes);
    expect(bundled.archiveBytes).toBe(readBytes(maker).length);
    expect(maker.files.readDirectory(fromText("/")).filter((name) => name.startsWith(".osdeploy"))).toEqual([]);
    expect(maker.openPaths).toEqual([]);

    bring(maker, target);
    const progress = new SeenProgress();
    const switched = await switchToBundle(target, {}, progress);
    const whole = await host("v2");
    const [expected] = (await status(systemOn(whole), { sysroot: sysrootPath })).deployments;
    expect(switched).toMatchObject({ kind: "deployed", rootImage: expected?.rootImage, image: "oci-archive:/b.tar" });
    expect(progress.warnings).toEqual([]);
    await expectSound(target);
  });

  test("the system follows the file, or what it is told to", async () => {
    const target = await host("v1");
    await bundle(target, { bases: [layoutReference("v1")] });
    expect(await switchToBundle(target)).toMatchObject({ image: "oci-archive:/b.tar" });
    const targetReference = "registry.example/os:stable";
    expect(await switchToBundle(target, { targetReference })).toMatchObject({
      image: "docker://registry.example/os:stable",
    });
  });

  test("holds what any of several hosts lacks, and serves each", async () => {
    const maker = machineWith(images);
    const hosts = [await host("v1"), await host("v3"), await host("v1", "v3"), await host("v2")];
    const bundled = await bundle(maker, { hosts: await carry(hosts, maker) });
    expect([kinds(bundled), bundled.hosts]).toEqual([["absent", "parts"], 4]);
    for (const each of hosts) {
      bring(maker, each);
      await switchToBundle(each);
      await expectSound(each);
    }
  });

  test("the same request gives the same bytes, in whatever order hosts are named, and from a repo as well", async () => {
    const maker = await machineWithRepo(images);
    const hosts = await carry([await host("v1"), await host("v3")], maker);
    await bundle(maker, { hosts });
    const first = sha256(readBytes(maker));
    await bundle(maker, { hosts: [...hosts].reverse() });
    expect(sha256(readBytes(maker))).toBe(first);
    for (const tag of ["v1", "v3"]) await pullTag(maker, tag);
    await bundle(maker, { hosts, repo: repoOfSysroot });
    expect(sha256(readBytes(maker))).toBe(first);
  });

  test("without hosts it is an archive with the whole image", async () => {
    const linux = machineWith(images);
    const bundled = await bundle(linux);
    expect(kinds(bundled)).toEqual(["whole", "whole"]);
    expect(bundled.bundledBytes).toBe(bundled.imageBytes);
    expect(Buffer.from(readBytes(linux)).includes("vnd.osdeploy.bundle")).toBe(false);
    await switchToBundle(linux);
    await expectSound(linux);
  });

  test("a host with the older image in gzip makes use of what it has, once the maker knows it", async () => {
    const plain: BuiltImage = await buildImage({ layers: [bootable, many(30, [], 1)] });
    const all = { ...images, plain };
    const target = machineWith(all);
    await switchTo(target, "plain");
    const maker = await machineWithRepo(all);
    const hosts = await carry([target], maker);
    // The tars are the same as those of v1, whatever they are compressed with.
    expect(plain.layers.map(({ diffId }) => diffId)).toEqual(images.v1.layers.map(({ diffId }) => diffId));
    expect(kinds(await bundle(maker, { hosts }))).toEqual(["absent", "whole"]);
    await pullTag(maker, "plain");
    expect(kinds(await bundle(maker, { hosts, repo: repoOfSysroot }))).toEqual(["absent", "parts"]);
    bring(maker, target);
    await switchToBundle(target);
    await expectSound(target);
  });

  test("an older image is found in the repo by its name, or else where its reference leads", async () => {
    const maker = await machineWithRepo(images);
    await pullTag(maker, "v1");
    for (const words of [layoutReference("v1"), layoutReference("v3")]) {
      expect(kinds(await bundle(maker, { bases: [words], repo: repoOfSysroot }))).toEqual(["absent", "parts"]);
    }
    expect(await failureOf(bundle(maker, { bases: ["oci:/layout:v9"], repo: repoOfSysroot }))).toMatchObject({
      code: "not-found",
    });
    const broken = fromText(`${repoOfSysroot}/streams/refs`);
    maker.files.rename(broken, fromText(`${repoOfSysroot}/streams/oci-refs`));
    maker.files.writeNewFile(broken, new Uint8Array(), 0o644);
    expect(await failureOf(bundle(maker, { bases: ["x"], repo: repoOfSysroot }))).toBeDefined();
    expect(maker.openPaths).toEqual([]);
  });

  test("looks for the images of hosts beside the image, and takes whole layers where they are not", async () => {
    const registry = await registryWith({ v1: images.v1, v2: images.v2 });
    const image = `docker://${registry.host}/os:v2`;
    const maker = machineWith(images);
    const source = { ...noLogin, environment: bareEnvironment, tlsVerify: false, retry: { tries: 2, delayMs: 1 } };
    const known = await bundle(maker, { image, source, hosts: await carry([await host("v1")], maker) });
    expect(kinds(known)).toEqual(["absent", "parts"]);
    expect(Buffer.from(readBytes(maker)).includes(`${registry.host}/os:v2`)).toBe(true);
    const other = machineWith(images);
    const progress = new SeenProgress();
    const hosts = await carry([await host("v3")], other);
    expect(kinds(await bundle(other, { image, source, hosts }, progress))).toEqual(["absent", "whole"]);
    expect(progress.warnings).toEqual([expect.stringMatching(/^It is not known what image sha256:.* is made of/)]);
    const archive = machineWith(images);
    await bundle(archive, { output: fromText("/all.tar") });
    const again = new SeenProgress();
    const from = { image: "oci-archive:/all.tar", hosts: await carry([await host("v3")], archive) };
    expect(kinds(await bundle(archive, from, again))).toEqual(["absent", "whole"]);
    expect(again.warnings).toHaveLength(1);
  });

  test("takes layers whole from a registry that ignores ranges, and gives up on one that fails", async () => {
    const source = { ...noLogin, environment: bareEnvironment, retry: { tries: 2, delayMs: 1 } };
    const maker = machineWith(images);
    const hosts = await carry([await host("v1")], maker);
    const deaf = await registryWith({ v1: images.v1, v2: images.v2 }, { ignoreRange: true });
    const made = await bundle(maker, { image: `docker://${deaf.host}/os:v2`, source, hosts });
    expect(kinds(made)).toEqual(["absent", "whole"]);
    const before = sha256(readBytes(maker));
    const faults = Array.from({ length: 20 }, () => ({ path: new RegExp(top.v2.digest), status: 500 }));
    const failing = await registryWith({ v1: images.v1, v2: images.v2 }, { faults });
    const request = bundle(maker, { image: `docker://${failing.host}/os:v2`, source, hosts });
    expect(await failureOf(request)).toMatchObject({ code: "network" });
    expect(sha256(readBytes(maker))).toBe(before);
    expect(maker.files.readDirectory(fromText("/")).filter((name) => name.startsWith("."))).toEqual([]);
    expect(maker.openPaths).toEqual([]);
  });

  test("a layer whose parts are not what its table says is taken whole, with a warning", async () => {
    const lying = await buildChunkedLayer(many(30, [3], 4), {
      ...chunks,
      frameOf: (name, content) => (name === "usr/file-3" ? noise(content.length, 99) : content),
    });
    const linux = machineWith({ ...images, v4: buildChunkedImage([base, lying]) });
    const progress = new SeenProgress();
    const made = await bundle(linux, { image: layoutReference("v4"), bases: [layoutReference("v1")] }, progress);
    expect(kinds(made)).toEqual(["absent", "whole"]);
    expect(progress.warnings).toEqual([
      expect.stringMatching(/cannot be taken in parts, so it is bundled whole: .*part/),
    ]);
  });

  test("nothing is left when it is stopped, and the archive that was there stays", async () => {
    const linux = machineWith(images);
    await bundle(linux);
    const before = sha256(readBytes(linux));
    const stop = new AbortController();
    const progress = ({ kind }: { readonly kind: string }) => {
      if (kind === "layer-advanced") stop.abort();
    };
    const request = {
      ...{ platform: linuxAmd64, source: noLogin, repo: undefined, hosts: [], bases: [layoutReference("v1")] },
      ...{ image: parseImageReference(layoutReference("v2")), output: fromText("/b.tar") },
    };
    const stopped = bundleImage(systemOn(linux, { progress, signal: stop.signal }), request);
    expect(await failureOf(stopped)).toMatchObject({ code: "interrupted" });
    expect(sha256(readBytes(linux))).toBe(before);
    expect(linux.files.readDirectory(fromText("/")).filter((name) => name.startsWith("."))).toEqual([]);
    expect(linux.openPaths).toEqual([]);
  });

  test("refuses an output that is no file before the image is looked for", async () => {
    const maker = machineWith(images);
    maker.files.makeDirectory(fromText("/b.tar"), 0o755);
    const progress = new SeenProgress();
    expect(await failureOf(bundle(maker, { image: "oci:/nowhere:os" }, progress))).toMatchObject({
      code: "already-exists",
      message: 'Cannot write an archive to "/b.tar": there is a directory',
    });
    expect(progress.events).toEqual([]);
  });

  test("refuses what is no status of a host", async () => {
    const linux = machineWith(images);
    linux.files.writeNewFile(fromText("/h.json"), new TextEncoder().encode("{}"), 0o644);
    expect(await failureOf(bundle(linux, { hosts: [fromText("/h.json")] }))).toMatchObject({ code: "unsupported" });
    expect(linux.openPaths).toEqual([]);
  });
});

describe("a bundle on a machine that it was not made for", () => {
  test("names the layers that are missing and what to do, and changes nothing", async () => {
    const maker = machineWith(images);
    await bundle(maker, { bases: [layoutReference("v1")] });
    const target = await machineWithRepo({});
    bring(maker, target);
    const before = namesInRepo(target);
    const message = `Cannot take layer ${base.digest} from oci-archive:/b.tar: it was made for machines that have the rest, and this one has not`;
    const failed = { code: "unsupported", message, facts: { hint: expect.stringContaining("--hosts") } };
    expect(await failureOf(switchToBundle(target))).toMatchObject(failed);
    expect(namesInRepo(target)).toEqual(before);
    await expectSound(target);
  });

  test("says so when parts of a layer are missing that it has not either", async () => {
    const maker = machineWith(images);
    await bundle(maker, { bases: [layoutReference("v1")] });
    const target = await host("v3");
    bring(maker, target);
    const before = await status(systemOn(target), { sysroot: sysrootPath });
    const progress = new SeenProgress();
    expect(await failureOf(switchToBundle(target, {}, progress))).toMatchObject({
      code: "unsupported",
      message: expect.stringContaining(`Cannot take layer ${top.v2.digest} from oci-archive:/b.tar`),
    });
    expect(progress.warnings).toEqual([
      expect.stringContaining("cannot be put together from what the bundle has of it"),
    ]);
    expect(await status(systemOn(target), { sysroot: sysrootPath })).toEqual(before);
    await expectSound(target);
  });

  test("the whole of a layer cannot be copied out of it", async () => {
    const linux = machineWith(images);
    await bundle(linux, { bases: [layoutReference("v1")] });
    const again = bundle(linux, { image: "oci-archive:/b.tar", output: fromText("/c.tar") });
    expect(await failureOf(again)).toMatchObject({ code: "unsupported" });
  });
});

test("the signature policy of a host is asked about the archive's path, and no signature comes with it", async () => {
  const linux = await machineWithRepo(images);
  await bundle(linux);
  const pullUnder = async (requirement: object) => {
    const policy = { default: [{ type: "reject" }], transports: { "oci-archive": { "/b.tar": [requirement] } } };
    const path = fromText(`/policy-${linux.clock.randomName()}.json`);
    linux.files.writeNewFile(path, new TextEncoder().encode(JSON.stringify(policy)), 0o644);
    const image = parseImageReference("oci-archive:/b.tar");
    const source = { ...noLogin, signaturePolicy: path };
    return pull(systemOn(linux), { image, repo: repoOfSysroot, platform: linuxAmd64, source, bootable: false });
  };
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const keyData = Buffer.from(publicKey.export({ type: "spki", format: "pem" })).toString("base64");
  const signed = { type: "sigstoreSigned", keyData };
  for (const refused of [signed, { type: "reject" }]) {
    expect(await failureOf(pullUnder(refused))).toMatchObject({ code: "untrusted" });
    expect(namesInRepo(linux)).toEqual([]);
  }
  await pullUnder({ type: "insecureAcceptAnything" });
});

test("a pull takes a bundle as a switch does", async () => {
  const linux = await machineWithRepo(images);
  await pullTag(linux, "v1");
  await bundle(linux, { bases: [layoutReference("v1")] });
  const image = parseImageReference("oci-archive:/b.tar");
  const request = { image, repo: repoOfSysroot, platform: linuxAmd64, source: noLogin, bootable: true };
  const pulled = await pull(systemOn(linux), request);
  expect(pulled.layers.map(({ known }) => known)).toEqual([true, false]);
  expect(pulled.manifestDigest).toBe(images.v2.manifestDigest);
});
