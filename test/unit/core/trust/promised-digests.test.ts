import { expect, test } from "vitest";
import { verityDigest } from "../../../../src/core/digest/fs-verity.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";
import type { OsdeployError } from "../../../../src/core/errors.ts";
import {
  checkPromisedDigests,
  limitPromises,
  type MadeImage,
  promisesOfArtifact,
  promisesOfManifest,
  sealingArtifactType,
} from "../../../../src/core/trust/promised-digests.ts";

const bytesOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const id = (digit: string) => parseObjectId(digit.repeat(128), "sha512");
const rawKey = "composefs.merged.erofs.v1.fsverity-sha512-12";
const bootKey = "composefs.merged.bootable.erofs.v1.fsverity-sha512-12";
const configKey = "composefs.config.fsverity-sha256-12";
const manifestKey = "composefs.manifest.fsverity-sha512-12";
const config = bytesOf({ os: "linux" });
const manifest = bytesOf({ schemaVersion: 2 });
const made: MadeImage = { algorithm: "sha512", raw: id("a"), boot: id("b"), config, manifest };

const check = (annotations: Readonly<Record<string, string>>, more: Partial<MadeImage> = {}) =>
  checkPromisedDigests(promisesOfManifest(bytesOf({ annotations })), { ...made, ...more });

test("checkPromisedDigests: tells what is as promised, and takes what nobody promises", () => {
  expect(check({})).toEqual([]);
  const held = [rawKey, bootKey].map((key) => `annotation ${key}`);
  expect(check({ [rawKey]: id("a"), [bootKey]: id("b"), other: "x" })).toEqual(held);
});

test.each([
  ["of an algorithm that this repo does not have", bootKey.replace("sha512", "sha256")],
  ["of a format that is not made", bootKey.replace("v1", "v2")],
  ["by blocks of another size", bootKey.replace("-12", "-16")],
  ["of one layer", bootKey.replace("merged.bootable", "layer")],
  ["of the config, where only the whole is described", configKey],
  ["of a format with a 0 before it", bootKey.replace("v1", "v01")],
  ["of nothing that is known", bootKey.replace("merged", "other")],
])("checkPromisedDigests: a promise %s counts for nothing", (_what, key) => {
  expect(check({ [key]: "c".repeat(64) })).toEqual([]);
});

test("checkPromisedDigests: what was not asked for is not compared", () => {
  expect(check({ [bootKey]: id("c") }, { boot: undefined })).toEqual([]);
});

test.each([
  [rawKey, "root image to look at"],
  [bootKey, "root image"],
])("checkPromisedDigests: refuses another root image than %s says", (key, name) => {
  expect(() => check({ [key]: id("c") })).toThrow(`its ${name} is not the one that its annotation ${key} promises`);
});

test("promisesOfManifest: the config's digest stands with its descriptor", () => {
  const digest = verityDigest("sha256", config);
  const promised = (value: string) =>
    promisesOfManifest(bytesOf({ config: { annotations: { [configKey]: value, [rawKey]: id("c") } } }));
  expect(checkPromisedDigests(promised(digest), made)).toEqual([`annotation ${configKey}`]);
  expect(() => checkPromisedDigests(promised("0".repeat(64)), made)).toThrow("its config is not the one");
});

test("checkPromisedDigests: where one is broken, the hint looks where it stands", () => {
  const promised = { layers: [{ annotations: { [rawKey]: id("c") } }] };
  const beside = { artifactType: sealingArtifactType, subject: { digest: subject }, ...promised };
  const hintOf = (promises: Parameters<typeof checkPromisedDigests>[0]) => {
    try {
      checkPromisedDigests(promises, made);
    } catch (error) {
      const { hint } = (error as OsdeployError).facts;
      return hint;
    }
    return undefined;
  };
  expect(hintOf(promisesOfManifest(bytesOf({ annotations: { [rawKey]: id("c") } })))).toMatch(/explain IMAGE$/);
  expect(hintOf(promisesOfArtifact(bytesOf(beside), { subject, name: "a" }))).toMatch(/explain --from-source IMAGE$/);
});

test("limitPromises: 64 are as many as anybody makes, in an image, in an artifact, and together", () => {
  const keyOf = (version: number) => rawKey.replace("v1", `v${version}`);
  const annotations = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, version) => [keyOf(version), id("a")]));
  expect(promisesOfManifest(bytesOf({ annotations: annotations(64) }))).toHaveLength(64);
  const tooMany = expect.objectContaining({ code: "limit-exceeded" });
  expect(() => promisesOfManifest(bytesOf({ annotations: annotations(65) }))).toThrow(tooMany);
  expect(() => artifact([{ annotations: annotations(40) }, { annotations: annotations(25) }])).toThrow(tooMany);
  const both = [40, 25].map((count) => promisesOfManifest(bytesOf({ annotations: annotations(count) })));
  expect(() => limitPromises(both.flat())).toThrow(tooMany);
});

const subject = `sha256:${"d".repeat(64)}`;
const artifact = (layers: readonly object[] | undefined, more: object = {}) =>
  promisesOfArtifact(
    bytesOf({ artifactType: sealingArtifactType, subject: { digest: subject }, ...(layers && { layers }), ...more }),
    { subject, name: "artifact sha256:1" },
  );

test("promisesOfArtifact: covers manifest, config and both root images, each with a layer", () => {
  const digests = {
    [manifestKey]: verityDigest("sha512", manifest),
    [configKey]: verityDigest("sha256", config),
    [rawKey]: id("a"),
    [bootKey]: id("b"),
  };
  const layers = Object.entries(digests).map(([key, value]) => ({ annotations: { [key]: value } }));
  expect(checkPromisedDigests(artifact(layers), made)).toEqual(
    Object.keys(digests).map((key) => `annotation ${key} of artifact sha256:1`),
  );
  const others = [{ annotations: { [manifestKey]: id("c") } }];
  expect(() => checkPromisedDigests(artifact(others), made)).toThrow("its manifest is not the one");
});

test("promisesOfArtifact: looks at 64 layers at most, whatever they promise", () => {
  const layers = (count: number) => Array.from({ length: count }, () => ({ annotations: {} }));
  expect(artifact(layers(64))).toEqual([]);
  expect(() => artifact(layers(65))).toThrow(expect.objectContaining({ code: "limit-exceeded" }));
});

test("promisesOfArtifact: another kind of artifact, or one about another image, promises nothing", () => {
  const layers = [{ annotations: { [rawKey]: id("c") } }];
  expect(artifact(layers)).toHaveLength(1);
  expect(artifact(layers, { artifactType: "application/x" })).toEqual([]);
  expect(artifact(layers, { subject: { digest: "sha256:1" } })).toEqual([]);
  expect(artifact(layers, { subject: undefined })).toEqual([]);
  expect(artifact(undefined)).toEqual([]);
});
