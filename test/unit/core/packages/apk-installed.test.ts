import { expect, test } from "vitest";
import { parseApkInstalled } from "../../../../src/core/packages/apk-installed.ts";

test("parseApkInstalled: a stanza each, with or without an empty line at the end", () => {
  const text =
    "C:Q1x=\nP:musl\nV:1.2.5-r0\nA:x86_64\nF:lib\nR:libc.so\n\nP:busybox\nV:1.37-r1\n\nP:nothing\n\nodd\nV:1";
  expect(parseApkInstalled(new TextEncoder().encode(text))).toEqual([
    { name: "musl", version: "1.2.5-r0", architecture: "x86_64" },
    { name: "busybox", version: "1.37-r1", architecture: "" },
  ]);
});
