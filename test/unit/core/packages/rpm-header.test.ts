import { expect, test } from "vitest";
import { parseRpmHeader } from "../../../../src/core/packages/rpm-header.ts";
import { refusal } from "../../../builders/refusal.ts";
import { rpmHeader } from "../../../builders/rpm-header.ts";

const plain = { name: "bash", version: "5.2", release: "1.fc40" };

test("parseRpmHeader: name, version and release, and an epoch and an architecture where there are some", () => {
  expect(parseRpmHeader(rpmHeader(plain))).toEqual({ name: "bash", version: "5.2-1.fc40", architecture: "" });
  expect(parseRpmHeader(rpmHeader({ ...plain, epoch: 2, architecture: "noarch" }))).toEqual({
    ...{ name: "bash", version: "2:5.2-1.fc40", architecture: "noarch" },
  });
  expect(parseRpmHeader(rpmHeader({ ...plain, epoch: 0 })).version).toBe("0:5.2-1.fc40");
});

test("parseRpmHeader: of a tag that comes twice the first counts, and one that points nowhere is none", () => {
  expect(parseRpmHeader(rpmHeader(plain, [[1000, 6, "zsh"]])).name).toBe("bash");
  const lost = rpmHeader({ ...plain, epoch: 2 });
  new DataView(lost.buffer).setUint32(8 + 3 * 16 + 8, 1_000_000);
  expect(parseRpmHeader(lost).version).toBe("5.2-1.fc40");
});

test("parseRpmHeader: what is cut off, or names no package, is refused", () => {
  const whole = rpmHeader(plain);
  for (const length of [0, 7, 20, whole.length - 1]) {
    expect(refusal(() => parseRpmHeader(whole.subarray(0, length)))).toMatch(/^bad-format: .*it is cut off$/);
  }
  for (const missing of ["name", "version", "release"] as const) {
    const { [missing]: _, ...rest } = plain;
    expect(refusal(() => parseRpmHeader(rpmHeader(rest)))).toMatch(/it does not say of which package$/);
  }
  const endless = rpmHeader(plain);
  endless[endless.length - 1] = 0x41;
  expect(refusal(() => parseRpmHeader(endless))).toMatch(/it does not say of which package$/);
});
