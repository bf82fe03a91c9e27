import { describe, expect, test } from "vitest";
import { readJsonMembers } from "../../../../src/core/oci/json-members.ts";

function read(text: string | Uint8Array, limitBytes = 100) {
  const items: unknown[] = [];
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const members = readJsonMembers(bytes, {
    document: "list",
    list: "items",
    limitBytes,
    onItem: (item) => items.push(item),
  });
  return { items, members: Object.fromEntries(members) };
}

describe("readJsonMembers", () => {
  test.each([
    ["{}", [], {}],
    [" { } ", [], {}],
    ['{"items":[]}', [], { items: undefined }],
    ['{"items":null,"a":1}', [], { items: null, a: 1 }],
    [
      '{"a":"x","items":[1,"two",{"b":[3,{}]},[4],null,true] , "c" : -1.5e3}',
      [1, "two", { b: [3, {}] }, [4], null, true],
      { a: "x", items: undefined, c: -1500 },
    ],
    ['{"items":[\n{"a":"}],\\"{["}\t,\r"\\\\"]}', [{ a: '}],"{[' }, "\\"], { items: undefined }],
    ['{"\\u0061":"ä"}', [], { a: "ä" }],
  ])("reads %s", (text, items, members) => {
    expect(read(text)).toEqual({ items, members });
  });

  test.each([
    ["", '"{" is missing at byte 0'],
    ["[]", '"{" is missing'],
    ["{", "no JSON"],
    ['{"a":1', '"}" is missing'],
    ['{"a" 1}', "no JSON"],
    ['{"a":1}x', "something follows"],
    ['{"a":1,"a":2}', "stands twice"],
    ["{1:2}", "a key is no text"],
    ['{"a":nul}', "no JSON"],
    ['{"a":{]}', "no JSON"],
    ['{"items":[1 2]}', "no JSON"],
    ['{"items":[1', '"]" is missing'],
    ['{"items":[,]}', "no JSON"],
    ['{"a":"x', "a text does not end"],
    ['{"a":"x\\"}', "a text does not end"],
    ['{"a":[1,2', "no JSON"],
  ])("refuses %s", (text, message) => {
    expect(() => read(text)).toThrow(message);
  });

  test("refuses what is no UTF-8", () => {
    expect(() => read(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d))).toThrow("no JSON");
  });

  test("refuses a value that is longer than its limit", () => {
    expect(() => read('{"items":["0123456789"]}', 11)).toThrow("a value has more than 11 bytes");
    expect(read('{"items":["012345678"]}', 11).items).toEqual(["012345678"]);
  });
});
