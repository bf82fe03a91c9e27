import { describe, expect, test } from "vitest";
import { type ByteString, fromBytes, fromText } from "../../../src/core/bytes/byte-string.ts";
import { errnoName, inForeignWords, showPath, systemCallError } from "../../../src/linux/errno.ts";

describe("systemCallError", () => {
  test.each([
    ["ENOENT", "not-found"],
    ["ENOTDIR", "not-found"],
    ["EEXIST", "already-exists"],
    ["ENOTEMPTY", "already-exists"],
    ["EACCES", "permission-denied"],
    ["EPERM", "permission-denied"],
    ["EROFS", "permission-denied"],
    ["ENOSPC", "no-space"],
    ["EDQUOT", "no-space"],
    ["ENOTSUP", "unsupported"],
    ["ENOSYS", "unsupported"],
    ["ENOTTY", "unsupported"],
    ["EBUSY", "busy"],
    ["ETXTBSY", "busy"],
    ["EIO", "system"],
    ["EINVAL", "system"],
  ])("%s is %s", (errno, code) => {
    const error = systemCallError({ verb: "open", path: fromText("/x") }, errno);
    expect(error).toMatchObject({ code, facts: { errno, path: "/x" } });
    expect(error.message).toMatch(new RegExp(`^Cannot open "/x": [a-z][^.]* \\(${errno}\\)$`));
  });

  test("names both paths, takes the C library's words where it has no better, and keeps the cause", () => {
    const cause = new Error("why");
    const error = systemCallError({ verb: "rename", path: fromText("/a"), to: fromText("/b") }, "EINVAL", cause);
    expect(error.message).toBe('Cannot rename "/a" to "/b": invalid argument (EINVAL)');
    expect(error.cause).toBe(cause);
    expect(systemCallError({ verb: "open", path: fromText("/a") }, "E9999").message).toBe(
      'Cannot open "/a": the kernel refused (E9999)',
    );
  });

  test("says what is invalid, where the call knows", () => {
    const call = { verb: "set the owner of", path: fromText("/a"), invalid: "there is no user 7" };
    expect(systemCallError(call, "EINVAL").message).toBe('Cannot set the owner of "/a": there is no user 7 (EINVAL)');
    expect(systemCallError(call, "EIO").message).toBe('Cannot set the owner of "/a": input/output error (EIO)');
  });

  test.each([
    ["/a/.", "/a"],
    ["/.", "/."],
    ["a/..", "a/.."],
  ])("%s is told as %s: somebody named it so", (path, told) => {
    const error = systemCallError({ verb: "open", path: fromText(path) }, "EACCES");
    expect(error).toMatchObject({
      message: `Cannot open "${told}": permission denied (EACCES)`,
      facts: { path: told },
    });
  });

  test("what is to be made is not said to be missing: that is the directory above it", () => {
    expect(systemCallError({ verb: "make the directory", path: fromText("/a/b"), isNew: true }, "ENOENT").message).toBe(
      'Cannot make the directory "/a/b": the directory above it does not exist (ENOENT)',
    );
  });
});

describe("errnoName", () => {
  test.each([
    [2, "ENOENT"],
    [11, "EAGAIN"],
    [15, "ENOTBLK"],
    [61, "ENODATA"],
    [95, "ENOTSUP"],
    [117, "EUCLEAN"],
    [122, "EDQUOT"],
    [4000, "E4000"],
  ])("%i is %s", (errno, name) => {
    expect(errnoName(errno)).toBe(name);
  });
});

describe("showPath", () => {
  test.each([
    ["plain", fromText("/usr/lib/a b"), "/usr/lib/a b"],
    ["UTF-8", fromText("/größe"), "/größe"],
    ["control characters", fromText("/a\nb\x1b[2J\x7f"), "/a\\x0ab\\x1b[2J\\x7f"],
    ["not UTF-8", fromBytes(Uint8Array.of(0x2f, 0xff, 0xc3, 0x0a, 0x61)), "/\\xff\\xc3\\x0aa"],
    ["text that runs the other way", fromText("/a\u202eb\u2028"), "/a\\u{202e}b\\u{2028}"],
  ] as const satisfies readonly (readonly [string, ByteString, string])[])("%s", (_, path, shown) => {
    expect(showPath(path)).toBe(shown);
  });
});

test.each([
  ["EFBIG", "File too large"],
  ["ENOSPC", "No space left on device"],
  ["EINVAL", "Invalid argument"],
  ["EDEADLK", "EDEADLK"],
])("inForeignWords: %s is what the C library calls it, as far as it is known here", (errno, words) => {
  const refused = systemCallError({ verb: "write", path: fromText("/x") }, errno);
  expect(inForeignWords("cannot write file", refused)).toMatchObject({ message: `cannot write file: ${words}` });
});
