import { describe, expect, test } from "vitest";
import { type ByteString, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { writeErofs } from "../../../src/core/erofs/writer.ts";
import { parseDump } from "../../../src/core/tree/dump-parser.ts";
import { systemCallError } from "../../../src/linux/errno.ts";
import {
  composefsObjects,
  dumpComposefs,
  type Lines,
  listComposefs,
  measureFiles,
  missingComposefsObjects,
} from "../../../src/operations/composefs-info.ts";
import { sha256, VectorFolder } from "../../builders/composefs-vectors.ts";
import { systemOn } from "../../builders/operation-machine.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const vectors = new VectorFolder("test/vectors/composefs/cases");
const expected = new Map(vectors.images());
const cases = ["all-types", "hardlink", "names-odd-bytes", "random-04", "xattr-value-max", "wh-two-dirs"];

const linux = new FakeLinux();
const at = (name: string): ByteString => fromText(`/images/${name}`);
linux.files.makeDirectory(fromText("/images"), 0o755);
for (const name of cases) {
  const dump = vectors.dump(expected.get(name)?.file ?? "");
  linux.files.writeNewFile(at(name), writeErofs(parseDump(dump), { version: { min: 0, max: 1 } }), 0o644);
}
const system = systemOn(linux);
const shown = (lines: Lines) => sha256(toBytes([...lines].join("") as ByteString));

describe("composefs-info", () => {
  test.each(cases)("prints what mkcomposefs's own tool prints for %s", async (name) => {
    const request = { images: [at(name)], filter: [] };
    const vector = expected.get(name);
    expect({
      ls: shown(await listComposefs(system, request)),
      objects: shown(await composefsObjects(system, request)),
    }).toEqual({ ls: vector?.info_ls_sha256, objects: vector?.info_objects_sha256 });
  });

  test("dump: is what the image was made from", async () => {
    const text = [...(await dumpComposefs(system, { images: [at("hardlink")], filter: [] }))].join("") as ByteString;
    const again = writeErofs(parseDump(toBytes(text)), { version: { min: 0, max: 1 } });
    expect(Buffer.compare(again, linux.files.readFile(at("hardlink"), 1 << 20))).toBe(0);
  });

  test("several images come one after the other, their objects once", async () => {
    const one = { images: [at("all-types")], filter: [] };
    const twice = { images: [at("all-types"), at("all-types")], filter: [] };
    const ls = [...(await listComposefs(system, one))];
    expect([...(await listComposefs(system, twice))]).toEqual([...ls, ...ls]);
    expect([...(await composefsObjects(system, twice))]).toEqual([...(await composefsObjects(system, one))]);
  });

  test("a filter takes only those names of the root", async () => {
    const all = [...(await listComposefs(system, { images: [at("wh-two-dirs")], filter: [] }))];
    const first = fromText(all[0]?.split(/[\t/]/)[1] ?? "");
    const some = [...(await listComposefs(system, { images: [at("wh-two-dirs")], filter: [first] }))];
    expect(some.length).toBeGreaterThan(0);
    expect(some.length).toBeLessThan(all.length);
    expect(some.every((line) => line.startsWith(`/${first}`))).toBe(true);
    expect([...(await listComposefs(system, { images: [at("wh-two-dirs")], filter: [fromText("none")] }))]).toEqual([]);
  });

  test("missing-objects: names those that are not in the directory", async () => {
    const machine = linux.crash({ keepUnsynced: true });
    const base = fromText("/objects");
    machine.files.makeDirectory(base, 0o755);
    const request = { images: [at("all-types"), at("hardlink"), at("random-04")], filter: [] };
    const all = [...(await composefsObjects(systemOn(machine), request))];
    const missing = async () => [
      ...(await missingComposefsObjects(systemOn(machine), { ...request, baseDirectory: base })),
    ];
    expect(await missing()).toEqual(all);
    expect(all.length).toBeGreaterThan(1);
    const [here] = all;
    const path = here?.trimEnd() ?? "";
    path
      .split("/")
      .slice(0, -1)
      .reduce((parent, name) => {
        machine.files.makeDirectory(fromText(`${parent}/${name}`), 0o755);
        return `${parent}/${name}`;
      }, "/objects");
    machine.files.symlink(fromText("/elsewhere"), fromText(`/objects/${path}`));
    expect(await missing()).toEqual(all);
    machine.files.writeNewFile(fromText("/elsewhere"), new Uint8Array(), 0o644);
    expect(await missing()).toEqual(all.slice(1));
  });

  test("missing-objects: what cannot be looked for is missing, whatever the reason", async () => {
    const { files } = linux;
    const lstat = (path: ByteString) => {
      if (path === "//.") return files.lstat(path);
      throw systemCallError({ verb: "read the metadata of", path }, "ENAMETOOLONG");
    };
    const guarded = Object.assign(Object.create(files) as typeof files, { lstat });
    const request = { images: [at("all-types")], filter: [], baseDirectory: fromText("/") };
    const missing = await missingComposefsObjects(systemOn({ ...linux, files: guarded }), request);
    expect([...missing]).toEqual([...(await composefsObjects(system, request))]);
  });

  const failureOf = async (images: readonly ByteString[], machine = linux): Promise<unknown> => {
    const seen: ByteString[] = [];
    try {
      for (const line of await listComposefs(systemOn(machine), { images, filter: [] })) seen.push(line);
    } catch (error) {
      return error;
    } finally {
      expect(machine.openPaths).toEqual([]);
    }
    return seen;
  };

  test.each([
    ["is no image", "hello", "bad-format", "Failed to load '/images/bad': Invalid argument"],
    ["is empty", "", "bad-format", "Failed to load '/images/bad': Invalid argument"],
    ["is missing", undefined, "not-found", "Failed to open '/images/bad': No such file or directory"],
  ])("tells of a file that %s in composefs-info's words", async (_, content, code, message) => {
    const machine = linux.crash({ keepUnsynced: true });
    if (content !== undefined) machine.files.writeNewFile(at("bad"), toBytes(fromText(content)), 0o644);
    expect(await failureOf([at("hardlink"), at("bad")], machine)).toMatchObject({ code, message });
  });

  test("a directory in place of an image is none", async () => {
    expect(await failureOf([fromText("/images")])).toMatchObject({ code: "bad-format" });
  });

  test("a base directory that is missing is told before anything else", async () => {
    const request = { images: [at("none")], filter: [], baseDirectory: fromText("/none") };
    await expect(missingComposefsObjects(system, request)).rejects.toThrow(/^Can't open basedir `\/none`/);
  });

  test("missing-objects: without a base directory it is all", async () => {
    const request = { images: [at("random-04")], filter: [] };
    expect([...(await missingComposefsObjects(system, request))]).toEqual([
      ...(await composefsObjects(system, request)),
    ]);
  });

  test("measure-file: the kernel's digest of sealed files, else the same computed", async () => {
    const machine = linux.crash({ keepUnsynced: true });
    const paths = [at("hardlink"), at("all-types")];
    const computed = [...(await measureFiles(systemOn(machine), { paths }))];
    const wanted = ["hardlink", "all-types"].map((name) => expected.get(name)?.verity_default);
    expect(computed).toEqual(wanted);
    machine.files.enableVerity(at("hardlink"), "sha256");
    expect([...(await measureFiles(systemOn(machine), { paths }))]).toEqual(wanted);
    expect(machine.openPaths).toEqual([]);
  });

  test.each([
    ["/images", "failed to measure '/images': No data available"],
    ["/none", "Failed to open '/none': No such file or directory"],
  ])("measure-file: refuses %s, after those before it", async (path, message) => {
    const digests = await measureFiles(system, { paths: [at("hardlink"), fromText(path)] });
    const seen: string[] = [];
    expect(() => {
      for (const digest of digests) seen.push(digest);
    }).toThrow(message);
    expect(seen).toEqual([expected.get("hardlink")?.verity_default]);
    expect(linux.openPaths).toEqual([]);
  });
});
