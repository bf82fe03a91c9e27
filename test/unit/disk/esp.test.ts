import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { uuidOfSeed } from "../../../src/core/disk/uuid.ts";
import { fatSerial, makeEsp, type NewEsp } from "../../../src/disk/esp.ts";
import { putFile, toolsThatSay } from "../../builders/tool-runs.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const mebibyte = 1024 * 1024;
const uuid = uuidOfSeed("esp");

/** The words of the tools that make a partition with some files. */
function toolsFor(changes: Partial<NewEsp>): { readonly linux: FakeLinux; readonly words: readonly string[] } {
  const words: string[] = [];
  const linux: FakeLinux = new FakeLinux({
    runProgram: (all, options) => {
      words.push([...all, JSON.stringify(options?.environment)].join(" "));
      return toolsThatSay(() => "")(all, options);
    },
  });
  putFile(linux.files, "/content/EFI/BOOT/BOOTX64.EFI", "loader");
  putFile(linux.files, "/content/EFI.txt", "x");
  makeEsp(linux, {
    ...{ label: "ESP", file: fromText("/esp.img"), content: fromText("/content"), uuid, time: 1_600_000_000 },
    ...{ sizeBytes: 36 * mebibyte, sectorBytes: 512, ...changes },
  });
  return { linux, words };
}

test("makeEsp: hands the tools all that is on it, directories first, and nothing that differs between machines", () => {
  const { linux, words } = toolsFor({});
  const environment = JSON.stringify({ SOURCE_DATE_EPOCH: "1600000000", TZ: "UTC", MTOOLS_SKIP_CHECK: "1" });
  const number = uuid.slice(0, 8);
  expect(words).toEqual(
    [
      `mkfs.vfat --invariant -F 32 -S 512 -n ESP -i ${number} -C /esp.img 36864`,
      "mmd -i /esp.img ::/EFI",
      "mmd -i /esp.img ::/EFI/BOOT",
      "mcopy -i /esp.img -m /content/EFI/BOOT/BOOTX64.EFI ::/EFI/BOOT/BOOTX64.EFI",
      "mcopy -i /esp.img -m /content/EFI.txt ::/EFI.txt",
    ].map((line) => `${line} ${environment}`),
  );
  expect(linux.files.lstat(fromText("/content/EFI.txt")).mtimeSeconds).toBe(1_600_000_000n);
});

test.each([
  [36 * mebibyte - 1024, 512, "-S 512"],
  [36 * mebibyte, 512, "-F 32 -S 512"],
  [287 * mebibyte, 4096, "-S 4096"],
  [288 * mebibyte, 4096, "-F 32 -S 4096"],
])("makeEsp: %i bytes with sectors of %i are formatted with: %s", (sizeBytes, sectorBytes, format) => {
  expect(toolsFor({ sizeBytes, sectorBytes }).words[0]).toContain(`--invariant ${format} -n ESP `);
});

test("fatSerial: the first eight digits, as blkid shows them", () => {
  expect(fatSerial(uuid)).toBe(`${uuid.slice(0, 4)}-${uuid.slice(4, 8)}`.toUpperCase());
});
