import { beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseDiffId } from "../../../src/core/digest/oci-digest.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { openImageSource } from "../../../src/image-source/open-image-source.ts";
import { Holders } from "../../../src/operations/bundle-holders.ts";
import {
  base,
  bring,
  bundle,
  carry,
  chunks,
  expectSound,
  host,
  images,
  kinds,
  many,
  switchToBundle,
  top,
} from "../../builders/bundles.ts";
import { buildChunkedImage, buildChunkedLayer, noise } from "../../builders/chunked-layer.ts";
import {
  failureOf,
  layoutReference,
  linuxAmd64,
  machineWith,
  noLogin,
  SeenProgress,
  systemOn,
} from "../../builders/operation-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const newFiles = [...many(30, [3, 17], 2), { path: "usr/new", content: noise(30_000, 7) }];
/** Layers that hold what is new in v2, and are said to unpack to what a layer of v1 unpacks to. */
const lying = {
  top: { ...(await buildChunkedLayer(newFiles, { ...chunks, chunkBytes: 9000 })), diffId: top.v1.diffId },
  base: { ...(await buildChunkedLayer(newFiles, { ...chunks, chunkBytes: 9000 })), diffId: base.diffId },
};
const all = {
  ...images,
  evil: buildChunkedImage([base, lying.top]),
  low: buildChunkedImage([lying.base, top.v3]),
};

let maker: FakeLinux;
beforeEach(() => {
  maker = machineWith(all);
});

/** A status that says so. */
function say(name: string, manifestDigest: string, diffIds: readonly string[]) {
  const path = fromText(`/${name}.json`);
  const layers = diffIds.map((diffId) => ({ digest: diffId, diffId }));
  const value = { schemaVersion: 1, deployments: [{ manifestDigest, layers }] };
  maker.files.writeNewFile(path, new TextEncoder().encode(JSON.stringify(value)), 0o644);
  return path;
}

/** A policy that lets v2 pass, and nothing else of the layout. */
function onlyNew() {
  const transports = { oci: { "/layout:v2": [{ type: "insecureAcceptAnything" }], "/layout": [{ type: "reject" }] } };
  const path = fromText("/policy.json");
  const bytes = new TextEncoder().encode(JSON.stringify({ default: [{ type: "reject" }], transports }));
  maker.files.writeNewFile(path, bytes, 0o644);
  return { ...noLogin, signaturePolicy: path };
}

describe("older images", () => {
  test("that the signature policy refuses tell nothing when a host names them", async () => {
    const hosts = await carry([await host("v1")], maker);
    const progress = new SeenProgress();
    expect(kinds(await bundle(maker, { hosts, source: onlyNew() }, progress))).toEqual(["absent", "whole"]);
    expect(progress.warnings).toEqual([expect.stringMatching(/^It is not known what image sha256:.*Cannot use oci:/)]);
    expect(maker.openPaths).toEqual([]);
  });

  test("that the signature policy refuses cannot be named by the user either", async () => {
    const failed = bundle(maker, { bases: [layoutReference("v1")], source: onlyNew() });
    expect(await failureOf(failed)).toMatchObject({ code: "untrusted" });
    expect(maker.openPaths).toEqual([]);
  });

  test.each([[true], [false]])("that tell different things of one layer are not believed (%s)", async (isFirst) => {
    const target = await host("v1");
    const honest = await carry([target], maker);
    const evil = say("evil", all.evil.manifestDigest, [base.diffId, top.v1.diffId]);
    const hosts = isFirst ? [evil, ...honest] : [...honest, evil];
    expect(kinds(await bundle(maker, { hosts }))).toEqual(["absent", "whole"]);
    bring(maker, target);
    await switchToBundle(target);
    await expectSound(target);
  });

  test("tell nothing of layers that the new image or a named one has, too", async () => {
    const stray = `sha256:${"f".repeat(64)}`;
    const low = say("low", all.low.manifestDigest, [base.diffId, stray]);
    expect(kinds(await bundle(maker, { hosts: [low] }))).toEqual(["absent", "whole"]);
    const evil = say("evil", all.evil.manifestDigest, [base.diffId, top.v1.diffId, stray]);
    const bundled = await bundle(maker, { hosts: [evil], bases: [layoutReference("v1")] });
    expect(kinds(bundled)).toEqual(["absent", "parts"]);
    const target = await host("v1");
    bring(maker, target);
    await switchToBundle(target);
    await expectSound(target);
  });
});

test("Holders.contentsOf: nothing is known of layers for whose tables there is no more room, which is told once", async () => {
  const place = parseImageReference(layoutReference("v1"));
  const source = openImageSource(place, maker, noLogin);
  const { layers } = await source.resolve(linuxAmd64);
  const progress = new SeenProgress();
  const holders = await Holders.read(systemOn(maker, { progress: progress.report }), {
    ...{ hosts: [], bases: [], place, image: { source, layers }, platform: linuxAmd64, source: noLogin },
    ...{ repo: undefined, tableBudgetBytes: base.tableBytes },
  });
  const known = await holders.contentsOf(parseDiffId(base.diffId));
  expect(known?.size).toBeGreaterThan(0);
  for (const layer of [top.v1, top.v1]) expect(await holders.contentsOf(parseDiffId(layer.diffId))).toBeUndefined();
  expect(progress.warnings).toEqual([expect.stringMatching(/^The hosts have more layers than can be looked into/)]);
  expect(await holders.contentsOf(parseDiffId(base.diffId))).toBe(known);
  await holders.close();
  await source.close();
});
