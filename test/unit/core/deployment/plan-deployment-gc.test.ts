import { describe, expect, test } from "vitest";
import { makeSysrootState, type SysrootState } from "../../../../src/core/deployment/deployment.ts";
import { planDeploymentGc } from "../../../../src/core/deployment/plan-deployment-gc.ts";
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

const givenUp = { left: 0, done: 3 };

/** The plan in short: sequence numbers and digits. */
function planned(state: SysrootState, keep = 0) {
  const { entries, deployments, kept } = planDeploymentGc(state, { keep });
  return {
    entries: entries.map(({ sequence }) => sequence),
    gone: deployments.map(({ rootImage }) => rootImage[0]).join(""),
    kept: kept.map(({ rootImage }) => rootImage[0]).join(""),
  };
}

describe("planDeploymentGc", () => {
  const entries = [entryOf(5, "e"), entryOf(4, "d"), entryOf(3, "c"), entryOf(2, "b"), entryOf(1, "a")];

  test("keeps the default and the way back; entries go oldest first", () => {
    expect(planned(stateWith("abcde", entries))).toEqual({ entries: [1, 2, 3], gone: "cba", kept: "ed" });
  });

  test("keeps more when asked to, the newest", () => {
    expect(planned(stateWith("abcde", entries), 2)).toEqual({ entries: [1], gone: "a", kept: "edcb" });
  });

  test("keeps no deployment without an entry in place of one that boots", () => {
    expect(planned(stateWith("fabcde", entries), 1)).toEqual({ entries: [1, 2], gone: "baf", kept: "edc" });
    expect(planned(stateWith("fde", entries.slice(0, 2)), 1)).toEqual({ entries: [], gone: "f", kept: "ed" });
  });

  test("keeps what runs and what is staged, and their images", () => {
    const state = stateWith("abcdef", entries, { booted: bootedOf("b", 2), staged: stagedOf("f") });
    expect(planned(state)).toEqual({ entries: [1, 3], gone: "ca", kept: "edbf" });
    expect(planDeploymentGc(state, { keep: 0 }).manifests).toEqual(new Set([..."edbf"].map(manifestOf)));
  });

  test("keeps the image of what is staged, also when its state directory is gone", () => {
    const state = stateWith("ab", [entryOf(2, "b"), entryOf(1, "a")], {
      booted: bootedOf("b", 2),
      staged: stagedOf("f"),
    });
    expect(planDeploymentGc(state, { keep: 0 }).manifests).toContain(manifestOf("f"));
  });

  test("keeps what another program's entries start", () => {
    const state = stateWith("abcde", entries, { heldByOthers: new Set([rootImageOf("a")]) });
    expect(planned(state)).toEqual({ entries: [2, 3], gone: "cb", kept: "eda" });
  });

  test("keeps what failed until it is in quarantine", () => {
    const failed = [entryOf(6, "f", givenUp), ...entries.slice(0, 2)];
    expect(planned(stateWith("def", failed, { booted: bootedOf("e", 5) }))).toEqual({
      entries: [],
      gone: "",
      kept: "fed",
    });
    const judged = stateWith("def", failed, { booted: bootedOf("e", 5), quarantine: [recordOf("f")] });
    expect(planned(judged)).toEqual({ entries: [6], gone: "f", kept: "ed" });
  });

  test("does not keep what was damaged on this disk: no record is going to tell of it", () => {
    const failed = [entryOf(6, "f", givenUp), ...entries.slice(0, 2)];
    const state = stateWith("def", failed, { booted: bootedOf("e", 5), damagedEntries: new Set([6]) });
    expect(planned(state)).toEqual({ entries: [6], gone: "f", kept: "ed" });
  });

  test("what failed and has no origin is not kept: nothing could be said of it", () => {
    const directories = ["e", "f"].map((digit) => ({
      rootImage: rootImageOf(digit),
      origin: digit === "f" ? undefined : originOf(digit),
    }));
    const menu = { entries: [entryOf(6, "f", givenUp), entryOf(5, "e")], stale: [], foreign: [] };
    expect(planned(makeSysrootState({ directories, menu }))).toEqual({ entries: [6], gone: "f", kept: "e" });
  });

  test("removes entries that a newer one of the same deployment replaces, but for the one that runs", () => {
    const again = [entryOf(4, "a"), entryOf(3, "b"), entryOf(2, "a"), entryOf(1, "a")];
    expect(planned(stateWith("ab", again, { booted: bootedOf("a", 2) }))).toEqual({
      entries: [1],
      gone: "",
      kept: "ab",
    });
  });

  test("of a way back it keeps the entry that can boot, and a newer one that was given up until that is judged", () => {
    const way = [entryOf(6, "e"), entryOf(5, "d", givenUp), entryOf(4, "d"), entryOf(3, "d")];
    const booted = bootedOf("e", 6);
    expect(planned(stateWith("de", way, { booted }))).toEqual({ entries: [3], gone: "", kept: "ed" });
    const judged = stateWith("de", way, { booted, quarantine: [recordOf("d")] });
    expect(planned(judged)).toEqual({ entries: [3, 5], gone: "", kept: "ed" });
  });

  test("does not wait for a judgement of what runs: it is good", () => {
    const again = [entryOf(4, "a", givenUp), entryOf(3, "a"), entryOf(2, "b")];
    expect(planned(stateWith("ab", again, { booted: bootedOf("a", 3) }))).toEqual({
      entries: [4],
      gone: "",
      kept: "ab",
    });
  });

  test("what is kept besides keeps an entry, although it was given up", () => {
    const failed = [entryOf(6, "e"), entryOf(5, "d"), entryOf(4, "c", givenUp), entryOf(3, "c", givenUp)];
    const state = stateWith("cde", failed, { quarantine: [recordOf("c")] });
    expect(planned(state, 1)).toEqual({ entries: [3], gone: "", kept: "edc" });
  });

  test("removes nothing of a rollback that waits: a second one takes it back by what is there", () => {
    const queued = [entryOf(3, "a"), entryOf(2, "b"), entryOf(1, "a")];
    expect(planned(stateWith("ab", queued, { booted: bootedOf("b", 2) }))).toEqual({
      entries: [],
      gone: "",
      kept: "ab",
    });
  });

  test("removes entries without deployment, and deployments without entry", () => {
    expect(planned(stateWith("bc", [entryOf(9, "a"), entryOf(2, "b")]))).toEqual({
      entries: [9],
      gone: "c",
      kept: "b",
    });
  });

  test("keeps one entry of a deployment whose entries are all given up, while it is needed", () => {
    const all = [entryOf(2, "a", givenUp), entryOf(1, "a", givenUp)];
    const state = stateWith("a", all, { booted: bootedOf("a", 1), quarantine: [recordOf("a")] });
    expect(planned(state)).toEqual({ entries: [], gone: "", kept: "a" });
    expect(planned(stateWith("a", all, { quarantine: [recordOf("a")] }))).toEqual({
      entries: [1],
      gone: "",
      kept: "a",
    });
  });
});
