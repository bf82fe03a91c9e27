import { describe, expect, test } from "vitest";
import { grubBootloader } from "../../../src/bootloader/grub.ts";
import { prepareBootPartition } from "../../../src/bootloader/prepare-boot-partition.ts";
import { type BootEntry, makeBootEntry } from "../../../src/core/boot/boot-menu.ts";
import { type ByteString, fromBytes, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { parseObjectId } from "../../../src/core/digest/object-id.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const boot = fromText("/boot");

function entryOf(sequence: number, tries?: number): BootEntry {
  return makeBootEntry({
    sequence,
    rootImage: parseObjectId("ab".repeat(32), "sha256"),
    osRelease: { id: "test", prettyName: "Test OS", version: "9" },
    kernelPath: "/osdeploy/k/vmlinuz",
    initramfsPath: "/osdeploy/k/initramfs.img",
    options: `composefs=${"ab".repeat(32)}`,
    tries,
  });
}

function prepared(...entries: readonly BootEntry[]): FakeLinux {
  const linux = new FakeLinux({ mountPoints: [{ path: "/boot" }] });
  const settings = { kind: "grub", fileSystemUuid: "A", directory: "/grub", timeoutSeconds: 1 } as const;
  prepareBootPartition(linux.files, boot, settings);
  for (const entry of entries) grubBootloader(linux.files, boot).addEntry(entry);
  return linux;
}

const read = (linux: FakeLinux, path: string) => fromBytes(linux.files.readFile(fromText(`/boot/${path}`), 1 << 20));

function replace(linux: FakeLinux, path: string, text: string): void {
  const target = fromText(`/boot/${path}`);
  if (linux.files.lstatIfExists(target) !== undefined) linux.files.unlink(target);
  linux.files.writeNewFile(target, toBytes(fromText(text)), 0o644);
}

const menuOf = (linux: FakeLinux) => grubBootloader(linux.files, boot).readMenu();
const triesOf = (linux: FakeLinux) => menuOf(linux).entries.map(({ sequence, tries }) => [sequence, tries]);

describe("grubBootloader", () => {
  test("counts in the environment block, and leaves the other variables and the size of it alone", () => {
    const linux = prepared();
    replace(linux, "grub/grubenv", "# GRUB Environment Block\nsaved_entry=debian\n".padEnd(2048, "#"));
    const loader = grubBootloader(linux.files, boot);
    loader.addEntry(entryOf(5, 3));
    loader.addEntry(entryOf(6));
    expect(read(linux, "grub/grubenv")).toBe(
      "# GRUB Environment Block\nsaved_entry=debian\nosdeploy_tries_5=3\n".padEnd(2048, "#"),
    );
    expect(linux.files.readDirectory(fromText("/boot/loader/entries"))).toEqual([
      "osdeploy-000005.conf",
      "osdeploy-000006.conf",
    ]);
    expect(read(linux, "grub/osdeploy.cfg")).toContain("#entry 6 -\n#entry 5 3\n#entries 2\n");
  });

  test("has the highest number first in its menu, whichever came last", () => {
    expect(read(prepared(entryOf(3), entryOf(2)), "grub/osdeploy.cfg")).toContain(
      "#entry 3 -\n#entry 2 -\n#entries 2\n",
    );
  });

  test("sees what GRUB counted down", () => {
    const linux = prepared(entryOf(4), entryOf(5, 3));
    for (const [text, tries] of [
      ["2", { left: 2, done: 1 }],
      ["0", { left: 0, done: 3 }],
      ["7", { left: 7, done: 0 }],
      ["x", undefined],
      ["2x", undefined],
      ["x2", undefined],
    ] as const) {
      replace(linux, "grub/grubenv", `# GRUB Environment Block\nosdeploy_tries_5=${text}\n`.padEnd(1024, "#"));
      expect(triesOf(linux)).toEqual([
        [5, tries],
        [4, undefined],
      ]);
    }
  });

  test("gives no more tries than the script has cases", () => {
    const linux = prepared(entryOf(1, 40));
    expect(triesOf(linux)).toEqual([[1, { left: 9, done: 0 }]]);
    expect(read(linux, "grub/osdeploy.cfg")).toContain("#entry 1 9\n");
  });

  test("an entry that osdeploy.cfg does not name was never finished: the next change removes it", () => {
    const linux = prepared(entryOf(1));
    replace(linux, "loader/entries/osdeploy-000002.conf", `options composefs=${"cd".repeat(32)}\n`);
    expect(menuOf(linux)).toEqual({ entries: [entryOf(1)], stale: ["osdeploy-000002.conf"], foreign: [] });
    const loader = grubBootloader(linux.files, boot);
    loader.addEntry(entryOf(2));
    expect(menuOf(linux)).toEqual({ entries: [entryOf(2), entryOf(1)], stale: [], foreign: [] });
    replace(linux, "loader/entries/osdeploy-000003.conf", `options composefs=${"cd".repeat(32)}\n`);
    loader.removeEntries([]);
    expect(menuOf(linux)).toEqual({ entries: [entryOf(2), entryOf(1)], stale: [], foreign: [] });
  });

  test.each([
    ["is missing", undefined],
    ["was cut off", "#entry 2 -\n"],
    ["is somebody else's", "menuentry x {\n}\n"],
  ])("every entry counts where osdeploy.cfg %s, and the next change writes it anew", (_, text) => {
    const linux = prepared(entryOf(1), entryOf(2, 3));
    linux.files.unlink(fromText("/boot/grub/osdeploy.cfg"));
    if (text !== undefined) replace(linux, "grub/osdeploy.cfg", text);
    expect(triesOf(linux)).toEqual([
      [2, { left: 3, done: 0 }],
      [1, undefined],
    ]);
    grubBootloader(linux.files, boot).addEntry(entryOf(3, 2));
    expect(read(linux, "grub/osdeploy.cfg")).toContain("#entry 3 2\n#entry 2 3\n#entry 1 -\n#entries 3\n");
    const other = prepared(entryOf(1), entryOf(2, 3));
    other.files.unlink(fromText("/boot/grub/osdeploy.cfg"));
    grubBootloader(other.files, boot).removeEntries([{ sequence: 1 }]);
    expect(read(other, "grub/osdeploy.cfg")).toContain("#entry 2 3\n#entries 1\n");
  });

  test.each([
    ["is missing", undefined],
    ["is empty", ""],
    ["is no environment block", "x".repeat(1024)],
  ])("nothing is counted where grubenv %s, and the next change writes it anew", (_, text) => {
    const linux = prepared(entryOf(1), entryOf(2, 3));
    linux.files.unlink(fromText("/boot/grub/grubenv"));
    if (text !== undefined) replace(linux, "grub/grubenv", text);
    expect(triesOf(linux)).toEqual([
      [2, undefined],
      [1, undefined],
    ]);
    expect(menuOf(linux).areTriesLost).toBe(true);
    grubBootloader(linux.files, boot).giveUp({ sequence: 2 });
    expect(triesOf(linux)[0]).toEqual([2, { left: 0, done: 3 }]);
    expect(read(linux, "grub/grubenv").replace(/#*$/, "")).toBe("# GRUB Environment Block\nosdeploy_tries_2=0\n");
  });

  test("no tries are lost where none were counted, or the environment block is there", () => {
    expect(menuOf(prepared(entryOf(1), entryOf(2, 3))).areTriesLost).toBeUndefined();
    const linux = prepared(entryOf(1), entryOf(2));
    linux.files.unlink(fromText("/boot/grub/grubenv"));
    expect(menuOf(linux).areTriesLost).toBeUndefined();
  });

  test("writes beside the configuration that is there, also where it is called grub2", () => {
    const linux = new FakeLinux({ mountPoints: [{ path: "/boot" }] });
    linux.files.makeDirectory(fromText("/boot/grub2"), 0o755);
    replace(linux, "grub2/grub.cfg", "blscfg\n");
    // It does not source our menu, so nobody would count.
    expect(grubBootloader(linux.files, boot).addEntry(entryOf(1, 3)).tries).toBeUndefined();
    expect(linux.files.readDirectory(fromText("/boot/grub2"))).toEqual(["grub.cfg", "osdeploy.cfg"]);
  });

  test.each([
    ["grub2", "grub"],
    ["grub", "grub2"],
  ])("writes where its menu is, in %s, when there is another directory of GRUB's", (own, other) => {
    const linux = new FakeLinux({ mountPoints: [{ path: "/boot" }] });
    for (const name of ["grub", "grub2"]) linux.files.makeDirectory(fromText(`/boot/${name}`), 0o755);
    replace(linux, `${other}/grubenv`, "# GRUB Environment Block\n");
    replace(linux, `${own}/osdeploy.cfg`, "#entries 0\n");
    grubBootloader(linux.files, boot).addEntry(entryOf(1));
    expect(read(linux, `${own}/osdeploy.cfg`)).toContain("#entry 1 -\n");
    expect(linux.files.readDirectory(fromText(`/boot/${other}`))).toEqual(["grubenv"]);
  });

  test.each(["grub.cfg", "custom.cfg"])("counts where %s takes up its menu", (name) => {
    const linux = new FakeLinux({ mountPoints: [{ path: "/boot" }] });
    linux.files.makeDirectory(fromText("/boot/grub"), 0o755);
    replace(linux, `grub/${name}`, "source osdeploy.cfg\n");
    expect(grubBootloader(linux.files, boot).addEntry(entryOf(1, 3)).tries).toEqual({ left: 3, done: 0 });
  });

  test("giving up an entry that is gone writes nothing, for the next one may get its number", () => {
    const linux = prepared(entryOf(1), entryOf(2));
    const before = linux.trace.length;
    grubBootloader(linux.files, boot).giveUp({ sequence: 3 });
    expect(linux.trace.length).toBe(before);
  });

  test("an entry that the initramfs gave up by its name as well is read and blessed like any other", () => {
    const linux = prepared(entryOf(1), entryOf(2, 3));
    const directory = "/boot/loader/entries/osdeploy-000002";
    linux.files.rename(fromText(`${directory}.conf`), fromText(`${directory}+0.conf`));
    grubBootloader(linux.files, boot).giveUp({ sequence: 2 });
    expect(triesOf(linux)[0]).toEqual([2, { left: 0, done: 3 }]);
    grubBootloader(linux.files, boot).bless({ sequence: 2 });
    expect(triesOf(linux)[0]).toEqual([2, undefined]);
    grubBootloader(linux.files, boot).removeEntries([{ sequence: 2 }]);
    expect(linux.files.readDirectory(fromText("/boot/loader/entries"))).toEqual(["osdeploy-000001.conf"]);
  });

  test("keeps bytes of variables that are no text", () => {
    const linux = prepared();
    const path = fromText("/boot/grub/grubenv");
    linux.files.unlink(path);
    const odd = "# GRUB Environment Block\nodd=\xff\xfe\n".padEnd(1024, "#") as ByteString;
    linux.files.writeNewFile(path, toBytes(odd), 0o644);
    grubBootloader(linux.files, boot).addEntry(entryOf(1, 1));
    expect(read(linux, "grub/grubenv")).toContain("odd=\xff\xfe\nosdeploy_tries_1=1\n");
  });
});
