import { createGzip, gzipSync } from "node:zlib";
import { compress as zstd } from "@mongodb-js/zstd";
import { describe, expect, test } from "vitest";
import { fromBytes, fromText } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import type { Linux, LinuxFiles } from "../../src/linux/linux.ts";
import { checkRepo } from "../../src/operations/check-repo.ts";
import { dumpImage } from "../../src/operations/dump-image.ts";
import { listImageFiles } from "../../src/operations/list-image-files.ts";
import { type BuiltImage, json } from "../builders/oci-image.ts";
import { sha256 } from "../builders/oci-layer.ts";
import {
  failureOf,
  layoutPath,
  layoutReference,
  machineWithRepo,
  namesInRepo,
  pullTag,
  repoOfSysroot,
  systemOn,
} from "../builders/operation-machine.ts";
import { entry, header, pax, tarOf, ustar } from "../builders/tar-blocks.ts";
import type { FakeLinux } from "../fakes/fake-linux.ts";

type Suffix = "" | "+gzip" | "+zstd";

/** An image whose one layer is just these bytes. Whatever they unpack to, `diffId` is what the config says. */
function imageOf(blob: Uint8Array, suffix: Suffix = "", diffId = sha256(blob)): BuiltImage {
  const config = json({ os: "linux", architecture: "amd64", rootfs: { type: "layers", diff_ids: [diffId] } });
  const manifest = json({
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: sha256(config), size: config.length },
    layers: [{ mediaType: `application/vnd.oci.image.layer.v1.tar${suffix}`, digest: sha256(blob), size: blob.length }],
  });
  return {
    ...{ config, configDigest: sha256(config), layers: [], platform: { os: "linux", architecture: "amd64" } },
    ...{ manifest, manifestDigest: sha256(manifest), manifestType: "application/vnd.oci.image.manifest.v1+json" },
    blobs: new Map([manifest, config, blob].map((bytes) => [sha256(bytes), bytes])),
  };
}

const usr = entry({ name: "usr/", type: "5", mode: "0000755\0" });

async function refusal(linux: FakeLinux, tag = "bad"): Promise<OsdeployError> {
  const error = await failureOf(pullTag(linux, tag, { bootable: false }));
  expect(error).toBeInstanceOf(OsdeployError);
  expect(namesInRepo(linux)).toEqual([]);
  expect(linux.openPaths).toEqual([]);
  return error as OsdeployError;
}

async function refusalOf(image: BuiltImage): Promise<OsdeployError> {
  return await refusal(await machineWithRepo({ bad: image }));
}

/** gzip of a tar with one file of `bytes` zeros, made in pieces. */
async function gzipBomb(bytes: number): Promise<Buffer> {
  const gzip = createGzip({ level: 9 });
  const pieces: Buffer[] = [];
  gzip.on("data", (piece: Buffer) => pieces.push(piece));
  gzip.write(usr);
  gzip.write(header({ name: "usr/bomb", size: bytes }));
  const zeros = Buffer.alloc(16 << 20);
  for (let at = 0; at < bytes; at += zeros.length) {
    if (!gzip.write(zeros.subarray(0, Math.min(zeros.length, bytes - at)))) {
      await new Promise((resolve) => gzip.once("drain", resolve));
    }
  }
  await new Promise<void>((resolve) => gzip.end(tarOf(), resolve));
  return Buffer.concat(pieces);
}

/** The same as zstd: frames one after the other, as the format allows. */
async function zstdBomb(bytes: number): Promise<Buffer> {
  const zeros = await zstd(Buffer.alloc(64 << 20), 3);
  const start = await zstd(Buffer.concat([usr, header({ name: "usr/bomb", size: bytes })]));
  return Buffer.concat([start, ...Array.from({ length: bytes / (64 << 20) }, () => zeros)]);
}

const gigabyte = 2 ** 30;

/** A disk without end: what comes in large pieces is not kept. The fake would hold it in memory. */
function endless(linux: FakeLinux): Linux {
  const { files } = linux;
  const write: LinuxFiles["write"] = (fd, source) => {
    if (source.length < 100_000) files.write(fd, source);
  };
  return { ...linux, files: { ...files, write } };
}

async function expectStopped(blob: Uint8Array, suffix: Suffix, limits: { growthBytes: number }): Promise<void> {
  expect(blob.length).toBeLessThan(4_000_000);
  const linux = await machineWithRepo({ bad: imageOf(blob, suffix, `sha256:${"00".repeat(32)}`) });
  const before = process.memoryUsage().rss;
  const error = await failureOf(pullTag(endless(linux), "bad", { bootable: false }));
  expect(error).toMatchObject({ code: "limit-exceeded" });
  expect(process.memoryUsage().rss - before).toBeLessThan(limits.growthBytes);
  expect(namesInRepo(linux)).toEqual([]);
  expect(linux.openPaths).toEqual([]);
}

describe("decompression bombs", () => {
  test.each([
    ["gzip", "+gzip", gzipBomb],
    ["zstd", "+zstd", zstdBomb],
  ] as const)("%s: a file of zeros stops at the limit, in little memory", async (_, suffix, bomb) => {
    await expectStopped(await bomb(2 * gigabyte), suffix, { growthBytes: 200 << 20 });
  });

  test("gzip: zeros that are no file stop at the limit for what is kept in memory", async () => {
    // A gigabyte: the headers of two million files.
    const members = gzipSync(Buffer.alloc(64 << 20), { level: 9 });
    const blob = Buffer.concat([gzipSync(usr), ...Array.from({ length: 17 }, () => members)]);
    await expectStopped(blob, "+gzip", { growthBytes: 2 * gigabyte });
  });

  test("a disk that fills up under a bomb is told as such, and is empty again", async () => {
    const blob = await gzipBomb(gigabyte);
    const bad = imageOf(blob, "+gzip", `sha256:${"00".repeat(32)}`);
    const linux = await machineWithRepo({ bad }, { totalBytes: 64 << 20 });
    expect((await refusal(linux)).code).toBe("no-space");
    expect(linux.files.readDirectory(fromText(`${repoOfSysroot}/staging`))).toEqual([]);
  });

  test("gzip: so many empty entries that only their number is too large", async () => {
    const headers = Buffer.concat(Array.from({ length: 20_000 }, (_, at) => header({ name: `usr/${at}` })));
    const linux = await machineWithRepo({
      bad: imageOf(gzipSync(Buffer.concat([usr, headers]), { level: 1 }), "+gzip", `sha256:${"00".repeat(32)}`),
    });
    expect((await refusal(linux)).code).toMatch(/^(digest-mismatch|bad-format)$/);
  });
});

describe("absurd numbers in tar headers", () => {
  test.each([
    ["a size of 8 GiB without bytes", header({ name: "usr/a", size: 8 * gigabyte - 1 })],
    ["a size of 2^63 in base 256", header({ name: "usr/a", size: `\x80\0\0\0\x80${"\0".repeat(7)}` })],
    ["a negative size", header({ name: "usr/a", size: `\xff${"\xff".repeat(11)}` })],
    ["a size that is no number", header({ name: "usr/a", size: "hello world\0" })],
    ["a PAX size beyond all files", Buffer.concat([pax({ size: "9".repeat(30) }), header({ name: "usr/a" })])],
    ["a PAX header of 1 GiB", header({ name: "pax", type: "x", size: gigabyte })],
    ["a GNU name of 1 GiB", header({ name: "././@LongLink", type: "L", size: gigabyte })],
    ["a PAX record longer than its header", entry({ name: "pax", type: "x" }, "999999999 path=x\n")],
    ["a PAX record of length 0", entry({ name: "pax", type: "x" }, "0 path=x\n")],
    [
      "an xattr of 100 kB",
      Buffer.concat([pax({ "SCHILY.xattr.user.a": "x".repeat(100_000) }), header({ name: "usr/a" })]),
    ],
    ["a wrong checksum", header({ name: "usr/a", checksum: "000001\0 " })],
    ["an unknown kind of entry", entry({ name: "usr/a", type: "Z" })],
  ])("%s is refused", async (_, bytes) => {
    const error = await refusalOf(imageOf(tarOf(usr, bytes)));
    expect(error.code).toMatch(/^(bad-format|limit-exceeded|unsupported)$/);
  });

  test("an extreme time and owner are kept", async () => {
    const odd = entry({ name: "usr/a", mtime: `\xff${"\xff".repeat(11)}`, uid: "7777777\0", gid: "7777777\0" }, "x");
    const linux = await machineWithRepo({ good: imageOf(tarOf(usr, odd)) });
    await pullTag(linux, "good", { bootable: false });
    const [file] = await listImageFiles(systemOn(linux), {
      repo: repoOfSysroot,
      image: layoutReference("good"),
      bootable: false,
      path: fromText("/usr/a"),
      recursive: false,
    });
    expect(file?.inode.stat).toMatchObject({ mtimeSeconds: -1n, uid: 0o7777777, gid: 0o7777777 });
  });
});

describe("depth and number", () => {
  test("a path of 100 000 directories is refused at once", async () => {
    const deep = "d/".repeat(100_000);
    const bytes = Buffer.concat([pax({ path: deep }), header({ name: "d/", type: "5" })]);
    expect((await refusalOf(imageOf(tarOf(usr, bytes)))).code).toBe("limit-exceeded");
  });

  test("one directory in the other, deeper than a tree may be, is refused", async () => {
    const entries: Uint8Array[] = [usr];
    let path = "usr/";
    for (let depth = 0; depth < 1100; depth++) {
      path += "d/";
      entries.push(pax({ path }), header({ name: "d/", type: "5" }));
    }
    expect((await refusalOf(imageOf(tarOf(...entries)))).code).toBe("limit-exceeded");
  });
});

describe("paths that lead elsewhere", () => {
  test.each([
    ["../etc/passwd", entry({ name: "../etc/passwd" }, "x")],
    ["usr/../../etc/passwd", entry({ name: "usr/../../etc/passwd" }, "x")],
    ["a PAX path with ..", Buffer.concat([pax({ path: "usr/../../x" }), entry({ name: "x" }, "x")])],
    ["a hard link to ..", entry({ name: "usr/link", type: "1", linkName: "../../etc/shadow" })],
    ["a hard link to nothing", entry({ name: "usr/link", type: "1", linkName: "usr/none" })],
    ["a hard link to itself", entry({ name: "usr/link", type: "1", linkName: "usr/link" })],
    [
      "a file through a symlink to the root",
      Buffer.concat([entry({ name: "usr/out", type: "2", linkName: "/" }), entry({ name: "usr/out/etc/passwd" }, "x")]),
    ],
    [
      "a file through a symlink to ..",
      Buffer.concat([entry({ name: "usr/up", type: "2", linkName: "../.." }), entry({ name: "usr/up/x" }, "x")]),
    ],
    ["a NUL in a name", Buffer.concat([pax({ path: "usr/a\0b" }), entry({ name: "usr/a" }, "x")])],
    ["an empty symlink", entry({ name: "usr/link", type: "2", linkName: "" })],
  ])("%s is refused, and nothing is written outside the repo", async (_, bytes) => {
    const linux = await machineWithRepo({ bad: imageOf(tarOf(usr, bytes)) });
    const outside = () => linux.files.readDirectory(fromText("/"));
    const before = outside();
    expect((await refusal(linux)).code).toMatch(/^(bad-format|unsupported)$/);
    expect(outside()).toEqual(before);
  });

  test("an absolute path is one below the root of the image", async () => {
    const linux = await machineWithRepo({ good: imageOf(tarOf(usr, entry({ name: "/usr/a" }, "x"))) });
    await pullTag(linux, "good", { bootable: false });
    expect(linux.files.lstatIfExists(fromText("/usr"))).toBeUndefined();
  });

  test.each(["sha256:../../../../etc/passwd", "sha256:", "sha256", "md5:abcd", `sha256:${"AB".repeat(32)}`, "../x:ab"])(
    "the digest %s is refused before it is a path",
    async (digest) => {
      const image = imageOf(tarOf(usr));
      const manifest = JSON.parse(Buffer.from(image.manifest).toString());
      manifest.layers[0].digest = digest;
      const bytes = json(manifest);
      const bad = { ...image, manifest: bytes, manifestDigest: sha256(bytes), blobs: new Map(image.blobs) };
      bad.blobs.set(sha256(bytes), bytes);
      expect((await refusalOf(bad)).code).toMatch(/^(bad-format|unsupported)$/);
    },
  );
});

describe("documents", () => {
  const good = imageOf(tarOf(usr));
  const index = fromText(`${layoutPath}/index.json`);
  const blob = (digest: string) => fromText(`${layoutPath}/blobs/${digest.replace(":", "/")}`);

  function replace(linux: FakeLinux, path: ReturnType<typeof fromText>, bytes: Uint8Array): void {
    linux.files.unlink(path);
    linux.files.writeNewFile(path, bytes, 0o644);
  }

  test.each<[string, (linux: FakeLinux) => void]>([
    ["a manifest that is missing", (linux) => linux.files.unlink(blob(good.manifestDigest))],
    ["a config that is missing", (linux) => linux.files.unlink(blob(good.configDigest))],
    ["an index that is missing", (linux) => linux.files.unlink(index)],
    ["an index that is no JSON", (linux) => replace(linux, index, Buffer.from("{"))],
    ["an index of 100 MB", (linux) => replace(linux, index, Buffer.alloc(100 << 20, 0x20))],
    ["an index nested 100 000 deep", (linux) => replace(linux, index, Buffer.from("[".repeat(100_000)))],
    [
      "a manifest of other bytes",
      (linux) => replace(linux, blob(good.manifestDigest), Buffer.alloc(good.manifest.length, 0x20)),
    ],
    ["a manifest that is cut", (linux) => replace(linux, blob(good.manifestDigest), good.manifest.subarray(0, 100))],
    [
      "a blob that is a symlink",
      (linux) => {
        linux.files.unlink(blob(good.configDigest));
        linux.files.symlink(fromText("/etc/passwd"), blob(good.configDigest));
      },
    ],
    [
      "a tag that two images have",
      (linux) => {
        const descriptor = { mediaType: good.manifestType, digest: good.manifestDigest, size: good.manifest.length };
        const annotations = { "org.opencontainers.image.ref.name": "bad" };
        const other = { ...descriptor, digest: `sha256:${"11".repeat(32)}`, annotations };
        replace(linux, index, json({ schemaVersion: 2, manifests: [{ ...descriptor, annotations }, other] }));
      },
    ],
  ])("%s is refused", async (_, spoil) => {
    const linux = await machineWithRepo({ bad: good });
    spoil(linux);
    await refusal(linux);
  });

  test("an image of more layers than any has is refused before the first is fetched", async () => {
    const layer = JSON.parse(Buffer.from(good.manifest).toString()).layers[0];
    const diffId = JSON.parse(Buffer.from(good.config).toString()).rootfs.diff_ids[0];
    const config = json({
      ...{ os: "linux", architecture: "amd64" },
      rootfs: { type: "layers", diff_ids: Array(100_000).fill(diffId) },
    });
    const manifest = json({
      ...JSON.parse(Buffer.from(good.manifest).toString()),
      config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: sha256(config), size: config.length },
      layers: Array(100_000).fill(layer),
    });
    const blobs = new Map([...good.blobs, [sha256(config), config], [sha256(manifest), manifest]]);
    const many = { ...good, manifest, manifestDigest: sha256(manifest), config, configDigest: sha256(config), blobs };
    expect((await refusalOf(many)).code).toBe("limit-exceeded");
  });
});

describe("layers that are cut or spoiled", () => {
  const tar = Buffer.from(tarOf(usr, entry({ name: "usr/a" }, "x".repeat(3000)), entry({ name: "usr/b" }, "y")));

  // Between entries a tar may end; then only its digest tells that it was cut.
  test.each([1, 100, 511, 513, 1024, 1500, 4000, 5000])("a tar of only %i bytes is refused", async (length) => {
    expect((await refusalOf(imageOf(tar.subarray(0, length)))).code).toBe("bad-format");
  });

  test("a tar that is cut between entries is refused by its diff id", async () => {
    const error = await refusalOf(imageOf(tar.subarray(0, 512), "", sha256(tar)));
    expect(error.code).toBe("digest-mismatch");
  });

  test.each<[string, Suffix, () => Promise<Uint8Array>]>([
    ["gzip", "+gzip", async () => gzipSync(tar)],
    ["zstd", "+zstd", async () => zstd(tar)],
  ])("a %s stream cut anywhere is refused", async (_, suffix, compress) => {
    const whole = await compress();
    for (const length of [0, 1, 5, 20, Math.floor(whole.length / 2), whole.length - 1]) {
      const error = await refusalOf(imageOf(whole.subarray(0, length), suffix, sha256(tar)));
      expect(error.code).toMatch(/^(bad-format|digest-mismatch)$/);
    }
  });

  test("each flipped byte of a gzip stream is found", async () => {
    const whole = gzipSync(tar);
    for (let at = 0; at < whole.length; at += 7) {
      const spoiled = Buffer.from(whole);
      spoiled[at] = (spoiled[at] ?? 0) ^ 0x10;
      const linux = await machineWithRepo({ bad: imageOf(spoiled, "+gzip", sha256(tar)) });
      const error = await failureOf(pullTag(linux, "bad", { bootable: false }));
      // Time, name and system in gzip's header mean nothing: such a stream is whole.
      if (error !== undefined) {
        expect(error).toBeInstanceOf(OsdeployError);
        expect(namesInRepo(linux)).toEqual([]);
      } else {
        expect(at).toBeLessThan(10);
      }
    }
  });

  test("something behind the stream is refused", async () => {
    const blob = Buffer.concat([gzipSync(tar), Buffer.from("trailing")]);
    expect((await refusalOf(imageOf(blob, "+gzip", sha256(tar)))).code).toBe("bad-format");
  });
});

describe("names that are no text", () => {
  test("are kept in the image, its dump and its list", async () => {
    const name = fromBytes(Uint8Array.of(0x66, 0xff, 0xc3, 0x28, 0x0a, 0x20));
    const link = fromBytes(Uint8Array.of(0xfe, 0x2f, 0x80));
    const tar = tarOf(
      usr,
      entry({ name: `usr/${name}`, magic: ustar }, "x"),
      entry({ name: "usr/link", type: "2", linkName: link }),
    );
    const linux = await machineWithRepo({ good: imageOf(tar) });
    await pullTag(linux, "good", { bootable: false });
    const request = { repo: repoOfSysroot, image: layoutReference("good"), bootable: false };
    const files = await listImageFiles(systemOn(linux), { ...request, path: fromText("usr"), recursive: true });
    expect(files.map(({ path }) => path)).toEqual([`/usr/${name}`, "/usr/link"]);
    expect(files[1]?.inode).toMatchObject({ kind: "symlink", target: link });
    const { lines } = await dumpImage(systemOn(linux), request);
    expect([...lines].join("")).toContain("/usr/f\\xff\\xc3(\\n\\x20 1 100644");
    const { problems } = await checkRepo(systemOn(linux), { repo: repoOfSysroot, metadataOnly: false });
    expect(problems).toEqual([]);
  });
});

test("a repo's lock is free, and its staging area empty, after a refusal", async () => {
  const linux = await machineWithRepo({
    bad: imageOf(tarOf(usr, header({ name: "usr/a", size: gigabyte }))),
    good: imageOf(tarOf(usr)),
  });
  await refusal(linux);
  expect(linux.files.readDirectory(fromText(`${repoOfSysroot}/staging`))).toEqual([]);
  await pullTag(linux, "good", { bootable: false });
});
