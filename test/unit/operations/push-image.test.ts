import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import type { LayerFormat } from "../../../src/operations/layer-packing.ts";
import { pull } from "../../../src/operations/pull.ts";
import { type PushImageResult, pushImage } from "../../../src/operations/push-image.ts";
import type { System } from "../../../src/operations/system.ts";
import { buildImage } from "../../builders/oci-image.ts";
import { sha256 } from "../../builders/oci-layer.ts";
import {
  failureOf,
  layoutReference,
  linuxAmd64,
  machineWithRepo,
  noLogin,
  pullTag,
  repoOfSysroot,
  SeenProgress,
  systemOn,
} from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const v1 = await buildOsImage("v1");

function push(
  linux: FakeLinux,
  destination: string,
  options: {
    readonly format?: LayerFormat;
    readonly level?: number;
    readonly system?: Partial<System>;
    readonly digestFile?: string;
  } = {},
): Promise<PushImageResult> {
  const { format, level, digestFile } = options;
  return pushImage(systemOn(linux, options.system), {
    repo: repoOfSysroot,
    image: layoutReference("v1"),
    destination: parseImageReference(destination),
    destinationOptions: noLogin,
    ...{ format, level },
    digestFile: digestFile === undefined ? undefined : fromText(digestFile),
  });
}

async function pulledAgain(linux: FakeLinux, image: string): Promise<unknown> {
  const request = { platform: linuxAmd64, source: noLogin, repo: repoOfSysroot, bootable: true };
  const { rawImage, bootImage, layers } = await pull(systemOn(linux), {
    ...request,
    image: parseImageReference(image),
  });
  return { rawImage, bootImage, known: layers.map(({ known }) => known) };
}

describe("pushImage", () => {
  for (const format of ["zstd:chunked", "zstd", "gzip", "none"] as const) {
    test(`${format}: whoever pulls it gets the same layers, config and root images`, async () => {
      const linux = await machineWithRepo({ v1 });
      const { rawImage, bootImage } = await pullTag(linux, "v1");
      const pushed = await push(linux, "oci:/out:new", { format });
      expect(pushed.layers.map((layer) => [layer.diffId, layer.format, layer.known])).toEqual(
        v1.layers.map(({ diffId }) => [diffId, format, false]),
      );
      expect(pushed.configDigest).toBe(v1.configDigest);
      expect(pushed.destination).toBe("oci:/out:new");
      const again = await pulledAgain(linux, "oci:/out:new");
      expect(again).toEqual({ rawImage, bootImage, known: v1.layers.map(() => true) });
      const elsewhere = await machineWithRepo({});
      copyTree(linux, elsewhere, "/out");
      const fresh = await pulledAgain(elsewhere, "oci:/out:new");
      expect(fresh).toEqual({ rawImage, bootImage, known: v1.layers.map(() => false) });
      expect(linux.openPaths).toEqual([]);
    });
  }

  test("the same bytes each time, in a layout and in an archive; another level gives others", async () => {
    const linux = await machineWithRepo({ v1 });
    await pullTag(linux, "v1");
    const first = await push(linux, "oci-archive:/a.tar:t", { format: "zstd:chunked" });
    const second = await push(linux, "oci-archive:/b.tar:t", { format: "zstd:chunked" });
    expect(second).toEqual({ ...first, destination: "oci-archive:/b.tar:t" });
    const bytes = (path: string) => sha256(linux.files.readFile(fromText(path), 1e9));
    expect(bytes("/a.tar")).toBe(bytes("/b.tar"));
    const other = await push(linux, "oci:/out:t", { format: "zstd", level: 19 });
    const usual = await push(linux, "oci:/out:u");
    expect(usual.layers.every((layer) => layer.format === "zstd")).toBe(true);
    expect(other.manifestDigest).not.toBe(usual.manifestDigest);
    const again = await push(linux, "oci:/out:again");
    expect([again.sentBytes, again.layers.map(({ known }) => known)]).toEqual([0, v1.layers.map(() => true)]);
  });

  test("the digest goes to a file, in the place of what was there", async () => {
    const linux = await machineWithRepo({ v1 });
    await pullTag(linux, "v1");
    linux.files.writeNewFile(
      fromText("/digest"),
      Buffer.from("old and longer than any digest could ever be".repeat(3)),
      0o644,
    );
    const { manifestDigest } = await push(linux, "oci:/out:t", { digestFile: "/digest" });
    expect(Buffer.from(linux.files.readFile(fromText("/digest"), 1000)).toString()).toBe(manifestDigest);
  });

  test.each([
    ["oci-archive:/full", "", "already-exists", 'Cannot write an archive to "/full": there is a directory'],
    ["oci-archive:/null:t", "", "already-exists", 'Cannot write an archive to "/null": there is a character device'],
    ["oci:/out:t", "/full", "already-exists", 'Cannot write the digest to "/full": there is a directory'],
    ["oci:/out:t", "/nope/x", "not-found", 'Cannot write "/nope/x.new": it does not exist (ENOENT)'],
  ])("%s with digest file '%s' is refused before anything is read", async (destination, digestFile, code, message) => {
    const linux = await machineWithRepo({ v1 });
    await pullTag(linux, "v1");
    linux.files.makeDirectory(fromText("/full"), 0o755);
    linux.files.makeNode(fromText("/null"), "character-device", { permissions: 0o666, rdev: 259 });
    const progress = new SeenProgress();
    const options = { ...(digestFile && { digestFile }), system: { progress: progress.report } };
    expect(await failureOf(push(linux, destination, options))).toMatchObject({ code, message });
    expect(progress.events.map(({ kind }) => kind)).toEqual(["start"]);
    expect(linux.files.readDirectory(fromText("/")).filter((name) => /osdeploy|new|^out/.test(name))).toEqual([]);
  });

  test("a layer that zstd:chunked cannot say becomes a plain one, with a warning", async () => {
    const twice = await buildImage({
      layers: [
        [{ path: "usr/" }, { path: "usr/a", content: "1" }, { path: "usr/a", content: "2" }],
        [{ path: "usr/b", content: "3" }],
      ],
    });
    const linux = await machineWithRepo({ v1: twice });
    await pullTag(linux, "v1", { bootable: false });
    const seen = new SeenProgress();
    const pushed = await push(linux, "oci:/out:t", { format: "zstd:chunked", system: { progress: seen.report } });
    expect(pushed.layers.map(({ format }) => format)).toEqual(["zstd", "zstd:chunked"]);
    const warnings = seen.events.filter(({ kind }) => kind === "warning");
    expect(warnings).toEqual([
      {
        kind: "warning",
        message: `Layer ${twice.layers[0]?.diffId} became a plain zstd one, which is pulled whole: Cannot put "usr/a" into a table of contents: its path is not its own`,
      },
    ]);
  });

  test("a damaged object stops it, and nothing has the name", async () => {
    const linux = await machineWithRepo({ v1 }, { verity: false });
    await pullTag(linux, "v1");
    damageLargestObject(linux);
    await expect(push(linux, "oci:/out:t")).rejects.toMatchObject({ code: "damaged" });
    expect(linux.files.lstatIfExists(fromText("/out"))).toBeUndefined();
    expect(linux.files.readDirectory(fromText("/")).filter((name) => name.startsWith("."))).toEqual([]);
    expect(linux.openPaths).toEqual([]);
  });

  test("stopped: interrupted, and nothing is left", async () => {
    const linux = await machineWithRepo({ v1 });
    await pullTag(linux, "v1");
    const stop = AbortSignal.abort();
    await expect(push(linux, "oci:/out:t", { system: { signal: stop } })).rejects.toMatchObject({
      code: "interrupted",
    });
    expect(linux.files.lstatIfExists(fromText("/out"))).toBeUndefined();
  });
});

function copyTree(from: FakeLinux, to: FakeLinux, path: string): void {
  const stat = from.files.lstat(fromText(path));
  if (stat.kind !== "directory") {
    to.files.writeNewFile(fromText(path), from.files.readFile(fromText(path), 1e9), 0o644);
    return;
  }
  to.files.makeDirectory(fromText(path), 0o755);
  for (const name of from.files.readDirectory(fromText(path))) copyTree(from, to, `${path}/${name}`);
}

function damageLargestObject(linux: FakeLinux): void {
  const { files } = linux;
  const objects = fromText(`${repoOfSysroot}/objects`);
  const all = files
    .readDirectory(objects)
    .flatMap((prefix) =>
      files.readDirectory(fromText(`${objects}/${prefix}`)).map((name) => fromText(`${objects}/${prefix}/${name}`)),
    )
    .filter((path) => Buffer.from(files.readFile(path, 1e9)).includes("shell"))
    .sort((a, b) => files.lstat(a).sizeBytes - files.lstat(b).sizeBytes);
  const [path] = all;
  if (path === undefined) throw new Error("there is an object with a file");
  const bytes = files.readFile(path, 1e9).slice();
  bytes.fill(0x21, 0, 1);
  files.unlink(path);
  files.writeNewFile(path, bytes, 0o444);
}
