import { expect, test } from "vitest";
import { blsField, blsOptions, formatBlsEntry, parseBlsEntry } from "../../../../src/core/boot/bls-entry.ts";
import {
  bootEntryFileName,
  defaultEntry,
  makeBootEntry,
  nextSequence,
  readBootMenu,
  sortedInto,
} from "../../../../src/core/boot/boot-menu.ts";
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
    `title Debian GNU/Linux 13\nversion 12-13\nsort-key osdeploy\nlinux /osdeploy/abc/vmlinuz\ninitrd /osdeploy/abc/initramfs.img\noptions rw composefs=${id("a")} osdeploy.entry=osdeploy-000012\n`,
  );
  expect(formatBlsEntry(made(7, "a", "").entry)).toContain("\nversion 7\n");
});

const { entry: besideOthers } = makeBootEntry({
  ...{ sequence: 1, rootImage: id("a"), kernelPath: "/k", initramfsPath: "/i", besideOthers: true },
  options: `composefs=${id("a")}`,
  osRelease: { id: "x", prettyName: "X", version: "" },
});

test("sortedInto: the first entry comes before those of others, and all later ones have its key", () => {
  const menuOf = (...entries: ReturnType<typeof made>[]) => ({ entries, stale: [], foreign: [] });
  const key = (menu: Parameters<typeof sortedInto>[0]) => blsField(sortedInto(menu, made(2, "b")).entry, "sort-key");
  expect(key(menuOf())).toBe("osdeploy");
  expect(key({ ...menuOf(), foreign: ["debian.conf"] })).toBe("0-osdeploy");
  const beside = sortedInto({ ...menuOf(), foreign: ["debian.conf"] }, made(1, "a"));
  expect(key(menuOf(beside))).toBe("0-osdeploy");
  // One that an earlier release wrote: its image may write more of them.
  expect(key({ ...menuOf(made(1, "a")), foreign: ["debian.conf"] })).toBe("osdeploy");
  // Others that are not in the menu: the installer knows of them.
  const { fields } = sortedInto(menuOf(), { ...made(1, "a"), entry: besideOthers }).entry;
  expect(fields.find(({ key: name }) => name === "sort-key")?.value).toBe("0-osdeploy");
  const keyless = { ...made(1, "a"), entry: { fields: [] } };
  expect(key(menuOf(keyless))).toBe("osdeploy");
});

test.each(["old-osdeploy-000012.conf", "osdeploy-000012.conf.conf", "osdeploy-00012.conf", "osdeploy-000012+3-.conf"])(
  "readBootMenu: %s is somebody else's, whatever it starts",
  (fileName) => {
    const { entry } = made(12, "a");
    expect(readBootMenu([{ fileName, entry }])).toMatchObject({ entries: [], stale: [], foreign: [fileName] });
  },
);

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

test("readBootMenu: of several files with one number the latest state counts, and the others are stale", () => {
  const file = (fileName: string) => ({ fileName, entry: made(12, "a").entry });
  const latest = (...names: readonly string[]) => {
    const { entries, stale } = readBootMenu(names.map(file));
    return [entries.map(({ fileName }) => fileName), stale];
  };
  expect(latest("osdeploy-000012+2-1.conf", "osdeploy-000012.conf")).toEqual([
    ["osdeploy-000012.conf"],
    ["osdeploy-000012+2-1.conf"],
  ]);
  expect(latest("osdeploy-000012+3.conf", "osdeploy-000012+2-1.conf", "osdeploy-000012+0-3.conf")).toEqual([
    ["osdeploy-000012+0-3.conf"],
    ["osdeploy-000012+2-1.conf", "osdeploy-000012+3.conf"],
  ]);
  const zeros = ["osdeploy-0000012.conf", "osdeploy-000012.conf"];
  expect(latest(...zeros)).toEqual([[zeros[0]], [zeros[1]]]);
  expect(latest(...zeros.reverse())).toEqual([[zeros[1]], [zeros[0]]]);
});

test("nextSequence: is above all that are there, and 1 in an empty menu", () => {
  expect(nextSequence({ entries: [], foreign: [] })).toBe(1);
  expect(nextSequence({ entries: [made(41, "a"), made(3, "b")], foreign: ["zz-90.conf"] })).toBe(42);
});

test("nextSequence: is above an entry of ours that cannot be read", () => {
  expect(nextSequence({ entries: [made(3, "a")], foreign: ["osdeploy-000008+2.conf"] })).toBe(9);
});

test("nextSequence: is above the number of an entry that somebody renamed, whatever its name is now", () => {
  const file = (fileName: string, sequence: number) => ({ fileName, entry: made(sequence, "a").entry });
  const next = (...files: readonly ReturnType<typeof file>[]) => nextSequence(readBootMenu(files));
  const ours = file("osdeploy-000003.conf", 3);
  expect(next(ours, file("osdeploy-000002.conf", 2))).toBe(4);
  expect(next(ours, file("my-favourite.conf", 12), file("another.conf", 11))).toBe(13);
  expect(next(ours, file("osdeploy-000001.conf", 4))).toBe(5);
  expect(next(ours, file("my-favourite.conf", 2))).toBe(4);
  expect(readBootMenu([ours])).not.toHaveProperty("renamedSequence");
});

test("bootEntryFileName: carries the counters as systemd-boot writes them", () => {
  expect(bootEntryFileName(7, undefined)).toBe("osdeploy-000007.conf");
  expect(bootEntryFileName(7, { left: 3, done: 0 })).toBe("osdeploy-000007+3.conf");
  expect(bootEntryFileName(1_234_567, { left: 0, done: 3 })).toBe("osdeploy-1234567+0-3.conf");
});

test("defaultEntry: is the newest that is not given up, the newest of all when all are", () => {
  const menu = (...tries: readonly (number | undefined)[]) => ({
    entries: tries.map((left, index) => ({
      ...made(9 - index, "a"),
      tries: left === undefined ? undefined : { left, done: 0 },
    })),
    stale: [],
    foreign: [],
  });
  expect(defaultEntry(menu(2, undefined))?.sequence).toBe(9);
  expect(defaultEntry(menu(0, 0, undefined, undefined))?.sequence).toBe(7);
  expect(defaultEntry(menu(0, 0))?.sequence).toBe(9);
  expect(defaultEntry(menu())).toBeUndefined();
});

test("makeBootEntry: cuts what the image calls itself, and refuses arguments that the kernel would cut", () => {
  const rootArgument = ` composefs=${id("a")}`;
  const make = (prettyName: string, version: string, options: string) =>
    makeBootEntry({
      ...{ sequence: 12, rootImage: id("a"), kernelPath: "/k", initramfsPath: "/i", options: options + rootArgument },
      osRelease: { id: "x", prettyName, version },
    });
  const { entry } = make(`${"\u{1f600}".repeat(199)} ${"x".repeat(900)}`, "1".repeat(900), "rw");
  expect(blsField(entry, "title")).toBe("\u{1f600}".repeat(199));
  expect(blsField(entry, "version")).toBe(`12-${"1".repeat(100)}`);
  const room = 2047 - `${rootArgument} osdeploy.entry=osdeploy-000012`.length;
  const longest = `${"\u00e4".repeat((room - 1) / 2)}x`;
  expect(blsOptions(make("x", "", longest).entry)).toHaveLength((room + 1) / 2 + 2047 - room);
  expect(() => make("x", "", `${"x".repeat(room)}x`)).toThrow(
    "Cannot write the boot entry: the kernel arguments are 2048 bytes, and the kernel takes 2047",
  );
});

test.each([
  ["a quote before it is open", `rw x="y composefs=${id("a")}`],
  ["there is none", "rw"],
  ["another comes first", `composefs=${id("b")} composefs=${id("a")}`],
  ["the name is behind an open quote", `composefs=${id("a")} x="y`],
])("makeBootEntry: refuses arguments that do not say root image and name: %s", (_name, options) => {
  const paths = { kernelPath: "/k", initramfsPath: "/i" };
  const osRelease = { id: "x", prettyName: "X", version: "" };
  expect(() => makeBootEntry({ sequence: 12, rootImage: id("a"), osRelease, ...paths, options })).toThrow(
    expect.objectContaining({
      code: "bad-format",
      message: `Cannot write the boot entry: its root image and its name cannot be read from the kernel arguments: ${options} osdeploy.entry=osdeploy-000012`,
    }),
  );
});
