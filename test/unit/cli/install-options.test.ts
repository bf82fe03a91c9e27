import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSize } from "../../../src/cli/install-options.ts";
import { runMain } from "../../../src/cli/run-main.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { buildInstallImage } from "../../builders/install-images.ts";
import { placeLayout } from "../../builders/os-images.ts";
import { putMounts, toolsThatSay } from "../../builders/tool-runs.ts";
import { FakeCliIo } from "../../fakes/fake-cli-io.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";
import { findTool } from "../../tools/find-tool.ts";
import { type JsonSchema, schemaErrors } from "../../tools/json-schema.ts";

test("parseSize: takes MiB, or powers of 1024 by their letters", () => {
  expect(["512", "512M", "20G", "1T", "4K"].map(parseSize)).toEqual([2 ** 29, 2 ** 29, 20 * 2 ** 30, 2 ** 40, 4096]);
  for (const text of ["", "0", "1.5G", "-1", "10g", "1GB", "9999999999"])
    expect(() => parseSize(text)).toThrow("is no size");
});

test.each([
  ["switch", "oci:os"],
  ["install", "to-disk", "--source-imgref", "oci:os", "disk"],
  ["lab", "run", "oci:os"],
])("kernelArgumentOption: an argument that is none is refused by %s %s", async (...words) => {
  for (const [karg, state] of [
    ["", "it is empty"],
    [" ", "it is empty"],
    ['dyndbg="file a', "it leaves a double quote open"],
  ] as const) {
    const io = new FakeCliIo();
    expect(await runMain([...words, "--karg", karg], io)).toBe(2);
    expect(io.stderr.text).toContain(`option '--karg <argument>' argument '${karg}' is invalid: ${state}\n`);
  }
});

function schemaOf(name: string): JsonSchema {
  return JSON.parse(readFileSync(new URL(`../../../docs/reference/schema/${name}.json`, import.meta.url), "utf8"));
}

const missing = ["mkfs.ext4", "debugfs", "mkfs.vfat", "mcopy"].filter((name) => findTool(name) === undefined);

describe("osdeploy install", () => {
  let scratch: string;
  beforeAll(async () => {
    scratch = mkdtempSync(join(tmpdir(), "osdeploy-install-cli-"));
    placeLayout(openLinux().files, fromText(join(scratch, "layout")), { os: await buildInstallImage() });
  });
  afterAll(() => rmSync(scratch, { recursive: true }));

  test.skipIf(missing.length > 0)(
    `to-disk: makes a file, and tells what it is (needs e2fsprogs, dosfstools, mtools)`,
    async () => {
      const io = new FakeCliIo({ linux: openLinux() });
      const source = ["--source-imgref", `oci:${join(scratch, "layout")}:os`];
      const words = ["install", "to-disk", ...source, "--size", "300M", "--boot-size", "40M", join(scratch, "disk")];
      expect([await runMain(["--json", ...words], io), io.stderr.text.includes("Cannot")]).toEqual([0, false]);
      const value: unknown = JSON.parse(io.stdout.text);
      expect(schemaErrors(value, schemaOf("install-to-disk"))).toEqual([]);
      expect(statSync(join(scratch, "disk")).size).toBe(300 * 2 ** 20);
      const again = new FakeCliIo({ linux: openLinux() });
      expect(await runMain(words, again)).not.toBe(0);
      expect(again.stderr.text).toContain("there is a file already");
      expect(await runMain([...words, "--wipe"], again)).toBe(0);
      expect(again.stdout.text).toContain("/disk is ready to start\n");
    },
  );

  test.each([
    ["to-filesystem", [], "osdeploy-000001.conf"],
    ["to-existing-root", ["--bootloader", "none"], "osdeploy-000001.conf"],
  ] as const)("%s: deploys into a mounted file system", async (kind, more, bootEntry) => {
    const run = toolsThatSay(() => "uuid\n");
    const linux = new FakeLinux({ mountPoints: [{ path: "/target" }, { path: "/target/boot" }], runProgram: run });
    putMounts(linux, [
      { at: "/target", type: "ext4", source: "/dev/sda2" },
      { at: "/target/boot", type: "vfat", source: "/dev/sda1" },
    ]);
    placeLayout(linux.files, fromText("/layout"), { os: await buildInstallImage() });
    const io = new FakeCliIo({ linux });
    const words = ["install", kind, "--source-imgref", "oci:/layout:os", ...more, "/target"];
    expect([await runMain(["--json", ...words], io), io.stderr.text]).toEqual([
      0,
      expect.not.stringContaining("Cannot"),
    ]);
    const value: unknown = JSON.parse(io.stdout.text);
    expect(schemaErrors(value, schemaOf("install-to-root"))).toEqual([]);
    expect(value).toMatchObject({ root: "/target", bootEntry });
  });

  test("to-existing-root: uses the loader that is there", async () => {
    const linux = new FakeLinux({ mountPoints: [{ path: "/target" }], runProgram: toolsThatSay(() => "uuid\n") });
    putMounts(linux, [{ at: "/target", type: "ext4", source: "/dev/sda2" }]);
    placeLayout(linux.files, fromText("/layout"), { os: await buildInstallImage() });
    for (const path of ["/target/boot", "/target/boot/grub"]) linux.files.makeDirectory(fromText(path), 0o755);
    linux.files.writeNewFile(fromText("/target/boot/grub/grub.cfg"), new Uint8Array(0), 0o644);
    const io = new FakeCliIo({ linux });
    const words = ["install", "to-existing-root", "--source-imgref", "oci:/layout:os", "/target"];
    expect([await runMain(words, io), io.stderr.text]).toEqual([0, expect.not.stringContaining("Cannot")]);
    expect(io.stdout.text).toMatch(/^The system in \/target boots next\n[\s\S]*Boot loader: grub\n/);
  });
});
