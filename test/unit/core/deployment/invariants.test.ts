import { expect, test } from "vitest";
import type { BootTries } from "../../../../src/core/boot/boot-menu.ts";
import { checkInvariants, checkTransition, type SystemSnapshot } from "../../../../src/core/deployment/invariants.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";

const id = (digit: string) => parseObjectId(digit.repeat(64), "sha256");
const entry = (sequence: number, digit: string, bootFilesComplete = true, tries?: BootTries) => ({
  fileName: `osdeploy-${sequence}.conf`,
  tries,
  sequence,
  rootImage: id(digit),
  bootFilesComplete,
});
const sound: SystemSnapshot = {
  bootEntries: [entry(1, "a"), entry(2, "b")],
  booted: undefined,
  staged: undefined,
  stateDirectories: new Set([id("a"), id("b")]),
  rootImages: new Map([id("a"), id("b")].map((root) => [root, { badObjects: [] }])),
};
const empty: SystemSnapshot = {
  bootEntries: [],
  booted: undefined,
  staged: undefined,
  stateDirectories: new Set(),
  rootImages: new Map(),
};

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

test("checkTransition: I2 when the booted deployment lost its entry", () => {
  const running = { ...sound, booted: id("a") };
  expect(checkTransition(running, { ...running, bootEntries: [entry(2, "b")] }, undefined)).toEqual([
    `I2: the booted deployment ${id("a")} lost its boot entry`,
  ]);
});

test("checkTransition: the default is not what the loader has given up, unless all is", () => {
  const givenUp = { left: 0, done: 3 };
  const fallen = { ...sound, bootEntries: [entry(1, "a"), entry(2, "b"), entry(3, "c", true, givenUp)] };
  expect(checkTransition(sound, fallen, undefined)).toEqual([]);
  const all = { ...sound, bootEntries: [entry(1, "a", true, givenUp), entry(2, "b", true, givenUp)] };
  expect(checkTransition(sound, all, undefined)).toEqual([]);
});

test("checkInvariants: I1 names what is missing of what is staged", () => {
  expect(checkInvariants({ ...sound, staged: { rootImage: id("a"), bootFilesComplete: true } })).toEqual([]);
  expect(checkInvariants({ ...sound, staged: { rootImage: id("c"), bootFilesComplete: false } })).toEqual([
    `I1: what is staged, ${id("c")}, names a kernel or initramfs that is not whole`,
    `I1: what is staged, ${id("c")}, names a root image that is not there`,
  ]);
});
