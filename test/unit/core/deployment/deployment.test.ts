import { describe, expect, test } from "vitest";
import type { BootEntry } from "../../../../src/core/boot/boot-menu.ts";
import {
  bootedDeployment,
  bootedEntry,
  defaultDeployment,
  deploymentRoles,
  isRollbackQueued,
  lostStaged,
  makeSysrootState,
  nextEntry,
  type StagedDeployment,
  startedEntry,
  wayBack,
} from "../../../../src/core/deployment/deployment.ts";
import type { QuarantineRecord } from "../../../../src/core/deployment/quarantine.ts";
import {
  bootedOf,
  entryOf,
  manifestOf,
  recordOf,
  rootImageOf,
  stagedOf,
  stateWith,
} from "../../../builders/sysroot-states.ts";

const menu = [entryOf(5, "b"), entryOf(4, "a"), entryOf(3, "b"), entryOf(2, "c"), entryOf(1, "f")];
const state = stateWith("abc9d", menu);
const givenUp = { left: 0, done: 3 };

test("lostStaged: what was staged is lost where no record is there and no entry was added since", () => {
  const stagedNote = {
    imageReference: "docker://quay.io/os:latest",
    manifestDigest: manifestOf("b"),
    sequence: 2,
    finalizationLocked: false,
  };
  const lostOf = (entries: readonly BootEntry[], staged?: StagedDeployment) =>
    lostStaged(stateWith("ab", entries, { stagedNote, staged }));
  expect(lostOf([entryOf(1, "a")])).toEqual(stagedNote);
  expect(lostOf([entryOf(1, "a")], stagedOf("b"))).toBeUndefined();
  expect(lostOf([entryOf(2, "b"), entryOf(1, "a")])).toBeUndefined();
  expect(lostOf([entryOf(2, "a"), entryOf(1, "a")])).toBeUndefined();
  expect(lostOf([])).toBeUndefined();
  expect(lostStaged(stateWith("a", [entryOf(1, "a")]))).toBeUndefined();
});

describe("makeSysrootState", () => {
  test("orders deployments by their newest entry, those without entry last", () => {
    expect(state.deployments.map((deployment) => deployment.rootImage[0])).toEqual(["b", "a", "c", "9", "d"]);
    expect(state.deployments[0]?.entries.map(({ sequence }) => sequence)).toEqual([5, 3]);
  });

  test.each(["9d", "d9"])("deployments without entries come in the order of their names (%s)", (digits) => {
    expect(stateWith(digits, []).deployments.map(({ rootImage }) => rootImage[0])).toEqual(["9", "d"]);
  });

  test("names entries of ours that have no state directory", () => {
    expect(state.orphans.map(({ sequence }) => sequence)).toEqual([1]);
  });

  test("a sysroot at rest has nothing running, staged, in quarantine, or wrong", () => {
    const atRest = makeSysrootState({ directories: [], menu: { entries: [], stale: [], foreign: [] } });
    expect(atRest).toMatchObject({ booted: undefined, staged: undefined, quarantine: [], problems: [] });
    expect(defaultDeployment(atRest)).toBeUndefined();
  });
});

describe("what boots next", () => {
  test("nextEntry: is the newest", () => {
    expect(nextEntry(state)?.sequence).toBe(5);
    expect(defaultDeployment(state)?.rootImage).toBe(rootImageOf("b"));
  });

  test("nextEntry: passes over what the loader has given up, and over entries without deployment", () => {
    const entries = [entryOf(9, "f"), entryOf(8, "a", givenUp), entryOf(7, "b", { left: 1, done: 2 }), entryOf(6, "a")];
    expect(nextEntry(stateWith("ab", entries))?.sequence).toBe(7);
  });

  test("nextEntry: is the newest when all are given up", () => {
    expect(nextEntry(stateWith("ab", [entryOf(2, "a", givenUp), entryOf(1, "b", givenUp)]))?.sequence).toBe(2);
  });

  test("wayBack: is the newest entry of another deployment that can boot", () => {
    const entries = [entryOf(5, "a"), entryOf(4, "b", givenUp), entryOf(3, "f"), entryOf(2, "a"), entryOf(1, "c")];
    expect(wayBack(stateWith("abc", entries))).toMatchObject({
      entry: { sequence: 1 },
      deployment: { rootImage: rootImageOf("c") },
    });
    expect(wayBack(stateWith("a", [entryOf(1, "a")]))).toBeUndefined();
  });
});

describe("what runs", () => {
  test("bootedEntry: is the one that the kernel arguments name", () => {
    expect(bootedEntry(stateWith("ab", menu, { booted: bootedOf("b", 3) }))?.sequence).toBe(3);
  });

  test("bootedEntry: is the newest of the deployment where they name none, or one of another deployment", () => {
    expect(bootedEntry(stateWith("ab", menu, { booted: bootedOf("b") }))?.sequence).toBe(5);
    expect(bootedEntry(stateWith("ab", menu, { booted: bootedOf("b", 4) }))?.sequence).toBe(5);
  });

  test("startedEntry: is the one that the kernel arguments name, of the deployment that runs, and no other", () => {
    expect(startedEntry(stateWith("ab", menu, { booted: bootedOf("b", 3) }))?.sequence).toBe(3);
    expect(startedEntry(stateWith("ab", menu, { booted: bootedOf("b") }))).toBeUndefined();
    expect(startedEntry(stateWith("ab", menu, { booted: bootedOf("b", 4) }))).toBeUndefined();
    expect(startedEntry(state)).toBeUndefined();
  });

  test("bootedEntry: there is none where nothing runs from here, or its deployment is gone", () => {
    expect(bootedEntry(state)).toBeUndefined();
    expect(bootedDeployment(stateWith("a", menu, { booted: bootedOf("b") }))).toBeUndefined();
  });
});

describe("isRollbackQueued", () => {
  test("when the next entry is a further one of a deployment that is not running", () => {
    expect(
      isRollbackQueued(
        stateWith("ab", [entryOf(3, "a"), entryOf(2, "b"), entryOf(1, "a")], { booted: bootedOf("b", 2) }),
      ),
    ).toBe(true);
  });

  test("not after the reboot, not for something new, not elsewhere, and not where nothing boots", () => {
    const rolledBack = [entryOf(3, "a"), entryOf(2, "b"), entryOf(1, "a")];
    expect(isRollbackQueued(stateWith("ab", rolledBack, { booted: bootedOf("a", 3) }))).toBe(false);
    expect(isRollbackQueued(stateWith("ab", [entryOf(2, "b"), entryOf(1, "a")], { booted: bootedOf("a", 1) }))).toBe(
      false,
    );
    expect(isRollbackQueued(stateWith("ab", rolledBack))).toBe(false);
    // A newer entry of it was given up: nobody went back to it.
    const failed = [entryOf(5, "a", givenUp), entryOf(3, "a"), entryOf(2, "b")];
    expect(isRollbackQueued(stateWith("ab", failed, { booted: bootedOf("b", 2) }))).toBe(false);
    expect(isRollbackQueued(stateWith("a", [], { booted: bootedOf("a") }))).toBe(false);
  });

  test("at rest when what would boot without that entry was rolled back from", () => {
    const rolledBack = [entryOf(3, "a"), entryOf(2, "b"), entryOf(1, "a")];
    const at = (quarantine: readonly QuarantineRecord[], entries = rolledBack) =>
      isRollbackQueued(stateWith("ab", entries, { quarantine }));
    expect(at([recordOf("b", "rolled-back")])).toBe(true);
    expect(at([recordOf("b"), recordOf("a", "rolled-back")])).toBe(false);
    expect(at([recordOf("b", "rolled-back")], rolledBack.slice(0, 2))).toBe(false);
  });
});

describe("deploymentRoles", () => {
  const rolesIn = (of: ReturnType<typeof stateWith>) =>
    of.deployments.map((deployment) => deploymentRoles(of, deployment));

  test("at rest the newest is the default, the one before it the way back, others are nothing", () => {
    expect(rolesIn(state)).toEqual([["default"], ["rollback"], [], [], []]);
  });

  test("what is staged is not so any more when an entry of another root image came after it", () => {
    const stagedIn = (rootImage: string, sequence: number) =>
      stateWith("ab", [entryOf(7, rootImage)], { staged: stagedOf("a", { sequence }) }).staged;
    const older = stateWith("ab", [entryOf(7, "b"), entryOf(2, "b")], { staged: stagedOf("a", { sequence: 7 }) });
    expect(older.staged).toBeUndefined();
    expect([stagedIn("b", 8), stagedIn("a", 7), stagedIn("b", 7), stagedIn("b", 6)]).toEqual([
      stagedOf("a", { sequence: 8 }),
      stagedOf("a", { sequence: 7 }),
      undefined,
      undefined,
    ]);
  });

  test("what runs, what is staged and what failed is told too", () => {
    const entries = [entryOf(3, "c", givenUp), entryOf(2, "b"), entryOf(1, "a")];
    const running = stateWith("abcd", entries, {
      booted: bootedOf("b", 2),
      staged: stagedOf("d"),
      quarantine: [recordOf("c")],
    });
    expect(rolesIn(running)).toEqual([["quarantined"], ["booted", "default"], ["rollback"], ["staged"]]);
  });
});
