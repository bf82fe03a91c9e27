import { expect, test } from "vitest";
import { LayerTables } from "../../../src/operations/layer-tables.ts";

test("LayerTables: has the bytes when they came, and is on its way no more", async () => {
  const bytes = Uint8Array.of(1, 2);
  const tables = new LayerTables(Promise.resolve(bytes));
  expect(tables.bytes).toBeUndefined();
  await expect(tables.ended).resolves.toBeUndefined();
  expect([tables.bytes, tables.ended]).toEqual([bytes, undefined]);
  expect(await tables.whole).toBe(bytes);
});

test("LayerTables: a failure ends it, and is told to who waits for the whole alone", async () => {
  const tables = new LayerTables(Promise.reject(new Error("the link is gone")));
  expect(tables.ended).toBeDefined();
  await expect(tables.ended).resolves.toBeUndefined();
  // Else who looks for one that is still on its way would look for ever.
  expect([tables.bytes, tables.ended]).toEqual([undefined, undefined]);
  await expect(tables.whole).rejects.toThrow("the link is gone");
});
