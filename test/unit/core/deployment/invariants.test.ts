import { expect, test } from "vitest";
import { checkInvariants, checkTransition, type SystemSnapshot } from "../../../../src/core/deployment/invariants.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";

const id = (digit: string) => parseObjectId(digit.repeat(64), "sha256");
const entry = (sequence: number, digit: string, bootFilesComplete = true) => ({
  fileName: `osdeploy-${sequence}.conf`,
  sequence,
  rootImage: id(digit),
  bootFilesComplete,
});
const sound: SystemSnapshot = {
  bootEntries: [entry(1, "a"), entry(2, "b")],
  stateDirectories: new Set([id("a"), id("b")]),
  rootImages: new Map([id("a"), id("b")].map((root) => [root, { badObjects: [] }])),
};
const empty: SystemSnapshot = { bootEntries: [], stateDirectories: new Set(), rootImages: new Map() };

test("checkInvariants: finds nothing wrong with a sound disk", () => {
  expect(checkInvariants(sound)).toEqual([]);
});

test("checkInvariants: I1 names each part of a boot entry that is missing", () => {
  const found = checkInvariants({ ...empty, bootEntries: [entry(3, "c", false)] });
  expect(found).toEqual([
    "I1: boot entry osdeploy-3.conf names a kernel or initramfs that is not whole",
    `I1: boot entry osdeploy-3.conf names root image ${id("c")}, which is not there`,
    `I1: boot entry osdeploy-3.conf has no state directory ${id("c")}`,
  ]);
});

test("checkInvariants: I3 names each bad object of a root image", () => {
  const found = checkInvariants({ ...empty, rootImages: new Map([[id("a"), { badObjects: [id("d")] }]]) });
  expect(found).toEqual([`I3: root image ${id("a")} needs object ${id("d")}, which is missing or damaged`]);
});

test("checkTransition: the default may stay or become what was asked for", () => {
  const after = { ...sound, bootEntries: [...sound.bootEntries, entry(3, "c")] };
  expect(checkTransition(sound, sound, id("c"))).toEqual([]);
  expect(checkTransition(sound, after, id("c"))).toEqual([]);
  expect(checkTransition(empty, sound, id("b"))).toEqual([]);
});

test("checkTransition: I4 when another deployment became the default", () => {
  const after = { ...sound, bootEntries: [...sound.bootEntries, entry(3, "c")] };
  expect(checkTransition(sound, after, undefined)).toEqual([
    `I4: the default is ${id("c")}, neither ${id("b")} as before nor undefined as asked`,
  ]);
});

test("checkTransition: I2 when the default deployment lost its entry", () => {
  const after = { ...sound, bootEntries: [entry(1, "a")] };
  expect(checkTransition(sound, after, id("a"))).toEqual([`I2: the default deployment ${id("b")} lost its boot entry`]);
});
