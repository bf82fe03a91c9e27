import { describe, expect, test } from "vitest";
import { blsField, blsOptions } from "../../../../src/core/boot/bls-entry.ts";
import { entryOfCmdline } from "../../../../src/core/boot/kernel-cmdline.ts";
import type { SysrootState } from "../../../../src/core/deployment/deployment.ts";
import { planRollback, type RollbackPlan } from "../../../../src/core/deployment/plan-rollback.ts";
import {
  bootedOf,
  entryOf,
  manifestOf,
  recordOf,
  rootImageOf,
  stagedOf,
  stateWith,
} from "../../../builders/sysroot-states.ts";

const givenUp = { left: 0, done: 3 };

/** A plan that adds an entry or takes one away. */
function planOf(state: SysrootState): Exclude<RollbackPlan, { readonly kind: "unstage" }> {
  const plan = planRollback(state);
  if (plan.kind === "unstage") throw new Error("There is nothing to go back to");
  return plan;
}

describe("planRollback", () => {
  test("queues the deployment before, as the newest entry, without counters", () => {
    const state = stateWith("ab", [entryOf(7, "b"), entryOf(6, "a")], {
      booted: bootedOf("b", 7),
    });
    const plan = planOf(state);
    expect(plan).toMatchObject({
      kind: "queue",
      deployment: { rootImage: rootImageOf("a") },
      from: { rootImage: rootImageOf("b") },
      lift: manifestOf("a"),
      entry: { fileName: "osdeploy-000008.conf", sequence: 8, tries: undefined, rootImage: rootImageOf("a") },
    });
    const { entry } = plan.entry;
    expect(blsField(entry, "version")).toBe("8-a");
    expect(blsField(entry, "title")).toBe("X");
    expect(blsOptions(entry)).toBe(`rw composefs=${rootImageOf("a")} osdeploy.entry=osdeploy-000008`);
  });

  test.each([
    ["rw composefs=x", "rw composefs=x"],
    ['composefs=x a="b', 'composefs=x a="b"'],
    ['composefs=x a="b osdeploy.entry=osdeploy-000006', 'composefs=x a="b osdeploy.entry=osdeploy-000006"'],
  ])("an entry that lost the argument that names it gets it again: %s", (value, kept) => {
    const made = entryOf(6, "a");
    const fields = made.entry.fields.filter(({ key }) => key !== "options");
    const edited = { ...made, entry: { fields: [...fields, { key: "options", value }] } };
    const { entry } = planOf(stateWith("ab", [entryOf(7, "b"), edited], { booted: bootedOf("b", 7) })).entry;
    expect(blsOptions(entry)).toBe(`${kept} osdeploy.entry=osdeploy-000008`);
    expect(entryOfCmdline(blsOptions(entry))).toBe("osdeploy-000008");
    const others = fields.map((each) => (each.key === "version" ? { ...each, value: "8-a" } : each));
    expect(entry.fields.filter(({ key }) => key !== "options")).toEqual(others);
  });

  test("keeps the words of the other lines as they are, blanks and quotes too", () => {
    const made = entryOf(6, "a");
    const fields = made.entry.fields.map((each) => (each.key === "title" ? { ...each, value: 'An  "OS' } : each));
    const edited = { ...made, entry: { fields } };
    const { entry } = planOf(stateWith("ab", [entryOf(7, "b"), edited], { booted: bootedOf("b", 7) })).entry;
    expect(blsField(entry, "title")).toBe('An  "OS');
  });

  test("what never proved itself is counted, from the start", () => {
    const state = stateWith("ab", [entryOf(7, "b"), entryOf(6, "a", { left: 1, done: 2 })], {
      booted: bootedOf("b", 7),
    });
    expect(planOf(state).entry).toMatchObject({
      fileName: "osdeploy-000008+3.conf",
      tries: { left: 3, done: 0 },
    });
  });

  test("a second one takes the queued one back, and lifts the quarantine that it brought", () => {
    const entries = [entryOf(8, "a"), entryOf(7, "b"), entryOf(6, "a")];
    const quarantine = [recordOf("b", "rolled-back")];
    const state = stateWith("ab", entries, { booted: bootedOf("b", 7), quarantine });
    expect(planRollback(state)).toMatchObject({
      kind: "unqueue",
      entry: { sequence: 8 },
      deployment: { rootImage: rootImageOf("b") },
      lift: manifestOf("b"),
    });
  });

  test("taking back lifts no quarantine that a failed boot brought", () => {
    const entries = [entryOf(8, "a"), entryOf(7, "b"), entryOf(6, "a")];
    const state = stateWith("ab", entries, { booted: bootedOf("b", 7), quarantine: [recordOf("b")] });
    expect(planRollback(state)).toMatchObject({ kind: "unqueue", lift: undefined });
  });

  test("after the reboot it leads forward again", () => {
    const state = stateWith("ab", [entryOf(8, "a"), entryOf(7, "b"), entryOf(6, "a")], { booted: bootedOf("a", 8) });
    expect(planRollback(state)).toMatchObject({ kind: "queue", entry: { sequence: 9, rootImage: rootImageOf("b") } });
  });

  test("refuses where the kernel to go back to is gone from the boot partition", () => {
    const entries = [entryOf(7, "b"), entryOf(6, "a")];
    const lost = (digit: string) => ({ booted: bootedOf("b", 7), lostKernels: new Set([digit.repeat(64)]) });
    expect(() => planRollback(stateWith("ab", entries, lost("a")))).toThrow(
      "Cannot roll back: the kernel of osdeploy-000006.conf is not on the boot partition",
    );
    expect(planRollback(stateWith("ab", entries, lost("b"))).kind).toBe("queue");
  });

  test("refuses where the root image to go back to is gone from the repo, and leads away from one that is", () => {
    const entries = [entryOf(7, "b"), entryOf(6, "a")];
    const lost = (digit: string) => ({ booted: bootedOf("b", 7), lostRootImages: new Set([rootImageOf(digit)]) });
    expect(() => planRollback(stateWith("ab", entries, lost("a")))).toThrow(
      "Cannot roll back: the root image of osdeploy-000006.conf is not in the repo",
    );
    expect(planRollback(stateWith("ab", entries, lost("b"))).kind).toBe("queue");
  });

  test("works on a sysroot that nothing runs from", () => {
    expect(planRollback(stateWith("ab", [entryOf(2, "b"), entryOf(1, "a")]))).toMatchObject({
      kind: "queue",
      entry: { sequence: 3 },
    });
  });

  test.each([
    ["no other deployment", stateWith("b", [entryOf(7, "b")])],
    ["none that can boot", stateWith("ab", [entryOf(7, "a", givenUp), entryOf(6, "b")], { booted: bootedOf("b", 6) })],
    ["nothing at all", stateWith("", [])],
  ])("refuses where there is %s", (_, state) => {
    expect(() => planRollback(state)).toThrow("Cannot roll back: there is no other deployment that can boot");
  });

  test("drops what is staged where there is nothing to go back to", () => {
    const state = stateWith("b", [entryOf(7, "b")], { booted: bootedOf("b", 7), staged: stagedOf("d") });
    expect(planRollback(state)).toEqual({ kind: "unstage", deployment: state.deployments[0] });
  });
});
