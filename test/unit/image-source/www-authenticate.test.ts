import { expect, test } from "vitest";
import { parseChallenges } from "../../../src/image-source/www-authenticate.ts";

const challenge = (scheme: string, parameters: Readonly<Record<string, string>> = {}) => ({
  scheme,
  parameters: new Map(Object.entries(parameters)),
});

test.each([
  ["", []],
  ["Basic", [challenge("basic")]],
  ['Basic realm="a b"', [challenge("basic", { realm: "a b" })]],
  [
    'Bearer realm="https://auth.example/token",service="a, b",scope="repository:os:pull"',
    [challenge("bearer", { realm: "https://auth.example/token", service: "a, b", scope: "repository:os:pull" })],
  ],
  ['BEARER Realm = x , Error="\\"quoted\\""', [challenge("bearer", { realm: "x", error: '"quoted"' })]],
  ['Basic realm="a", Bearer realm="b"', [challenge("basic", { realm: "a" }), challenge("bearer", { realm: "b" })]],
  ['realm="a"', []],
  ['Bearer realm="never closed', [challenge("bearer")]],
  ["Bearer =x", []],
])("parseChallenges: %j", (header, challenges) => {
  expect(parseChallenges(header)).toEqual(challenges);
});

test("parseChallenges: needs little time for an endless header", () => {
  expect(parseChallenges(`Bearer ${'a="\\"'.repeat(1_000_000)}`)).toHaveLength(1);
  expect(parseChallenges(" ,".repeat(1_000_000))).toEqual([]);
  expect(parseChallenges("a".repeat(1_000_000))).toHaveLength(1);
});
