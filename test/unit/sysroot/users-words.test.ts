import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { inUsersWords, usersPath } from "../../../src/sysroot/users-words.ts";

const view = (path: string, shown: string) => ({ path: fromText(path), shown: fromText(shown) });

test("inUsersWords: leaves bugs and other names alone", () => {
  const bug = new TypeError("/view");
  expect(inUsersWords(bug, [view("/view", "/sysroot")])).toBe(bug);
  const error = new OsdeployError("busy", "Cannot use /view/x", { facts: { path: "/view/x", bytes: 7 } });
  expect(inUsersWords(error, [view("/view", "/view")])).toBe(error);
  expect(inUsersWords(error, [view("/view", "/sysroot")])).toMatchObject({
    code: "busy",
    message: "Cannot use /sysroot/x",
    facts: { path: "/sysroot/x", bytes: 7 },
  });
});

test("inUsersWords: tells several places apart, also where one name begins like another", () => {
  const views = [view("/proc/self/fd/2", "/sysroot"), view("/proc/self/fd/20", "/boot")];
  const message = 'Cannot rename "/proc/self/fd/20/a" to "/proc/self/fd/2": /proc/self/fd/21 is open';
  expect(inUsersWords(new OsdeployError("system", message), views)).toMatchObject({
    message: 'Cannot rename "/boot/a" to "/sysroot": /proc/self/fd/21 is open',
  });
});

test("usersPath: turns what is in a view into the users' path, and no other", () => {
  const views = [view("/proc/self/fd/2", "/sysroot"), view("/proc/self/fd/20", "/boot")];
  const shown = (path: string) => usersPath(fromText(path), views);
  expect(["/proc/self/fd/20/a", "/proc/self/fd/2", "/proc/self/fd/21/b", "/c"].map(shown)).toEqual([
    "/boot/a",
    "/sysroot",
    "/proc/self/fd/21/b",
    "/c",
  ]);
});
