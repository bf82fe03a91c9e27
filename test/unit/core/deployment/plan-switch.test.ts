import { expect, test } from "vitest";
import { makeBootEntry } from "../../../../src/core/boot/boot-menu.ts";
import { makeSysrootState } from "../../../../src/core/deployment/deployment.ts";
import { planSwitch } from "../../../../src/core/deployment/plan-switch.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";
import { parseManifestDigest } from "../../../../src/core/digest/oci-digest.ts";

const rootImage = parseObjectId("a".repeat(64), "sha256");
const image = {
  imageReference: "docker://quay.io/os:latest",
  manifestDigest: parseManifestDigest(`sha256:${"1".repeat(64)}`),
};
const entry = makeBootEntry({
  sequence: 7,
  rootImage,
  osRelease: { id: "x", prettyName: "X", version: "" },
  kernelPath: "/v",
  initramfsPath: "/i",
  options: `composefs=${rootImage}`,
});
const state = makeSysrootState([{ rootImage, origin: { ...image, bootDigest: "e".repeat(64) } }], {
  entries: [entry],
  foreign: [],
});

test("planSwitch: keeps the default deployment when it is this image from this reference", () => {
  expect(planSwitch(state, image)).toEqual({ kind: "keep", deployment: state.deployments[0] });
});

test("planSwitch: deploys on top of the default when the manifest or the reference differs", () => {
  const other = { ...image, manifestDigest: parseManifestDigest(`sha256:${"2".repeat(64)}`) };
  expect(planSwitch(state, other)).toEqual({ kind: "deploy", sequence: 8, base: state.deployments[0] });
  expect(planSwitch(state, { ...image, imageReference: "docker://quay.io/os:next" }).kind).toBe("deploy");
});

test("planSwitch: deploys with a fresh /etc when there is nothing yet", () => {
  expect(planSwitch(makeSysrootState([], { entries: [], foreign: [] }), image)).toEqual({
    kind: "deploy",
    sequence: 1,
    base: undefined,
  });
});
