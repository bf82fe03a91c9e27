import { expect, test } from "vitest";
import { formatStaged, parseStaged } from "../../../../src/core/deployment/staged-file.ts";
import { originOf, stagedOf } from "../../../builders/sysroot-states.ts";

const read = (text: string) => parseStaged(new TextEncoder().encode(text));

const promised = { ...originOf("c"), verifiedBy: ["the key of a", "the key of b"], sealedBy: ["the manifest"] };
test.each([
  stagedOf("a"),
  stagedOf("b", { finalizationLocked: true, sequence: 7 }),
  stagedOf("c", { origin: promised }),
])("parseStaged: reads what formatStaged wrote (%#)", (staged) => {
  expect(read(formatStaged(staged))).toEqual(staged);
});

test("parseStaged: takes root images of either length, and nothing else for one", () => {
  const long = formatStaged(stagedOf("a")).replace(/"rootImage": "a{64}"/, `"rootImage": "${"a".repeat(128)}"`);
  expect(read(long).rootImage).toHaveLength(128);
  expect(() => read(long.replace("aaaa", "../x"))).toThrow(
    "Cannot read the record of the staged deployment: rootImage is not a root image",
  );
});

test("parseStaged: takes what was staged before promises of digests were kept", () => {
  const staged = stagedOf("a");
  const { sealedBy: _, ...origin } = staged.origin;
  expect(read(JSON.stringify({ ...staged, origin })).origin).toEqual(staged.origin);
});

test("parseStaged: takes what says no version for the first, and refuses any other than that", () => {
  const of = (version: unknown) => read(JSON.stringify({ ...stagedOf("a"), version }));
  for (const version of [undefined, 1]) expect(of(version)).toEqual(stagedOf("a"));
  for (const version of [2, 0, "1", {}]) {
    expect(() => of(version)).toThrow(expect.objectContaining({ code: "unsupported" }));
  }
  expect(() => of(2)).toThrow(
    "Cannot read the record of the staged deployment: it is of version 2, and this osdeploy reads 1",
  );
});
