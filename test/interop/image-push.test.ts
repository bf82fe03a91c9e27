import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decompress as unzstd } from "@mongodb-js/zstd";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { copyImage } from "../../src/operations/copy-image.ts";
import type { LayerFormat } from "../../src/operations/layer-packing.ts";
import { type BuiltImage, buildImage, buildIndex } from "../builders/oci-image.ts";
import { sha256 } from "../builders/oci-layer.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { systemOn } from "../builders/operation-machine.ts";
import { type DockerRegistry, hasDockerRegistry, registryUser, startDockerRegistry } from "../tools/docker-registry.ts";
import { findTool } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";

const skopeo = findTool("skopeo");
/** Those before 1.18 write other tables: without a tar-split, or without its digest. */
const newSkopeo = ["new-skopeo", "skopeo"].map(findTool).find((program) => program !== undefined && isNew(program));
const directory = mkdtempSync(join(tmpdir(), "image-push-"));
const environment = { variables: { HOME: directory, TMPDIR: directory }, userId: 0 };
const formats: readonly LayerFormat[] = ["zstd:chunked", "zstd", "gzip", "none"];
let image: BuiltImage;

function isNew(program: string): boolean {
  const [, major = "0", minor = "0"] = /([0-9]+)\.([0-9]+)/.exec(run(program, ["--version"]).stdout) ?? [];
  return Number(major) + Number(minor) / 100 >= 1.18;
}

/** Looks like chance, so that it is cut into chunks. */
function noise(length: number): Buffer {
  let state = 7;
  return Buffer.from(
    Array.from({ length }, () => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return state >>> 16;
    }),
  );
}

beforeAll(async () => {
  const long = `${"d/".repeat(70)}file`;
  const files = [
    { path: "usr/" },
    { path: "usr/small", content: "hello", mode: 0o4755, uid: 1000, gid: 20, mtime: 1_700_000_000 },
    { path: "usr/empty", content: "" },
    { path: "usr/noise", content: noise(500_000) },
    { path: "usr/sparse", content: Buffer.concat([noise(3000), Buffer.alloc(70_000), noise(10)]) },
    { path: "usr/zeros", content: Buffer.alloc(9000) },
    { path: "usr/<&>ü", content: "names", xattrs: { "user.b": "2", "user.a": "1" } },
    { path: "usr/link", symlink: "small" },
    { path: "usr/hard", hardLink: "usr/small" },
    { path: long, content: "long" },
    { path: "usr/.wh.gone", content: "" },
  ];
  image = await buildImage({ layers: [files, [{ path: "usr/other", content: noise(200_000) }]] });
  writeLayout(join(directory, "layout"), [{ image, tag: "v1" }]);
});

afterAll(() => rmSync(directory, { recursive: true }));

async function copy(destination: string, format: LayerFormat | undefined, login = false): Promise<void> {
  await copyImage(systemOn(openLinux()), {
    image: parseImageReference(`oci:${join(directory, "layout")}:v1`),
    platform: parsePlatform("linux/amd64"),
    source: { environment },
    destination: parseImageReference(destination),
    destinationOptions: { environment, tlsVerify: false, ...(login && { credentials: registryUser }) },
    ...{ format, level: undefined, removeSignatures: false },
  });
}

function judged(...words: readonly string[]): void {
  const ended = run(String(skopeo), ["--insecure-policy", "copy", "--quiet", ...words]);
  expect({ status: ended.status, said: ended.status === 0 ? "" : ended.stderr }).toEqual({ status: 0, said: "" });
}

interface Layer {
  readonly digest: string;
  readonly mediaType: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

function layersOf(layout: string): readonly Layer[] {
  const json = (path: string) => JSON.parse(readFileSync(join(layout, path), "utf8"));
  const [{ digest }] = json("index.json").manifests;
  return json(`blobs/${digest.replace(":", "/")}`).layers;
}

/** Both tables of a layer, less what depends on the encoder. */
async function tablesOf(layout: string, layer: Layer): Promise<readonly string[]> {
  const blob = readFileSync(join(layout, "blobs", layer.digest.replace(":", "/")));
  const read = async (key: string) => {
    const place = layer.annotations?.[`io.github.containers.zstd-chunked.${key}`] ?? "";
    const [offset = 0, length = 0] = place.split(":").map(Number);
    return (await unzstd(blob.subarray(offset, offset + length))).toString();
  };
  const toc = (await read("manifest-position")).replace(/,"(offset|endOffset)":\d+/g, "");
  return [toc.replace(/"tarSplitDigest":"[^"]*"/, ""), await read("tarsplit-position")];
}

describe.skipIf(skopeo === undefined)("image copy, judged by skopeo", () => {
  for (const format of formats) {
    test(`${format}: skopeo takes layout and archive, and unpacks the layers to the tars`, async () => {
      const name = format.replace(":", "-");
      await copy(`oci:${join(directory, name)}:t`, format);
      await copy(`oci-archive:${join(directory, name)}.tar:t`, format);
      judged(`oci:${join(directory, name)}:t`, `oci:${join(directory, `${name}-taken`)}:t`);
      const plain = join(directory, `${name}-plain`);
      mkdirSync(plain);
      judged("--dest-decompress", `oci-archive:${join(directory, name)}.tar:t`, `dir:${plain}`);
      for (const { diffId } of image.layers) expect(sha256(readFileSync(join(plain, diffId.slice(7))))).toBe(diffId);
    });
  }

  test.skipIf(newSkopeo === undefined)(
    `zstd:chunked: the tables are those that skopeo makes of the same tars${newSkopeo === undefined ? " (needs skopeo 1.18)" : ""}`,
    async () => {
      const theirs = join(directory, "theirs");
      const plain = `oci:${join(directory, "uncompressed")}:t`;
      await copy(plain, "none");
      const words = ["--insecure-policy", "copy", "--quiet", "--dest-compress", "--dest-compress-format=zstd:chunked"];
      expect(run(String(newSkopeo), [...words, plain, `oci:${theirs}:t`])).toMatchObject({ status: 0 });
      const ours = join(directory, "ours");
      await copy(`oci:${ours}:t`, "zstd:chunked");
      const layers = layersOf(ours);
      for (const [at, layer] of layersOf(theirs).entries()) {
        const own = layers[at];
        if (own === undefined) throw new Error("both have as many layers");
        const [toc, tarSplit] = await tablesOf(ours, own);
        expect([toc, tarSplit]).toEqual(await tablesOf(theirs, layer));
        expect(toc).toContain('"type":"chunk"');
      }
    },
  );
});

describe.skipIf(!hasDockerRegistry)("image copy --all (docker-registry, judged by skopeo)", () => {
  test("skopeo finds every platform that it would have copied itself, byte for byte, and ours goes on from it", async () => {
    const other = await buildImage({ layers: [[{ path: "usr/other", content: noise(9000) }]], architecture: "arm64" });
    const index = buildIndex([image, other]);
    const from = join(directory, "all");
    writeLayout(from, [{ image: index, tag: "t" }]);
    const registry = await startDockerRegistry(join(directory, "registry-all"));
    const copyAll = (source: string, destination: string) =>
      copyImage(systemOn(openLinux()), {
        ...{ image: parseImageReference(source), destination: parseImageReference(destination), all: true },
        ...{ platform: parsePlatform("linux/riscv64"), source: { environment }, destinationOptions: { environment } },
        ...{ format: undefined, level: undefined, removeSignatures: false },
      });
    try {
      const ours = `docker://${registry.host}/ours:t`;
      const theirs = `docker://${registry.host}/theirs:t`;
      expect(await copyAll(`oci:${from}:t`, ours)).toMatchObject({ manifestDigest: index.indexDigest });
      const tls = ["--src-tls-verify=false", "--dest-tls-verify=false", "--all", "--preserve-digests"];
      judged(...tls, `oci:${from}:t`, theirs);
      const digest = (name: string, ...words: readonly string[]) =>
        sha256(
          Buffer.from(run(String(skopeo), ["inspect", "--raw", "--tls-verify=false", ...words, name]).stdout, "latin1"),
        );
      expect([digest(ours), digest(theirs)]).toEqual([index.indexDigest, index.indexDigest]);
      judged(...tls, ours, `oci:${join(directory, "all-back")}:t`);
      for (const arch of ["amd64", "arm64"]) {
        judged("--src-tls-verify=false", `--override-arch=${arch}`, ours, `dir:${join(directory, `all-${arch}`)}`);
      }
      await copyAll(theirs, `oci-archive:${join(directory, "all.tar")}:t`);
      judged(...tls, `oci-archive:${join(directory, "all.tar")}:t`, `oci:${join(directory, "all-taken")}:t`);
      for (const [blob, bytes] of index.blobs) {
        for (const layout of ["all-back", "all-taken"]) {
          expect(readFileSync(join(directory, layout, "blobs", blob.replace(":", "/")))).toEqual(Buffer.from(bytes));
        }
      }
    } finally {
      await registry.stop();
    }
  });
});

describe.skipIf(!hasDockerRegistry)("image copy to docker-registry (Debian's, with skopeo as the judge)", () => {
  let registry: DockerRegistry;
  beforeAll(async () => {
    registry = await startDockerRegistry(join(directory, "registry"), { login: true });
  });
  afterAll(() => registry.stop());

  for (const format of [undefined, ...formats]) {
    test(`${format ?? "as it is"}: skopeo pulls what was pushed`, async () => {
      const target = `docker://${registry.host}/lab/os:${(format ?? "as-is").replace(":", "-")}`;
      await copy(target, format, true);
      await copy(target, format, true);
      const plain = mkdtempSync(join(directory, "pulled-"));
      const { user, password } = registryUser;
      judged("--src-tls-verify=false", `--src-creds=${user}:${password}`, "--dest-decompress", target, `dir:${plain}`);
      for (const { diffId } of image.layers) expect(sha256(readFileSync(join(plain, diffId.slice(7))))).toBe(diffId);
    });
  }
});
