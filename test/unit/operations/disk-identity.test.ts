import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import type { ObjectId } from "../../../src/core/digest/object-id.ts";
import { parseUuid } from "../../../src/core/disk/uuid.ts";
import { diskIdentity, diskTime } from "../../../src/operations/disk-identity.ts";
import { directory, tree } from "../../builders/file-trees.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const rootImage = "ab".repeat(64) as ObjectId;
const { clock } = new FakeLinux();
const uuidsOf = (random: boolean, id = rootImage) => Object.values(diskIdentity(clock, id, { random }));

test("diskIdentity: all UUIDs of a disk differ", () => {
  const uuids = uuidsOf(false);
  expect(uuids.map(parseUuid)).toEqual(uuids);
  expect(new Set(uuids).size).toBe(7);
});

test("diskIdentity: the same image gives the same, another one others", () => {
  expect(uuidsOf(false)).toEqual(uuidsOf(false));
  // As docs/reference/formats/disk.md has it.
  const start = (what: string) =>
    createHash("sha256").update(`osdeploy disk ${what} ${rootImage}`).digest("hex").slice(0, 8);
  const identity = Object.entries(diskIdentity(clock, rootImage, { random: false }));
  expect(Object.fromEntries(identity.map(([name, uuid]) => [name, uuid.slice(0, 8)]))).toEqual({
    disk: start("disk"),
    bootPartition: start("boot-partition"),
    espPartition: start("esp-partition"),
    esp: start("esp"),
    rootPartition: start("root-partition"),
    boot: start("boot"),
    root: start("root"),
  });
  const other = uuidsOf(false, "cd".repeat(64) as ObjectId);
  expect(new Set([...uuidsOf(false), ...other]).size).toBe(14);
});

test("diskIdentity: by chance, no two are the same", () => {
  expect(new Set([...uuidsOf(true), ...uuidsOf(true), ...uuidsOf(false)]).size).toBe(21);
});

test.each([
  [1_600_000_000n, 1_600_000_000],
  // FAT has no time before 1980, and ext4's short fields none after 2038.
  [0n, 315_619_200],
  [-5n, 315_619_200],
  [5_000_000_000n, 2_147_483_647],
])("diskTime: a /usr of %s gives %i", (mtimeSeconds, expected) => {
  expect(diskTime(tree({ usr: directory({}, { mtimeSeconds }) }))).toBe(expected);
});

test("diskTime: an image without /usr has the time of its top", () => {
  expect(diskTime({ root: directory({}, { mtimeSeconds: 1_500_000_000n }) })).toBe(1_500_000_000);
});
