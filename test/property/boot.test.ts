import fc from "fast-check";
import { expect, test } from "vitest";
import { type BootTries, bootEntryFileName, makeBootEntry, readBootMenu } from "../../src/core/boot/boot-menu.ts";
import { formatGrubEnvironment, parseGrubEnvironment } from "../../src/core/boot/grub-environment.ts";
import { formatGrubMenu, parseGrubMenu } from "../../src/core/boot/grub-menu.ts";
import { grubWord } from "../../src/core/boot/grub-script.ts";
import { deploymentOptions, splitCmdline } from "../../src/core/boot/kernel-cmdline.ts";
import { fromBytes } from "../../src/core/bytes/byte-string.ts";
import { parseObjectId } from "../../src/core/digest/object-id.ts";

const rootImage = parseObjectId("ab".repeat(32), "sha256");

/** The words of a line as GRUB's lexer and any shell's reads them: only quotes and backslashes mean something. */
function wordsOf(line: string): readonly string[] {
  return (line.match(/(?:'[^']*'|\\.|[^\s'\\])+/gu) ?? []).map((word) =>
    word.replace(/'([^']*)'|\\(.)/gu, (_, quoted?: string, escaped?: string) => quoted ?? escaped ?? ""),
  );
}

test("law: what grubWord writes is one word, and says what the text said", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" }), { minLength: 1 }), (texts) => {
      const line = texts.map(grubWord).join(" ");
      expect(line).not.toMatch(/[\n\r\0]/);
      expect(wordsOf(line)).toEqual(texts.map((text) => text.replace(/\p{Cc}+/gu, " ")));
    }),
  );
});

test("law: parseGrubEnvironment(formatGrubEnvironment(environment)) is environment", () => {
  const bytes = (options: { readonly minLength: number }) =>
    fc.uint8Array({ ...options, maxLength: 60 }).map((each) => fromBytes(each));
  const name = bytes({ minLength: 1 }).filter((each) => !/[=\\\n]/.test(each) && !each.startsWith("#"));
  fc.assert(
    fc.property(fc.array(fc.tuple(name, bytes({ minLength: 0 })), { maxLength: 40 }), (pairs) => {
      const environment = { variables: new Map(pairs), sizeBytes: 1024 };
      const written = formatGrubEnvironment(environment);
      expect(written.length % 1024).toBe(0);
      expect(parseGrubEnvironment(written)).toEqual({ ...environment, sizeBytes: written.length });
    }),
  );
});

test("law: a GRUB environment of any bytes is read or refused, never anything else", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(..."ab=\\\n#\0\xff"), { maxLength: 60 }), (rest) => {
      const block = Buffer.from(`# GRUB Environment Block\n${rest.join("")}`, "latin1");
      const environment = parseGrubEnvironment(block);
      expect(parseGrubEnvironment(formatGrubEnvironment(environment)).variables).toEqual(environment.variables);
    }),
  );
});

const tries = fc.option(fc.record({ left: fc.nat(99), done: fc.nat(99) }), { nil: undefined });

test("law: readBootMenu gives each sequence number once, newest first, and loses no file", () => {
  const file = fc
    .tuple(fc.integer({ min: 1, max: 9 }), tries)
    .map(([sequence, counters]: [number, BootTries | undefined]) => {
      const osRelease = { id: "x", prettyName: "X", version: "1" };
      const paths = { kernelPath: "/k", initramfsPath: "/i" };
      const { entry } = makeBootEntry({ sequence, rootImage, osRelease, ...paths, options: `composefs=${rootImage}` });
      return { fileName: bootEntryFileName(sequence, counters), entry };
    });
  fc.assert(
    fc.property(fc.uniqueArray(file, { selector: ({ fileName }) => fileName }), (files) => {
      const { entries, stale, foreign } = readBootMenu(files);
      const sequences = entries.map(({ sequence }) => sequence);
      expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => b - a));
      expect([...entries.map(({ fileName }) => fileName), ...stale].sort()).toEqual(
        files.map(({ fileName }) => fileName).sort(),
      );
      expect(foreign).toEqual([]);
      const menu = formatGrubMenu(entries, new Map());
      expect([...(parseGrubMenu(menu)?.keys() ?? [])]).toEqual(sequences);
      for (let length = 0; length < menu.indexOf("set osdeploy_root") - 1; length++) {
        expect(parseGrubMenu(menu.slice(0, length))).toBeUndefined();
      }
    }),
  );
});

test("law: whatever is inherited, the entry says its root image and its name", () => {
  const piece = fc.constantFrom(
    ...'a= \t"',
    " composefs=",
    `composefs=?${"cd".repeat(32)}`,
    "osdeploy.entry=osdeploy-000009",
  );
  const osRelease = { id: "x", prettyName: "X", version: "1" };
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const options = deploymentOptions({ inherited: pieces.join(""), rootArgument: `composefs=${rootImage}` });
      const made = makeBootEntry({ sequence: 3, rootImage, osRelease, kernelPath: "/k", initramfsPath: "/i", options });
      expect(readBootMenu([made]).entries).toEqual([{ ...made, tries: undefined }]);
    }),
  );
});

test("law: deploymentOptions applied to its own result changes nothing", () => {
  const word = fc.stringMatching(/^[a-z][a-z.]{0,5}(=[a-z0-9?]{0,4})?$/);
  const words = fc.array(fc.oneof(word, fc.constantFrom("panic=1", "composefs=00", "osdeploy.tries=2", 'a="b c"')));
  fc.assert(
    fc.property(words, words, words, (inherited, before, after) => {
      const rootArgument = `composefs=${rootImage}`;
      const first = deploymentOptions({
        inherited: inherited.join(" "),
        rootArgument,
        imageArguments: { before, after },
      });
      expect(deploymentOptions({ inherited: first, rootArgument, imageArguments: { before: after, after } })).toBe(
        first,
      );
      expect(splitCmdline(first).filter((each) => each.startsWith("composefs"))).toEqual([rootArgument]);
    }),
  );
});
