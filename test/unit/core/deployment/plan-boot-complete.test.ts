import { describe, expect, test } from "vitest";
import { makeSysrootState } from "../../../../src/core/deployment/deployment.ts";
import { planBootComplete } from "../../../../src/core/deployment/plan-boot-complete.ts";
import {
  bootedOf,
  entryOf,
  manifestOf,
  originOf,
  recordOf,
  rootImageOf,
  stateWith,
} from "../../../builders/sysroot-states.ts";

const givenUp = { left: 0, done: 3 };

describe("planBootComplete", () => {
  test("blesses a counted boot, and knows that the counter moved", () => {
    const entry = entryOf(7, "b", { left: 2, done: 1 });
    expect(planBootComplete(stateWith("ab", [entry, entryOf(6, "a")], { booted: bootedOf("b", 7) }))).toEqual({
      entry,
      bless: true,
      counting: "counted",
      failed: [],
      damaged: [],
      lift: undefined,
    });
  });

  test("blesses the last try too, and puts nothing of it into quarantine", () => {
    const state = stateWith("ab", [entryOf(7, "b", givenUp), entryOf(6, "a")], { booted: bootedOf("b", 7) });
    expect(planBootComplete(state)).toMatchObject({ bless: true, counting: "counted", failed: [] });
  });

  test("tells when the counter did not move", () => {
    const state = stateWith("b", [entryOf(7, "b", { left: 3, done: 0 })], { booted: bootedOf("b", 7) });
    expect(planBootComplete(state)).toMatchObject({ bless: true, counting: "not-counted" });
  });

  test("takes the loader's word that it counted, also of an entry that somebody has blessed", () => {
    const booted = { ...bootedOf("b", 7), counted: true };
    expect(planBootComplete(stateWith("b", [entryOf(7, "b")], { booted }))).toMatchObject({
      bless: false,
      counting: "counted",
    });
    expect(planBootComplete(stateWith("b", [entryOf(7, "b", { left: 3, done: 0 })], { booted })).counting).toBe(
      "counted",
    );
  });

  test("takes GRUB's word only when its environment says the same", () => {
    const booted = { ...bootedOf("b", 7), triesLeft: 2 };
    const countingWith = (entry: ReturnType<typeof entryOf>) =>
      planBootComplete(stateWith("b", [entry], { booted })).counting;
    expect(countingWith(entryOf(7, "b", { left: 2, done: 1 }))).toBe("counted");
    expect(countingWith(entryOf(7, "b", { left: 3, done: 0 }))).toBe("not-counted");
    // It could write down the boot before, and not this one.
    const once = entryOf(7, "b", { left: 2, done: 1 });
    const twice = stateWith("b", [once], { booted: { ...booted, triesLeft: 1 } });
    expect(planBootComplete(twice).counting).toBe("not-counted");
    expect(countingWith(entryOf(7, "b"))).toBe("unknown");
    const menu = { entries: [entryOf(7, "b")], stale: [], foreign: [], areTriesLost: true as const };
    const lost = makeSysrootState({
      directories: [{ rootImage: rootImageOf("b"), origin: originOf("b") }],
      menu,
      booted,
    });
    expect(planBootComplete(lost).counting).toBe("not-counted");
  });

  test("sets apart what was given up for damage on this disk", () => {
    const entries = [entryOf(9, "c", givenUp), entryOf(8, "d", givenUp), entryOf(7, "b")];
    const state = stateWith("bcd", entries, { booted: bootedOf("b", 7), damagedEntries: new Set([9]) });
    expect(planBootComplete(state)).toMatchObject({
      failed: [{ origin: originOf("d") }],
      damaged: [{ entry: { sequence: 9 }, origin: originOf("c") }],
    });
  });

  test("knows nothing of counting where the entry is blessed, or not the one that booted", () => {
    expect(planBootComplete(stateWith("b", [entryOf(7, "b")], { booted: bootedOf("b", 7) }))).toMatchObject({
      bless: false,
      counting: "unknown",
    });
    expect(planBootComplete(stateWith("b", [], { booted: bootedOf("b", 7) }))).toMatchObject({
      entry: undefined,
      bless: false,
      counting: "unknown",
    });
  });

  test.each([
    ["names the entry of another deployment, as after a soft reboot", bootedOf("b", 6)],
    ["names no entry", bootedOf("b")],
    ["names an entry that is gone", bootedOf("b", 5)],
  ])("blesses nothing where the command line %s", (_, booted) => {
    const entries = [entryOf(7, "b", { left: 3, done: 0 }), entryOf(6, "a", { left: 2, done: 1 })];
    expect(planBootComplete(stateWith("ab", entries, { booted }))).toMatchObject({
      entry: undefined,
      bless: false,
      counting: "unknown",
    });
  });

  test("after a soft reboot what runs stays in quarantine: its kernel has not been tried", () => {
    const booted = { ...bootedOf("b", 6), kernelArguments: `rw composefs=${rootImageOf("a")}` };
    const state = stateWith("ab", [entryOf(7, "b"), entryOf(6, "a")], { booted, quarantine: [recordOf("b")] });
    expect(planBootComplete(state).lift).toBeUndefined();
  });

  test("names each image once that used up its tries, unless it is in quarantine, or nobody knows which it is", () => {
    const entries = [
      ...[entryOf(9, "c", givenUp), entryOf(8, "c", givenUp), entryOf(7, "d", givenUp), entryOf(6, "e", givenUp)],
      ...[entryOf(5, "b"), entryOf(4, "f", givenUp), entryOf(3, "b", givenUp)],
    ];
    const directories = [..."bcde"].map((digit) => ({
      rootImage: rootImageOf(digit),
      origin: digit === "e" ? undefined : originOf(digit),
    }));
    const menu = { entries, stale: [], foreign: [] };
    const state = makeSysrootState({ directories, menu, booted: bootedOf("b", 5), quarantine: [recordOf("d")] });
    expect(planBootComplete(state).failed).toEqual([{ entry: entries[0], origin: originOf("c") }]);
  });

  test("lifts the quarantine of what runs", () => {
    const state = stateWith("b", [entryOf(7, "b")], { booted: bootedOf("b", 7), quarantine: [recordOf("b")] });
    expect(planBootComplete(state).lift).toBe(manifestOf("b"));
  });

  test.each([
    ["nothing runs from here", stateWith("b", [entryOf(7, "b")])],
    ["what runs is gone from here", stateWith("b", [entryOf(7, "b")], { booted: bootedOf("a") })],
  ])("refuses where %s", (_, state) => {
    expect(() => planBootComplete(state)).toThrow(
      "Cannot complete the boot: this system does not run from a deployment",
    );
  });
});
