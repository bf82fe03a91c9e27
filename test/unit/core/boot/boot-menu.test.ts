import { expect, test } from "vitest";
import { formatBlsEntry, parseBlsEntry } from "../../../../src/core/boot/bls-entry.ts";
import { makeBootEntry, nextSequence, readBootMenu } from "../../../../src/core/boot/boot-menu.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";

const id = (digit: string) => parseObjectId(digit.repeat(128), "sha512");

const made = (sequence: number, digit: string, version = "13") =>
  makeBootEntry({
    sequence,
    rootImage: id(digit),
    osRelease: { id: "debian", prettyName: "Debian GNU/Linux 13", version },
    kernelPath: "/osdeploy/abc/vmlinuz",
    initramfsPath: "/osdeploy/abc/initramfs.img",
    options: `rw composefs=${id(digit)}`,
  });

test("makeBootEntry: file name and version carry the sequence number", () => {
  const entry = made(12, "a");
  expect(entry.fileName).toBe("osdeploy-000012.conf");
  expect(formatBlsEntry(entry.entry)).toBe(
    `title Debian GNU/Linux 13\nversion 12-13\nsort-key osdeploy\nlinux /osdeploy/abc/vmlinuz\ninitrd /osdeploy/abc/initramfs.img\noptions rw composefs=${id("a")}\n`,
  );
  expect(formatBlsEntry(made(7, "a", "").entry)).toContain("\nversion 7\n");
});

test("readBootMenu: sorts ours newest first and names the others", () => {
  const ours = [made(2, "a"), made(10, "b")].map(({ fileName, entry }) => ({ fileName, entry }));
  const menu = readBootMenu([
    ...ours,
    { fileName: "osdeploy-000011+2-1.conf", entry: made(11, "c").entry },
    { fileName: "zz-debian.conf", entry: parseBlsEntry("title Debian\nlinux /vmlinuz\n") },
    { fileName: "osdeploy-000099.conf", entry: parseBlsEntry("title no root image\n") },
    { fileName: "bootc_x.conf", entry: parseBlsEntry(`options composefs=${id("a")}\n`) },
  ]);
  expect(menu.entries.map(({ sequence, rootImage }) => [sequence, rootImage[0]])).toEqual([
    [11, "c"],
    [10, "b"],
    [2, "a"],
  ]);
  expect(menu.foreign).toEqual(["bootc_x.conf", "osdeploy-000099.conf", "zz-debian.conf"]);
});

test("nextSequence: is above all that are there, and 1 in an empty menu", () => {
  expect(nextSequence({ entries: [], foreign: [] })).toBe(1);
  expect(nextSequence({ entries: [made(41, "a"), made(3, "b")], foreign: [] })).toBe(42);
});
