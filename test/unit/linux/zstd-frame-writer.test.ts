import { decompress as unzstd } from "@mongodb-js/zstd";
import { expect, test } from "vitest";
import { ZstdFrameWriter } from "../../../src/linux/zstd-frame-writer.ts";

test("ZstdFrameWriter: each frame unpacks by itself, whatever its size and its pieces are", async () => {
  const written: Buffer[] = [];
  const writer = new ZstdFrameWriter((bytes) => written.push(Buffer.from(bytes)), 1);
  const contents = [1, 1000, 128 * 1024, 128 * 1024 + 1, 700_000].map((length) => Buffer.alloc(length, `${length} `));
  const ends: number[] = [];
  for (const [at, content] of contents.entries()) {
    const step = [10, 300, 128 * 1024, 100_000, 300_000][at] ?? 1;
    for (let done = 0; done < content.length; done += step) writer.write(content.subarray(done, done + step));
    writer.write(new Uint8Array(0));
    ends.push(writer.endFrame());
    expect(writer.endFrame()).toBe(ends.at(-1));
  }
  writer.close();
  const all = Buffer.concat(written);
  expect(ends.at(-1)).toBe(all.length);
  const frames = ends.map((end, at) => all.subarray(ends[at - 1] ?? 0, end));
  for (const [at, frame] of frames.entries())
    expect((await unzstd(frame)).equals(contents[at] ?? Buffer.alloc(0))).toBe(true);
  expect((await unzstd(all)).equals(Buffer.concat(contents))).toBe(true);
});

test("ZstdFrameWriter: finish writes an empty frame where there is none, and nothing more where there is one", async () => {
  for (const content of [Buffer.alloc(0), Buffer.from("content")]) {
    const written: Buffer[] = [];
    const writer = new ZstdFrameWriter((bytes) => written.push(Buffer.from(bytes)), 1);
    writer.write(content);
    const end = content.length === 0 ? undefined : writer.endFrame();
    const length = writer.finish();
    writer.close();
    const all = Buffer.concat(written);
    expect(all).toHaveLength(end ?? length);
    expect(all.subarray(0, 4).toString("hex")).toBe("28b52ffd");
    expect((await unzstd(all)).equals(content)).toBe(true);
  }
});
