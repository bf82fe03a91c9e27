import { afterEach, describe, expect, test } from "vitest";
import { type ErrorCode, OsdeployError } from "../../../src/core/errors.ts";
import { allowedTarBytes, isPartialProblem, isPlanOf } from "../../../src/operations/partial-stage.ts";
import { machineWithRepo } from "../../builders/operation-machine.ts";
import {
  expectHealthy,
  indexNames,
  pullFrom,
  registryWith,
  stopRegistries,
  v1Image,
  v2,
  v2Image,
} from "../../builders/partial-pull.ts";

afterEach(stopRegistries);

describe("the content index is a cache", () => {
  const broken = new OsdeployError("system", "the disk cannot do that");
  test.each(["writeNewFile", "rename"] as const)("an index that %s cannot make fails no layer", async (call) => {
    const linux = await machineWithRepo({});
    const registry = await registryWith({ v1: v1Image, v2: v2Image });
    await pullFrom(linux, registry, "v1");
    const { writeNewFile, rename } = linux.files;
    Object.assign(linux.files, {
      ...(call === "writeNewFile" && {
        writeNewFile: (...words: Parameters<typeof writeNewFile>) => {
          if (words[0].endsWith("content-index")) throw broken;
          writeNewFile(...words);
        },
      }),
      ...(call === "rename" && {
        rename: (...words: Parameters<typeof rename>) => {
          if (words[1].includes("/content-index/")) throw broken;
          rename(...words);
        },
      }),
    });
    const pulled = await pullFrom(linux, registry, "v2");
    expect(pulled.warnings).toEqual([]);
    expect(pulled.layerBytes).toBeLessThan(v2.blob.length);
    expect(indexNames(linux)).toHaveLength(1);
    await expectHealthy(linux);
  });
});

test.each<[ErrorCode, boolean]>([
  ...(
    ["bad-format", "limit-exceeded", "unsupported", "digest-mismatch", "damaged", "not-found", "system"] as const
  ).map((code): [ErrorCode, boolean] => [code, true]),
  ...(["network", "interrupted", "unauthorized", "no-space", "untrusted"] as const).map(
    (code): [ErrorCode, boolean] => [code, false],
  ),
])("isPartialProblem: whether a layer may still come whole after %s is %j", (code, expected) => {
  expect(isPartialProblem(new OsdeployError(code, "Cannot go on"))).toBe(expected);
  expect(isPartialProblem(new TypeError("a bug"))).toBe(false);
});

test("what a tar may have goes by the bytes that are here, whatever the manifest says of the blob's size", () => {
  const tableBytes = new Uint8Array(1000);
  const allowed = allowedTarBytes({ knownBytes: 5_000_000, fetchBytes: 2000 }, tableBytes);
  expect(allowed).toBe(1024 ** 3 + 5_000_000 + 200 * 3000);
});

test("isPlanOf: only a plan with the same ranges, one by one", () => {
  const range = (offsetBytes: number, lengthBytes: number) => ({ offsetBytes, lengthBytes });
  const planned = { plan: { ranges: [range(1, 2), range(5, 6)] } };
  expect(isPlanOf(planned, [range(1, 2), range(5, 6)])).toBe(true);
  expect(isPlanOf(planned, [range(1, 2)])).toBe(false);
  expect(isPlanOf(planned, [range(1, 2), range(5, 6), range(20, 1)])).toBe(false);
  expect(isPlanOf(planned, [range(1, 2), range(5, 7)])).toBe(false);
  expect(isPlanOf(planned, [range(1, 2), range(4, 6)])).toBe(false);
});
