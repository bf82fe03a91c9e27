import { expect, test } from "vitest";
import {
  formatQuarantine,
  parseQuarantine,
  type QuarantineRecord,
  quarantineFileName,
} from "../../../../src/core/deployment/quarantine.ts";
import { manifestOf, recordOf } from "../../../builders/sysroot-states.ts";

const read = (text: string) => parseQuarantine(new TextEncoder().encode(text), "name");

const full: QuarantineRecord = {
  manifestDigest: manifestOf("a"),
  cause: "rolled-back",
  reason: 'a "reason"',
  imageReference: "docker://quay.io/os:1",
  bootEntry: "osdeploy-000003",
  since: "2026-01-01T00:00:00.000Z",
  bootLog: "one\ntwo",
};

test.each([full, recordOf("b")])("parseQuarantine: reads what formatQuarantine wrote (%#)", (record) => {
  expect(read(formatQuarantine(record))).toEqual(record);
});

test("quarantineFileName: is the digest's hex", () => {
  expect(quarantineFileName(manifestOf("c"))).toBe(`${"c".repeat(64)}.json`);
});

test("parseQuarantine: refuses what is no record, and names it", () => {
  expect(() => read("{}")).toThrow('Cannot read quarantine record name: it has no "manifestDigest"');
});

test("parseQuarantine: reads of a newer version what it knows, and another cause as a boot that failed", () => {
  const newer = { ...full, version: 2, cause: "revoked", revokedBy: "somebody" };
  expect(read(JSON.stringify(newer))).toEqual({ ...full, cause: "boot-failed" });
});
