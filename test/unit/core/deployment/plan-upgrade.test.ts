import { describe, expect, test } from "vitest";
import { makeSysrootState } from "../../../../src/core/deployment/deployment.ts";
import { followedReference, planUpgrade } from "../../../../src/core/deployment/plan-upgrade.ts";
import { parseImageReference } from "../../../../src/core/oci/reference.ts";
import {
  bootedOf,
  entryOf,
  originOf,
  recordOf,
  rootImageOf,
  stagedOf,
  stateWith,
} from "../../../builders/sysroot-states.ts";

const entries = [entryOf(7, "b"), entryOf(6, "a")];
const carefully = { ignoreQuarantine: false };

describe("planUpgrade", () => {
  test("does what a switch to the same image does", () => {
    const state = stateWith("ab", entries);
    expect(planUpgrade(state, originOf("b"), carefully).kind).toBe("keep");
    expect(planUpgrade(state, originOf("c"), carefully).kind).toBe("deploy");
  });

  test("leaves an image in quarantine alone, unless it is to be taken all the same", () => {
    const state = stateWith("ab", entries, { quarantine: [recordOf("c")] });
    expect(planUpgrade(state, originOf("c"), carefully)).toEqual({ kind: "quarantined", record: recordOf("c") });
    expect(planUpgrade(state, originOf("c"), { ignoreQuarantine: true }).kind).toBe("deploy");
    expect(planUpgrade(state, originOf("d"), carefully).kind).toBe("deploy");
  });

  test("an image in quarantine that is there already is not news", () => {
    expect(planUpgrade(stateWith("ab", entries, { quarantine: [recordOf("b")] }), originOf("b"), carefully).kind).toBe(
      "keep",
    );
  });
});

describe("followedReference", () => {
  const followed = (digit: string) => ({
    ...originOf(digit),
    reference: parseImageReference("docker://quay.io/os:latest"),
  });

  test("is that of what is staged, else of what boots next, else of what runs", () => {
    const booted = bootedOf("a", 6);
    expect(followedReference(stateWith("abc", entries, { booted, staged: stagedOf("c") }))).toEqual(followed("c"));
    expect(followedReference(stateWith("ab", entries, { booted }))).toEqual(followed("b"));
    expect(followedReference(stateWith("a", [], { booted }))).toEqual(followed("a"));
  });

  test("there is none without a deployment", () => {
    expect(() => followedReference(stateWith("", []))).toThrow("Cannot upgrade: there is no deployment");
  });

  test("a relative path is not followed, wherever an upgrade would run", () => {
    const staged = { ...stagedOf("c"), origin: { ...originOf("c"), imageReference: "oci-archive:v2.tar" } };
    expect(() => followedReference(stateWith("ab", entries, { staged }))).toThrow(
      "Cannot follow oci-archive:v2.tar: its path does not begin with a slash",
    );
  });

  test("nor when its origin cannot be read", () => {
    const directories = [{ rootImage: rootImageOf("a"), origin: undefined }];
    const state = makeSysrootState({ directories, menu: { entries: [entryOf(1, "a")], stale: [], foreign: [] } });
    expect(() => followedReference(state)).toThrow(
      `Cannot upgrade: the origin of deployment ${rootImageOf("a")} cannot be read`,
    );
  });
});
