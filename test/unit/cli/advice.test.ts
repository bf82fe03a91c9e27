import { expect, test } from "vitest";
import { withAdvice } from "../../../src/cli/advice.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { systemCallError } from "../../../src/linux/errno.ts";

const refused = (errno: string) => systemCallError({ verb: "write", path: fromText("/repo/x") }, errno);
const hintOf = (error: unknown, circumstances: { readonly uid?: number; readonly whenFull?: string } = {}) => {
  const advised = withAdvice(error, { uid: 1000, whenFull: undefined, ...circumstances });
  return advised instanceof OsdeployError ? advised.facts["hint"] : undefined;
};

test.each(["EACCES", "EPERM"])("withAdvice: %s sends to root whoever is not root", (errno) => {
  expect(hintOf(refused(errno))).toBe("Run it as root");
  expect(hintOf(refused(errno), { uid: 0 })).toBeUndefined();
});

test.each(["ENOSPC", "EDQUOT"])("withAdvice: %s names the command that makes room, where there is one", (errno) => {
  expect(hintOf(refused(errno), { whenFull: "osdeploy gc" })).toBe("Free some space, for example with: osdeploy gc");
  expect(hintOf(refused(errno))).toBeUndefined();
});

test("withAdvice: a read-only file system may have errors", () => {
  expect(hintOf(refused("EROFS"), { uid: 0 })).toContain("journalctl -k");
});

test("withAdvice: an error keeps its code, message, facts and cause, and a hint of its own", () => {
  const error = refused("EACCES");
  const advised = withAdvice(error, { uid: 1, whenFull: undefined });
  expect(advised).toMatchObject({ code: "permission-denied", message: error.message, facts: error.facts });
  const known = new OsdeployError("permission-denied", "Cannot x: y", { facts: { errno: "EPERM", hint: "Wait" } });
  expect(withAdvice(known, { uid: 1, whenFull: undefined })).toBe(known);
});

test.each([
  refused("EBUSY"),
  new OsdeployError("permission-denied", "Cannot use os: registries.conf blocks it"),
  new OsdeployError("no-space", "Cannot install: the disk is too small"),
  new Error("a bug"),
])("withAdvice: %s stays as it is", (error) => {
  expect(withAdvice(error, { uid: 1000, whenFull: "osdeploy gc" })).toBe(error);
});
