import { describe, expect, test } from "vitest";
import { parseDocument } from "../../../../src/core/oci/json.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const parse = (text: string) => parseDocument(bytes(text), "manifest m").value;

describe("parseDocument", () => {
  test("reads JSON with white space, escapes and a final newline", () => {
    expect(parse(' {"a" : ["\\u0022", "\\\\", {"a": null}], "b{[:": "}"}\n')).toEqual({
      a: ['"', "\\", { a: null }],
      "b{[:": "}",
    });
  });

  test("accepts one key in two objects, and a text that is like a key", () => {
    expect(parse('[{"a":1},{"a":{"a":2}},"a","a"]')).toEqual([{ a: 1 }, { a: { a: 2 } }, "a", "a"]);
  });

  test.each([
    ["a key that stands twice", '{"layers":[],"x":1,"layers":[1]}'],
    ["a key that stands twice further in", '{"a":{"b":1,\n"b" : 2}}'],
    ["a key that stands twice in two spellings", '{"a":1,"\\u0061":2}'],
  ])("refuses %s", (_, text) => {
    expect(() => parse(text)).toThrow(/^Cannot read manifest m: it has the key .* twice$/);
  });

  test.each([
    ["a byte order mark", "\ufeff{}", "it is not JSON"],
    ["no JSON", "{'a':1}", "it is not JSON"],
    ["two documents", "{}{}", "it is not JSON"],
    ["nothing", "", "it is not JSON"],
  ])("refuses %s", (_, text, state) => {
    expect(() => parse(text)).toThrow(state);
  });

  test("refuses bytes that are not UTF-8", () => {
    expect(() => parseDocument(new Uint8Array([0x22, 0xff, 0x22]), "manifest m")).toThrow("it is not UTF-8");
  });

  test("refuses what is larger than 4 MiB, and takes what is just as large", () => {
    const text = `"${"x".repeat(4 * 1024 * 1024 - 2)}"`;
    expect(parse(text)).toHaveLength(4 * 1024 * 1024 - 2);
    expect(() => parse(`${text} `)).toThrow("larger than 4194304 bytes");
  });

  test("refuses more than 64 levels, however many there are", () => {
    expect(parse("[".repeat(64) + "]".repeat(64))).toHaveLength(1);
    expect(() => parse("[".repeat(65) + "]".repeat(65))).toThrow("nests more than 64 deep");
    expect(() => parse("[".repeat(1_000_000) + "]".repeat(1_000_000))).toThrow("nests more than 64 deep");
  });

  test("needs little time for the largest text of escapes", () => {
    expect(parse(`["${"\\n".repeat(2_000_000)}"]`)).toHaveLength(1);
  });

  test("takes __proto__ for a name like any other", () => {
    expect(Object.keys(parse('{"__proto__":{"schemaVersion":2}}') as object)).toEqual(["__proto__"]);
  });
});

test("parseDocument: an error does not quote the document, which may be a secret", () => {
  try {
    parse("hunter2-secret");
  } catch (error) {
    expect(error).toMatchObject({ code: "bad-format" });
    expect(String(error)).not.toContain("hunter2");
    expect(error).not.toHaveProperty("cause");
    return;
  }
  throw new Error("Nothing was thrown");
});
