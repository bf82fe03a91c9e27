import { expect, test } from "vitest";
import { parseCheckpoint } from "../../../../src/core/trust/checkpoint.ts";

const root = Buffer.alloc(32, 7).toString("base64");
const line = `\u2014 log.example ${Buffer.alloc(8).toString("base64")}\n`;
const signedBy = (count: number) => parseCheckpoint(`log.example\n5\n${root}\n\n${line.repeat(count)}`);

test("parseCheckpoint: a log and its witnesses sign 64 times at most", () => {
  expect(signedBy(64).signatures).toHaveLength(64);
  for (const count of [0, 65]) {
    expect(() => signedBy(count)).toThrow(expect.objectContaining({ code: "bad-format" }));
  }
});
