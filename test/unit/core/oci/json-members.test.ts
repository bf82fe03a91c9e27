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

  /** Some hundred kilobytes, of which many items are read together. */
  const many = (extra: readonly unknown[] = [], count = 3000) => {
    const items = Array.from({ length: count }, (_, number) => ({
      name: `f"},{"${number}`,
      size: number,
      x: { a: [number] },
    }));
    return [...items.slice(0, count / 2), ...extra, ...items.slice(count / 2)];
  };
  const odd = [{ name: '"},{'.repeat(300), deep: [{ a: 1 }, { b: 2 }] }, {}, [{}, {}], "},{", null, 1.5];

  test.each<[string, string]>([
    ["as all writers make it", JSON.stringify({ a: 1, items: many(odd), c: { d: [{}, {}] } })],
    ["with blanks", JSON.stringify({ a: 1, items: many(odd), c: { d: [{}, {}] } }, undefined, 1)],
    ["in two bytes a character", JSON.stringify({ items: many([{ name: "ä☃".repeat(2000) }]) })],
    ["with a long list behind", JSON.stringify({ items: many(), other: many() })],
  ])("reads many items as JSON.parse does: %s", (_, text) => {
    const { items, members } = read(text, 1_000_000);
    const { items: expected, ...others } = JSON.parse(text);
    expect(items).toEqual(expected);
    expect(members).toEqual({ ...others, items: undefined });
  });

  test.each<[string, (text: string) => string, string]>([
    ["an item that is none", (text) => text.replace('{"name":"f\\"},{\\"2000"', "{,"), "no JSON"],
    ["a comma at the end", (text) => text.replace(/\]\}$/, ",]}"), "no JSON"],
    [
      "no comma between two",
      (text) => text.replace('},{"name":"f\\"},{\\"1999', '}{"name":"f\\"},{\\"1999'),
      '"]" is missing',
    ],
    ["no end", (text) => text.slice(0, -2), '"]" is missing'],
    [
      "a bracket too many",
      (text) => text.replace('},{"name":"f\\"},{\\"1999', '}],{"name":"f\\"},{\\"1999'),
      "no text",
    ],
  ])("refuses many items with %s", (_, change, message) => {
    const text = JSON.stringify({ items: many() });
    const changed = change(text);
    expect(changed).not.toBe(text);
    expect(() => read(changed, 1_000_000)).toThrow(message);
  });

  test("refuses bytes that are no UTF-8 and a value beyond the limit among many items", () => {
    const bytes = new TextEncoder().encode(JSON.stringify({ items: many([{ name: "here" }]) }));
    bytes[Buffer.from(bytes).indexOf("here")] = 0xff;
    expect(() => read(bytes, 1_000_000)).toThrow("no JSON");
    const long = JSON.stringify({ items: many([{ name: "x".repeat(70_000) }]) });
    expect(() => read(long, 70_000)).toThrow("a value has more than 70000 bytes");
    expect(read(long, 71_000).items).toHaveLength(3001);
  });
});
