import { describe, expect, test } from "vitest";
import { findQuarantine, keptKernel, placementOf, planSwitch } from "../../../../src/core/deployment/plan-switch.ts";
import {
  bootedOf,
  entryOf,
  manifestOf,
  originOf,
  recordOf,
  rootImageOf,
  stagedOf,
  stateWith,
} from "../../../builders/sysroot-states.ts";

const entries = [entryOf(7, "b"), entryOf(6, "a")];
const state = stateWith("ab", entries);

describe("planSwitch", () => {
  test("keeps the default deployment when it is this image from this reference", () => {
    expect(planSwitch(state, originOf("b"))).toEqual({ kind: "keep", deployment: state.deployments[0] });
  });

  test("deploys on top of the default when the manifest or the reference differs", () => {
    expect(planSwitch(state, originOf("c"))).toEqual({ kind: "deploy", base: state.deployments[0] });
    expect(planSwitch(state, { ...originOf("b"), imageReference: "docker://quay.io/os:next" }).kind).toBe("deploy");
  });

  test("deploys on top of what runs, also where something else boots next", () => {
    const running = stateWith("ab", entries, { booted: bootedOf("a", 6) });
    expect(planSwitch(running, originOf("c"))).toEqual({ kind: "deploy", base: running.deployments[1] });
  });

  test("deploys with a fresh /etc when there is nothing yet", () => {
    expect(planSwitch(stateWith("", []), originOf("a"))).toEqual({ kind: "deploy", base: undefined });
  });

  test("keeps what is staged when it is this image", () => {
    const staged = stagedOf("c");
    expect(planSwitch(stateWith("abc", entries, { booted: bootedOf("b", 7), staged }), originOf("c"))).toEqual({
      kind: "keep-staged",
      staged,
    });
  });

  test("drops what is staged when the default is this image", () => {
    const running = stateWith("abc", entries, { booted: bootedOf("b", 7), staged: stagedOf("c") });
    expect(planSwitch(running, originOf("b"))).toEqual({ kind: "unstage", deployment: running.deployments[0] });
  });

  test("deploys again what boots next or is staged when its kernel is gone from the boot partition", () => {
    const lostKernels = new Set(["b".repeat(64), originOf("c").bootDigest]);
    const running = stateWith("abc", entries, { booted: bootedOf("a", 6), staged: stagedOf("c"), lostKernels });
    const again = { kind: "deploy", base: running.deployments[1] };
    expect(planSwitch(running, originOf("c"))).toEqual(again);
    expect(planSwitch(running, originOf("b"))).toEqual(again);
    expect(planSwitch({ ...running, staged: undefined }, originOf("b"))).toEqual(again);
  });

  test("deploys again what boots next when its root image is gone from the repo", () => {
    const state = stateWith("ab", [entryOf(7, "b"), entryOf(6, "a")]);
    const kindWithout = (digit: string) =>
      planSwitch({ ...state, lostRootImages: new Set([rootImageOf(digit)]) }, originOf("b")).kind;
    expect(kindWithout("b")).toBe("deploy");
    expect(kindWithout("a")).toBe("keep");
  });

  test("another program's kernel is not known of", () => {
    const [newest = entryOf(7, "b")] = entries;
    const fields = newest.entry.fields.map((field) => (field.key === "linux" ? { ...field, value: "/k" } : field));
    const foreign = stateWith("b", [{ ...newest, entry: { fields } }], { lostKernels: new Set(["b".repeat(64)]) });
    expect(planSwitch(foreign, originOf("b")).kind).toBe("keep");
  });
});

test("keptKernel: that of what stays staged or boots next, and none of what is deployed", () => {
  const staged = stagedOf("c");
  const running = stateWith("abc", entries, { booted: bootedOf("a", 6), staged });
  const next = { deployment: running.deployments[0] ?? failing() };
  expect(keptKernel(running, { kind: "keep-staged", staged })).toBe("c".repeat(64));
  expect(keptKernel(running, { kind: "unstage", ...next })).toBe("b".repeat(64));
  expect(keptKernel(running, { kind: "keep", ...next })).toBe("b".repeat(64));
  expect(keptKernel(running, { kind: "deploy", base: undefined })).toBeUndefined();
  expect(keptKernel(stateWith("a", []), { kind: "keep", ...next })).toBeUndefined();
});

function failing(): never {
  throw new Error("There is no deployment");
}

test("placementOf: at once elsewhere, staged where it runs, and not at all for what boots next anyway", () => {
  const running = stateWith("ab", entries, { booted: bootedOf("a", 6) });
  expect(placementOf(state, rootImageOf("c"))).toBe("commit");
  expect(placementOf(running, rootImageOf("c"))).toBe("stage");
  expect(placementOf(running, rootImageOf("a"))).toBe("stage");
  expect(placementOf(running, rootImageOf("b"))).toBe("follow");
});

test("findQuarantine: finds the record by the manifest's digest", () => {
  const failed = stateWith("ab", entries, { quarantine: [recordOf("b")] });
  expect(findQuarantine(failed, manifestOf("b"))).toEqual(recordOf("b"));
  expect(findQuarantine(failed, manifestOf("a"))).toBeUndefined();
  expect(findQuarantine(failed, undefined)).toBeUndefined();
});
