import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../../src/core/digest/fs-verity.ts";
import { ContentThreads } from "../../../src/operations/content-threads.ts";
import { content } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

/** Workers are started from a file beside the code, so what is tested is what was built. */
const built = new URL("../../../dist/operations/content-worker.js", import.meta.url);
const isBuilt = existsSync(built);
const without = isBuilt ? "" : " (skipped: dist is not built)";

describe("ContentThreads without threads", () => {
  const store = fromText("/store");

  test("stores on the calling thread, in the end", async () => {
    const { files } = new FakeLinux();
    const sizes = [100, 40_000, 100, 5_000_000];
    sizes.forEach((size, i) => {
      files.writeNewFile(fromText(`/file${i}`), content(size), 0o600);
    });
    const threads = new ContentThreads(files, store, 0);
    const contents = sizes.map((sizeBytes, i) => threads.add({ path: fromText(`/file${i}`), sizeBytes }));
    expect(files.lstatIfExists(store)).toBeUndefined();
    await threads.finish();
    await threads.close();
    const ids = sizes.map((size) => verityDigest("sha256", content(size)));
    expect(contents.map(({ digest, sizeBytes }) => [digest, sizeBytes])).toEqual(
      ids.map((id, i) => [id, BigInt(sizes[i] ?? 0)]),
    );
    for (const id of ids)
      expect(files.lstatIfExists(fromText(`/store/${id.slice(0, 2)}/${id.slice(2)}`))).toBeDefined();
  });

  test.each([
    ["cannot fill store", "no-space"],
    ["it changes while it is read", "system"],
  ])("tells why it could not: %s", async (message, code) => {
    const { files } = new FakeLinux(code === "no-space" ? { failAt: 3, fault: "ENOSPC" } : {});
    files.writeNewFile(fromText("/file"), content(100), 0o600);
    const threads = new ContentThreads(files, store, 0);
    threads.add({ path: fromText("/file"), sizeBytes: code === "no-space" ? 100 : 101 });
    await expect(threads.finish()).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  test("a bug stays a bug", async () => {
    const { files } = new FakeLinux();
    const threads = new ContentThreads({ ...files, open: throwBug }, store, 0);
    threads.add({ path: fromText("/file"), sizeBytes: 100 });
    await expect(threads.finish()).rejects.toMatchObject({ stack: expect.stringContaining("TypeError: a bug") });
  });
});

function throwBug(): never {
  throw new TypeError("a bug");
}

/** Runs in a process of its own, from the built files; prints the digest of the image, or the error. */
const script = `
const [dist, threads, source, store] = process.argv.slice(2);
const load = (path) => import(new URL(path, dist).href);
const { fromText } = await load("core/bytes/byte-string.js");
const { openLinux } = await load("linux/live-linux.js");
const { createComposefs } = await load("operations/create-composefs.js");
const signal = new AbortController().signal;
const system = { linux: openLinux(), progress: () => {}, signal, importThreads: Number(threads) };
const options = { useEpoch: false, skipDevices: false, xattrs: "all" };
const directory = { kind: "directory", path: fromText(source), digestStore: fromText(store), ...options };
try {
  const version = { min: 0, max: 1 };
  const { digest } = await createComposefs(system, { source: directory, version, output: undefined });
  console.log(digest);
} catch (error) {
  console.log(error.code + " " + error.message);
}
`;

/** Likewise; closes the threads before they can have begun with anything. */
const closing = `
const [dist, source, store] = process.argv.slice(2);
const load = (path) => import(new URL(path, dist).href);
const { fromText } = await load("core/bytes/byte-string.js");
const { openLinux } = await load("linux/live-linux.js");
const { ContentThreads } = await load("operations/content-threads.js");
const { readdirSync, statSync } = await import("node:fs");
const threads = new ContentThreads(openLinux().files, fromText(store), 2);
for (const name of readdirSync(source)) {
  const path = source + "/" + name;
  threads.add({ path: fromText(path), sizeBytes: statSync(path).size });
}
await threads.close();
console.log("closed");
`;

describe.skipIf(!isBuilt)(`ContentThreads in worker threads${without}`, () => {
  const directory = mkdtempSync(join(tmpdir(), "content-threads-"));
  const source = join(directory, "source");
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  beforeAll(() => {
    mkdirSync(source);
    writeFileSync(join(directory, "create.mjs"), script);
    // Enough for threads to be worth it; every seventh is there twice, and some are large.
    for (let i = 0; i < 2600; i++) writeFileSync(join(source, `f${i}`), `${i % 7 === 0 ? "same" : i}`.repeat(70));
    for (let i = 0; i < 4; i++) writeFileSync(join(source, `large${i}`), Buffer.alloc(5_000_000, i));
  });

  function create(threads: number, store: string): string {
    const dist = new URL("../../../dist/", import.meta.url).href;
    const words = [join(directory, "create.mjs"), dist, String(threads), source, join(directory, store)];
    return execFileSync(process.execPath, words, { encoding: "utf8", timeout: 100_000 }).trim();
  }

  const stored = (store: string) => readdirSync(join(directory, store), { recursive: true }).sort();

  test("the same image and the same store as on one thread", () => {
    expect(create(3, "by-threads")).toBe(create(0, "alone"));
    expect(stored("by-threads")).toEqual(stored("alone"));
  });

  test("what is closed at once stores nothing of what it was sent", () => {
    const program = join(directory, "close.mjs");
    writeFileSync(program, closing);
    const dist = new URL("../../../dist/", import.meta.url).href;
    const words = [program, dist, source, join(directory, "closed")];
    expect(execFileSync(process.execPath, words, { encoding: "utf8", timeout: 100_000 })).toBe("closed\n");
    expect(existsSync(join(directory, "closed"))).toBe(false);
  });

  test("a store that cannot be filled is told as on one thread", () => {
    writeFileSync(join(directory, "a-file"), "");
    expect(create(2, "a-file")).toBe(create(0, "a-file"));
    expect(create(2, "a-file")).toMatch(/^\S+ cannot fill store: /);
  });
});
