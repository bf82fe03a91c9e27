import { expect, test } from "vitest";
import { makeSysrootState, type SysrootParts } from "../../../../src/core/deployment/deployment.ts";
import { keptArguments, parseKeptArguments } from "../../../../src/core/deployment/kept-arguments.ts";
import { bootedOf, entryOf, originOf, rootImageOf } from "../../../builders/sysroot-states.ts";

/** A state without entries, with deployments of the root images with these digits and what was kept of them. */
const stateOf = (kept: Readonly<Record<string, string | undefined>>, parts: Partial<SysrootParts> = {}) =>
  makeSysrootState({
    directories: Object.entries(kept).map(([digit, kernelArguments]) => ({
      rootImage: rootImageOf(digit),
      origin: originOf(digit),
      kernelArguments,
    })),
    menu: { entries: [], stale: [], foreign: [] },
    ...parts,
  });

test("keptArguments: are those of the newest entry, in whatever order the deployments come", () => {
  const of = (kept: Readonly<Record<string, string | undefined>>) => keptArguments(stateOf(kept))?.options;
  const [older, newer] = ["rw a osdeploy.entry=osdeploy-000009", "rw b osdeploy.entry=osdeploy-000010"];
  expect(of({ a: older, b: newer, c: "rw of nobody" })).toBe(newer);
  expect(of({ a: newer, b: older, c: "rw of nobody" })).toBe(newer);
  expect(of({ a: "rw of nobody", b: undefined })).toBe("rw of nobody");
  expect(of({ a: undefined })).toBeUndefined();
  expect(of({})).toBeUndefined();
});

test("keptArguments: none where the system runs, or an entry of anybody's starts a deployment", () => {
  const kept = { a: "rw", b: "rw" };
  expect(keptArguments(stateOf(kept))?.deployment.rootImage).toBe(rootImageOf("a"));
  expect(keptArguments(stateOf(kept, { booted: bootedOf("a") }))).toBeUndefined();
  expect(keptArguments(stateOf(kept, { heldByOthers: new Set([rootImageOf("b")]) }))).toBeUndefined();
  const menu = { entries: [entryOf(1, "b")], stale: [], foreign: [] };
  expect(keptArguments(stateOf(kept, { menu }))).toBeUndefined();
});

test.each([
  ["rw quiet\n", "rw quiet"],
  ["", undefined],
  [" \n", undefined],
  ["rw\nquiet", undefined],
  ["rw\0", undefined],
])("parseKeptArguments: reads %j as %j", (text, words) => {
  expect(parseKeptArguments(text)).toBe(words);
});
