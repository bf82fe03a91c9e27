import { expect, test } from "vitest";
import { mayGiveFilesAway } from "../../../src/linux/capabilities.ts";
import { putFile } from "../../builders/tool-runs.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

function answerTo(status: string): boolean {
  const linux = new FakeLinux();
  putFile(linux.files, "/proc/self/status", status);
  return mayGiveFilesAway(linux.files);
}

test("mayGiveFilesAway: the effective set has CAP_CHOWN", () => {
  const statusWith = (effective: string) =>
    `Name:\tnode\nCapPrm:\t000001ffffffffff\nCapEff:\t${effective}\nCapBnd:\t000001ffffffffff\n`;
  for (const effective of ["000001ffffffffff", "0000000000000001"]) expect(answerTo(statusWith(effective))).toBe(true);
  for (const effective of ["0000000000000000", "000001fffffffffe"]) expect(answerTo(statusWith(effective))).toBe(false);
});

test("mayGiveFilesAway: yes where the kernel does not tell", () => {
  expect(mayGiveFilesAway(new FakeLinux().files)).toBe(true);
  expect(answerTo("Name:\tCapEff:\n")).toBe(true);
});
