import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { LayerCounters, readFeed } from "../../../src/operations/layer-feed.ts";
import { content } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const path = fromText("/blob");
const blob = content(700_000);

function feedOf(linux: FakeLinux, available: number, changes: object = {}) {
  linux.files.writeNewFile(path, blob, 0o600);
  const counters = new LayerCounters();
  counters.available = available;
  return { path, offsetBytes: 0, lengthBytes: blob.length, counters, ...changes };
}

function readAll(linux: FakeLinux, feed: ReturnType<typeof feedOf>): Buffer {
  const pieces: Buffer[] = [];
  readFeed(linux.files, feed, (piece) => pieces.push(Buffer.from(piece)));
  return Buffer.concat(pieces);
}

describe("LayerCounters", () => {
  test("are seen by all who share the memory", () => {
    const one = new LayerCounters();
    const other = new LayerCounters(one.memory);
    one.available = 2 ** 40;
    other.imported = 7;
    expect([other.available, one.imported, other.stopped]).toEqual([2 ** 40, 7, false]);
    one.stop();
    expect(other.stopped).toBe(true);
  });

  test("do not wait for what is there, nor after a stop", () => {
    const counters = new LayerCounters();
    counters.available = 5;
    counters.waitForMore(4);
    counters.stop();
    counters.waitForMore(5);
    expect(counters.available).toBe(5);
  });
});

describe("readFeed", () => {
  test("gives all bytes in order and counts them", () => {
    const linux = new FakeLinux();
    const feed = feedOf(linux, blob.length);
    expect(readAll(linux, feed).equals(blob)).toBe(true);
    expect(feed.counters.imported).toBe(blob.length);
    expect(linux.openPaths).toEqual([]);
  });

  test("gives only the blob where the file holds more", () => {
    const linux = new FakeLinux();
    const feed = feedOf(linux, 1000, { offsetBytes: 512, lengthBytes: 1000 });
    expect(readAll(linux, feed).equals(blob.subarray(512, 1512))).toBe(true);
  });

  test("gives what becomes available while it reads", () => {
    const linux = new FakeLinux();
    const feed = feedOf(linux, 10);
    const lengths: number[] = [];
    readFeed(linux.files, feed, (piece) => {
      lengths.push(piece.length);
      feed.counters.available = Math.min(blob.length, feed.counters.available * 100);
    });
    expect(lengths.slice(0, 2)).toEqual([10, 990]);
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBe(blob.length);
  });

  test("ends with interrupted when it is stopped", () => {
    const linux = new FakeLinux();
    const feed = feedOf(linux, 10);
    expect(() => readFeed(linux.files, feed, () => feed.counters.stop())).toThrow(
      expect.objectContaining({ code: "interrupted" }),
    );
    expect(linux.openPaths).toEqual([]);
  });

  test("refuses a file that ends early", () => {
    const linux = new FakeLinux();
    const feed = feedOf(linux, blob.length + 1, { lengthBytes: blob.length + 1 });
    expect(() => readAll(linux, feed)).toThrow(
      expect.objectContaining({
        code: "bad-format",
        message: "Cannot read a layer: it ends after 700000 of 700001 bytes",
      }),
    );
  });
});
