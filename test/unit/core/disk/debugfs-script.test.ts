import { describe, expect, test } from "vitest";
import { type ByteString, fromText } from "../../../../src/core/bytes/byte-string.ts";
import { debugfsScripts } from "../../../../src/core/disk/debugfs-script.ts";
import { type DiskContent, type DiskStep, ownedByRoot } from "../../../../src/core/disk/disk-step.ts";

const time = 1_700_000_000;

function step(path: string, content: DiskContent, changes: Partial<DiskStep> = {}): DiskStep {
  return { path: fromText(path), stat: ownedByRoot(0o755, time), xattrs: new Map(), content, ...changes };
}

function scriptOf(...steps: readonly DiskStep[]): readonly string[] {
  const valueFile = (value: ByteString) => fromText(`/values/${value}`);
  return [...debugfsScripts(steps, { time, valueFile })].join("").trimEnd().split("\n");
}

const directory: DiskContent = { kind: "directory" };
const file: DiskContent = { kind: "file", source: fromText("/src/file"), sealedBytes: undefined };

describe("debugfsScripts", () => {
  test("makes directories and what is in them, each where it belongs", () => {
    const lines = scriptOf(step("a", directory), step("a/b", directory), step("a/b/f", file), step("a/g", file));
    expect(lines).toEqual([
      `set_current_time @${time}`,
      'cd "/"',
      'mkdir "a"',
      'sif "./a" mode 040755',
      'cd "/a"',
      'mkdir "b"',
      'sif "./b" mode 040755',
      'cd "/a/b"',
      'write "/src/file" "f"',
      'sif "./f" mode 0100755',
      'cd "/a"',
      'write "/src/file" "g"',
      'sif "./g" mode 0100755',
    ]);
  });

  test("gives a sealed file its size without the tail, and both flags", () => {
    const lines = scriptOf(step("f", { kind: "file", source: fromText("/src/o"), sealedBytes: 4097 }));
    expect(lines.slice(-2)).toEqual(['sif "./f" size 4097', 'sif "./f" flags 0x180000']);
  });

  test("makes links, devices and FIFOs with their numbers", () => {
    const lines = scriptOf(
      step("l", { kind: "symlink", target: fromText('a "b" c') }),
      step("c", { kind: "character-device", rdev: 0x00112304 }),
      step("b", { kind: "block-device", rdev: 0x0801 }),
      step("p", { kind: "fifo", rdev: 0 }),
    );
    expect(lines.filter((line) => !line.startsWith("sif"))).toEqual([
      `set_current_time @${time}`,
      'cd "/"',
      'symlink "l" "a ""b"" c"',
      'mknod "c" c 291 260',
      'mknod "b" b 8 1',
      'mknod "p" p',
    ]);
    expect(lines.filter((line) => line.includes(" mode "))).toEqual([
      'sif "./l" mode 0120777',
      'sif "./c" mode 020755',
      'sif "./b" mode 060755',
      'sif "./p" mode 010755',
    ]);
  });

  test("sets owners, extended attributes and the time, with 34 bits of seconds and the nanoseconds", () => {
    const stat = { permissions: 0o4750, uid: 100_000, gid: 8, mtimeSeconds: 2n ** 32n + 5n, mtimeNanoseconds: 7 };
    const xattrs = new Map([[fromText("security.capability"), fromText("cap")]]);
    expect(scriptOf(step("f", file, { stat, xattrs })).slice(3)).toEqual([
      'sif "./f" mode 0104750',
      'sif "./f" uid 100000',
      'sif "./f" gid 8',
      'sif "./f" mtime @5',
      'sif "./f" mtime_extra 29',
      'ea_set -f "/values/cap" "./f" "security.capability"',
    ]);
  });

  test.each([
    [-1n, 4294967295n, 0n],
    [-(2n ** 40n), 2147483648n, 0n],
    [2n ** 31n, 2147483648n, 1n],
    [2n ** 40n, 2147483647n, 3n],
  ])("keeps second %s within what ext4 can hold", (mtimeSeconds, low, extra) => {
    const stat = { ...ownedByRoot(0o644, 0), mtimeSeconds };
    expect(scriptOf(step("f", file, { stat })).slice(-2)).toEqual([
      `sif "./f" mtime @${low}`,
      `sif "./f" mtime_extra ${extra}`,
    ]);
  });

  test("names that look like something else are only names", () => {
    expect(scriptOf(step("<12>", file)).slice(2)).toEqual(['write "/src/file" "<12>"', 'sif "./<12>" mode 0100755']);
  });

  test("splits what is much into several runs, each of which knows where it is", () => {
    const name = "n".repeat(200);
    const many = Array.from({ length: 30_000 }, (_, index) => step(`d/${name}${index}`, file));
    const scripts = [...debugfsScripts([step("d", directory), ...many], { time, valueFile: (value) => value })];
    expect(scripts.length).toBeGreaterThan(1);
    for (const script of scripts) {
      expect(script.length).toBeLessThan(10 * 1024 * 1024);
      expect(script.split("\n")[0]).toBe(`set_current_time @${time}`);
    }
    expect(scripts[1]?.split("\n")[1]).toBe('cd "/d"');
    expect(scripts.join("").match(/^write /gm)).toHaveLength(30_000);
  });

  test("nothing to make is no script", () => {
    expect([...debugfsScripts([], { time, valueFile: (value) => value })]).toEqual([]);
  });

  test("refuses names that no line can hold", () => {
    expect(() => scriptOf(step("a\nb", file))).toThrow("it has a line break");
    expect(() => scriptOf(step("a\rb", file))).toThrow("it has a line break");
    expect(() => scriptOf(step("l", { kind: "symlink", target: fromText('"'.repeat(4095)) }))).toThrow(
      "it is too long",
    );
  });
});
