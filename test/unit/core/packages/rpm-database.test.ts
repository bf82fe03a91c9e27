import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parseRpmDatabase } from "../../../../src/core/packages/rpm-database.ts";
import { refusal } from "../../../builders/refusal.ts";

const vector = (name: string) => readFileSync(new URL(`../../../vectors/packages/${name}`, import.meta.url));

test("parseRpmDatabase: a package for each header, and none for an empty row", () => {
  expect(parseRpmDatabase(vector("headers.sqlite"))).toEqual([
    { name: "bash", version: "5.2-1.fc40", architecture: "x86_64" },
    { name: "shadow", version: "2:4.15-2", architecture: "noarch" },
  ]);
});

test("parseRpmDatabase: a database of something else is refused", () => {
  expect(refusal(() => parseRpmDatabase(vector("rows.sqlite")))).toBe(
    "bad-format: Cannot read rpm's database: it has no table of packages",
  );
});
