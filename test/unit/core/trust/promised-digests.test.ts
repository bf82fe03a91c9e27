import { expect, test } from "vitest";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";
import { checkPromisedDigests } from "../../../../src/core/trust/promised-digests.ts";

const id = (digit: string) => parseObjectId(digit.repeat(128), "sha512");
const rawKey = "composefs.merged.erofs.v1.fsverity-sha512-12";
const bootKey = "composefs.merged.bootable.erofs.v1.fsverity-sha512-12";
const made = { raw: id("a"), boot: id("b") };
const check = (
  annotations: Readonly<Record<string, string>>,
  images: Parameters<typeof checkPromisedDigests>[2] = made,
) => checkPromisedDigests(new Map(Object.entries(annotations)), "sha512", images);

test("checkPromisedDigests: takes what is as promised, and what nobody promises", () => {
  check({});
  check({ [rawKey]: id("a"), [bootKey]: id("b") });
  // of an algorithm that this repo does not have
  check({ [bootKey.replace("sha512", "sha256")]: "c".repeat(64) });
  // not asked for, and so not made
  check({ [bootKey]: id("c") }, { raw: id("a"), boot: undefined });
});

test.each([rawKey, bootKey])("checkPromisedDigests: refuses another root image than %s says", (key) => {
  expect(() => check({ [key]: id("c") })).toThrow(`not the one that its annotation ${key} promises`);
});
