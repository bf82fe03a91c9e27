import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { afterAll, describe, expect, test } from "vitest";
import { nodeBlockHasher, VerityHasher, verityDigest } from "../../../src/core/digest/fs-verity.ts";
import { digestLength, type VerityAlgorithm } from "../../../src/core/digest/object-id.ts";
import { multiBufferHasher } from "../../../src/linux/multi-buffer-hasher.ts";

const isHere = multiBufferHasher("sha256") !== undefined;
const without = isHere ? "" : " (skipped: needs Debian's libipsec-mb1 or libipsec-mb2, and AVX2 or AVX-512)";

function pattern(length: number, seed = 7): Uint8Array {
  return Buffer.allocUnsafeSlow(length).map((_, at) => (at * seed) ^ (at >> 5) ^ (at >> 13));
}

function hashes(algorithm: VerityAlgorithm, blocks: Uint8Array, hasher = nodeBlockHasher(algorithm)): Buffer {
  const target = Buffer.alloc((blocks.length / 4096) * digestLength(algorithm));
  hasher(blocks, target, 0);
  return target;
}

describe.each(["sha256", "sha512"] as const)("multiBufferHasher of %s", (algorithm) => {
  const hasher = multiBufferHasher(algorithm);

  test.skipIf(!isHere)(`gives Node's hashes for any number of blocks${without}`, () => {
    for (const count of [0, 1, 2, 3, 6, 7, 8, 9, 63, 64, 65, 100, 127, 128, 129, 200, 256, 257, 600]) {
      const blocks = pattern(count * 4096, count + 1);
      const same = hashes(algorithm, blocks, hasher).equals(hashes(algorithm, blocks));
      expect({ count, same }).toEqual({ count, same: true });
    }
  });

  test.skipIf(!isHere)(
    `gives an independent implementation's hashes, at odd offsets, and nothing else${without}`,
    () => {
      const independent = algorithm === "sha256" ? sha256 : sha512;
      const blocks = pattern(70 * 4096 + 5).subarray(5);
      const length = digestLength(algorithm);
      const target = new Uint8Array(70 * length + 10).fill(0xee);
      hasher?.(blocks, target, 3);
      const expected = new Uint8Array(70 * length + 10).fill(0xee);
      for (let at = 0; at < 70; at++)
        expected.set(independent(blocks.subarray(at * 4096, (at + 1) * 4096)), at * length + 3);
      expect(Buffer.compare(target, expected)).toBe(0);
    },
  );

  test.skipIf(!isHere)(`makes the same fs-verity digests, also from small pieces${without}`, () => {
    for (const length of [0, 1, 4096, 4097, 128 * 4096, 130 * 4096 + 5, 2_000_000]) {
      const bytes = pattern(length);
      const pieces = new VerityHasher(algorithm, hasher);
      for (let at = 0; at < length; at += 33_333) pieces.update(bytes.subarray(at, at + 33_333));
      const expected = verityDigest(algorithm, bytes);
      expect({ length, whole: verityDigest(algorithm, bytes, hasher), inPieces: pieces.digest() }).toEqual({
        length,
        whole: expected,
        inPieces: expected,
      });
    }
  });

  test.skipIf(!isHere)(`refuses parts of blocks, and a target without room${without}`, () => {
    expect(() => hasher?.(pattern(64 * 4096 + 1), new Uint8Array(10_000), 0)).toThrow(/whole blocks/);
    expect(() => hasher?.(pattern(64 * 4096), new Uint8Array(64), 0)).toThrow(RangeError);
  });

  test.skipIf(!isHere)(`is one for each thread${without}`, () => {
    expect(multiBufferHasher(algorithm)).toBe(hasher);
  });
});

/** The collector, as `node --expose-gc` gives it. */
function collector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

test.skipIf(!isHere)(
  `multiBufferHasher: both algorithms take turns while the collector moves everything${without}`,
  () => {
    const collect = collector();
    const expected = new Map<string, string>();
    for (let round = 0; round < 300; round++) {
      const algorithm = round % 2 === 0 ? "sha256" : "sha512";
      const count = 1 + ((round * 37) % 130);
      // A fresh one each time, which nothing mentions after the call: its memory must stay until the hashes are out.
      const found = hashes(algorithm, pattern(count * 4096, 5), multiBufferHasher(algorithm)).toString("hex");
      if (round % 10 === 0) collect();
      const garbage = Array.from({ length: 50 }, (_, at) => new Uint8Array(at * 100));
      expect(garbage.length).toBe(50);
      const key = `${algorithm} ${count}`;
      if (!expected.has(key)) expected.set(key, hashes(algorithm, pattern(count * 4096, 5)).toString("hex"));
      expect({ round, key, same: found === expected.get(key) }).toEqual({ round, key, same: true });
    }
  },
);

const built = new URL("../../../dist/linux/multi-buffer-hasher.js", import.meta.url);
const isBuilt = existsSync(built);
const directory = mkdtempSync(join(tmpdir(), "multi-buffer-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

test.skipIf(!isBuilt)(
  `multiBufferHasher: is undefined where no such library can be loaded${isBuilt ? "" : " (skipped: dist is not built)"}`,
  () => {
    // Files that are no libraries, found before those of the system.
    for (const version of [1, 2]) writeFileSync(join(directory, `libIPSec_MB.so.${version}`), "");
    const script = `const { multiBufferHasher } = await import(${JSON.stringify(built.href)});
      console.log(multiBufferHasher("sha256"), multiBufferHasher("sha512"));`;
    const output = execFileSync(process.execPath, ["--input-type=module", "-e", script], {
      env: { ...process.env, LD_LIBRARY_PATH: directory },
      encoding: "utf8",
    });
    expect(output).toBe("undefined undefined\n");
  },
);
