import { expect, test } from "vitest";
import { sumReports } from "../../../src/repo/name-objects.ts";
import { content, idOf } from "../../builders/repos.ts";

test("sumReports: what was named in parts is told as one, and what was repaired twice once", () => {
  const [one, two] = [idOf(content(1)), idOf(content(2))];
  const reports = [
    { addedObjects: 2, addedBytes: 300, repaired: [one] },
    { addedObjects: 1, addedBytes: 4, repaired: [two, one] },
  ];
  expect(sumReports(reports)).toEqual({ addedObjects: 3, addedBytes: 304, repaired: [one, two] });
  expect(sumReports([])).toEqual({ addedObjects: 0, addedBytes: 0, repaired: [] });
});
