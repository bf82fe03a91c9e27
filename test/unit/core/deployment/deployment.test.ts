import { expect, test } from "vitest";
import { makeBootEntry } from "../../../../src/core/boot/boot-menu.ts";
import {
  defaultDeployment,
  deploymentRoles,
  makeSysrootState,
  type Origin,
} from "../../../../src/core/deployment/deployment.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";
import { parseManifestDigest } from "../../../../src/core/digest/oci-digest.ts";

const rootImage = (digit: string) => parseObjectId(digit.repeat(64), "sha256");

const origin = (digit: string): Origin => ({
  imageReference: "docker://quay.io/os:latest",
  manifestDigest: parseManifestDigest(`sha256:${digit.repeat(64)}`),
  bootDigest: "e".repeat(64),
});

const entry = (sequence: number, digit: string) =>
  makeBootEntry({
    sequence,
    rootImage: rootImage(digit),
    osRelease: { id: "x", prettyName: "X", version: "" },
    kernelPath: "/v",
    initramfsPath: "/i",
    options: `composefs=${rootImage(digit)}`,
  });

const directories = ["a", "b", "c", "d", "9"].map((digit) => ({ rootImage: rootImage(digit), origin: origin(digit) }));
const menu = { entries: [entry(5, "b"), entry(4, "a"), entry(3, "b"), entry(2, "c"), entry(1, "f")], foreign: [] };

test("makeSysrootState: orders deployments by their newest entry, those without entry last", () => {
  const state = makeSysrootState(directories, menu);
  expect(state.deployments.map((deployment) => deployment.rootImage[0])).toEqual(["b", "a", "c", "9", "d"]);
  expect(state.deployments[0]?.entries.map(({ sequence }) => sequence)).toEqual([5, 3]);
});

test("makeSysrootState: names entries of ours that have no state directory", () => {
  expect(makeSysrootState(directories, menu).orphans.map(({ sequence }) => sequence)).toEqual([1]);
});

test("deploymentRoles: the newest is the default, the one before it the way back", () => {
  expect(deploymentRoles(makeSysrootState(directories, menu))).toEqual([
    "default",
    "rollback",
    "other",
    "none",
    "none",
  ]);
});

test("defaultDeployment: is undefined when nothing can boot", () => {
  expect(defaultDeployment(makeSysrootState(directories, { entries: [], foreign: [] }))).toBeUndefined();
  expect(defaultDeployment(makeSysrootState(directories, menu))?.rootImage).toBe(rootImage("b"));
});
