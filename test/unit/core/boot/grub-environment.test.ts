import { describe, expect, test } from "vitest";
import {
  emptyGrubEnvironment,
  formatGrubEnvironment,
  parseGrubEnvironment,
  withGrubVariables,
} from "../../../../src/core/boot/grub-environment.ts";
import { type ByteString, fromBytes, fromText, toBytes } from "../../../../src/core/bytes/byte-string.ts";

const block = (text: string, sizeBytes = 1024) => toBytes(text.padEnd(sizeBytes, "#") as ByteString);
const variables = (pairs: Readonly<Record<string, string>>) =>
  new Map(Object.entries(pairs).map(([name, value]) => [fromText(name), fromText(value)]));

test("formatGrubEnvironment: gives what grub-editenv writes: 1024 bytes, padded with #", () => {
  const bytes = formatGrubEnvironment({
    ...emptyGrubEnvironment,
    variables: variables({ saved_entry: "a b", odd: "back\\slash\nline" }),
  });
  expect(bytes.length).toBe(1024);
  expect(fromBytes(bytes).replace(/#*$/, "")).toBe(
    "# GRUB Environment Block\nsaved_entry=a b\nodd=back\\\\slash\\\nline\n",
  );
});

test("formatGrubEnvironment: keeps the size of the block, and grows it only when it must", () => {
  expect(formatGrubEnvironment({ variables: new Map(), sizeBytes: 4096 }).length).toBe(4096);
  const large = { variables: variables({ a: "x".repeat(1500) }), sizeBytes: 1024 };
  expect(formatGrubEnvironment(large).length).toBe(2048);
  expect(parseGrubEnvironment(formatGrubEnvironment(large)).variables).toEqual(large.variables);
});

test.each(["", "#a", "a=b", "a\nb", "a\\"])("formatGrubEnvironment: refuses a variable of the name %j", (name) => {
  const environment = { ...emptyGrubEnvironment, variables: variables({ [name]: "x" }) };
  expect(() => formatGrubEnvironment(environment)).toThrow(expect.objectContaining({ code: "bad-format" }));
});

describe("parseGrubEnvironment", () => {
  test("reads back what formatGrubEnvironment writes", () => {
    const environment = { variables: variables({ a: "", b: "x=y # \\ \n\n end", c: "\\" }), sizeBytes: 1024 };
    expect(parseGrubEnvironment(formatGrubEnvironment(environment))).toEqual(environment);
  });

  test("passes over comments and lines without a name or value; the last of two lines counts", () => {
    const text = "# GRUB Environment Block\n# WARNING: Do not edit\nnonsense\n=x\nosdeploy_tries_3=2\nb=1\n\nb=2\n";
    expect(parseGrubEnvironment(block(text)).variables).toEqual(variables({ osdeploy_tries_3: "2", b: "2" }));
  });

  test("a block that was cut off gives what is left of it", () => {
    expect(parseGrubEnvironment(block("# GRUB Environment Block\na=1\nb=2\\", 0)).variables).toEqual(
      variables({ a: "1", b: "2" }),
    );
  });

  test.each(["", "GRUB", "\0\0\0"])("refuses %j", (text) => {
    expect(() => parseGrubEnvironment(block(text))).toThrow(expect.objectContaining({ code: "bad-format" }));
  });
});

test("withGrubVariables: sets and takes away, and leaves the others", () => {
  const before = {
    variables: variables({ next_entry: "x", osdeploy_tries_1: "3", osdeploy_tries_2: "1" }),
    sizeBytes: 2048,
  };
  const changes = new Map([
    [fromText("osdeploy_tries_1"), fromText("0")],
    [fromText("osdeploy_tries_2"), undefined],
    [fromText("none"), undefined],
  ]);
  expect(withGrubVariables(before, changes)).toEqual({
    variables: variables({ next_entry: "x", osdeploy_tries_1: "0" }),
    sizeBytes: 2048,
  });
});
