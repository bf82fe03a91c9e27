import { createHash } from "node:crypto";
import { type BuiltImage, buildImage } from "../builders/oci-image.ts";
import type { LayerFile } from "../builders/oci-layer.ts";

/** `length` bytes that depend on `seed` and do not compress. */
function noise(seed: string, length: number): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (let done = 0; done < length; done += 32) pieces.push(createHash("sha256").update(`${seed} ${done}`).digest());
  return Buffer.concat(pieces).subarray(0, length);
}

/** Files that the tests damage, each an object. Their sizes decide where ext4 keeps their Merkle trees. */
export const victims = {
  /** Three pages. */
  data: { path: "usr/lib/victim-data", content: noise("data", 9000) },
  /** Its Merkle tree has two levels. */
  tree: { path: "usr/lib/victim-tree", content: noise("tree", 300_000) },
  /** One page, so that there is no tree: the digest in the descriptor is that of the page. */
  digest: { path: "usr/lib/victim-digest", content: noise("digest", 3000) },
  descriptor: { path: "usr/lib/victim-descriptor", content: noise("descriptor", 3000) },
  seal: { path: "usr/lib/victim-seal", content: noise("seal", 3000) },
} as const;

const directories = [
  "boot",
  "etc",
  "run",
  "sysroot",
  "tmp",
  "usr",
  "usr/bin",
  "usr/lib",
  "usr/lib/modules",
  "usr/share",
  "var",
];

const base: readonly LayerFile[] = [
  ...directories.map((path): LayerFile => ({ path, mtime: 1000 })),
  { path: "boot/notes", content: noise("notes", 100) },
  { path: "bin", symlink: "usr/bin" },
  { path: "usr/bin/tool", content: noise("tool", 20_000), mode: 0o4755 },
  { path: "usr/bin/also-tool", hardLink: "usr/bin/tool" },
  { path: "usr/lib/large", content: noise("large", 1_000_000), xattrs: { "user.note": "large" } },
  { path: "usr/lib/empty", content: "" },
  ...Object.values(victims),
  ...manyFiles("usr/share/file", 150, 6000),
];

/** `count` files of one byte to `limit` bytes. */
function manyFiles(prefix: string, count: number, limit: number): readonly LayerFile[] {
  return Array.from({ length: count }, (_, index) => {
    const path = `${prefix}-${index}`;
    return { path, content: noise(path, 1 + ((index * 7919) % limit)) };
  });
}

const big = manyFiles("usr/share/big", 500, 10_000);

function release(version: string): readonly LayerFile[] {
  const modules = `usr/lib/modules/6.12-${version}`;
  return [
    { path: "usr/lib/os-release", content: `ID=test\nPRETTY_NAME="Test OS"\nIMAGE_VERSION=${version}\n` },
    { path: modules },
    { path: `${modules}/vmlinuz`, content: noise(`kernel ${version}`, 40_000) },
    { path: `${modules}/initramfs.img`, content: noise(`initramfs ${version}`, 60_000) },
    { path: "etc/motd", content: noise(`motd ${version}`, 100) },
  ];
}

/** The images that the guests find in /images, by their tags. */
export interface GuestImages {
  readonly v1: BuiltImage;
  /** The same tree as v1 from one layer, so that all of its files come again. */
  readonly squashed: BuiltImage;
  /** And once more, in three layers. */
  readonly parted: BuiltImage;
  readonly v2: BuiltImage;
  /** Takes some seconds to pull. */
  readonly big: BuiltImage;
}

export async function buildGuestImages(): Promise<GuestImages> {
  const middle = base.length / 2;
  return {
    v1: await buildImage({ layers: [base, release("1")], compression: "zstd" }),
    squashed: await buildImage({ layers: [[...base, ...release("1")]] }),
    parted: await buildImage({ layers: [base.slice(0, middle), base.slice(middle), release("1")] }),
    v2: await buildImage({ layers: [base, release("2")], compression: "zstd" }),
    big: await buildImage({ layers: [[...base, ...release("3")], big.slice(0, 250), big.slice(250)] }),
  };
}

/** The sha256 digests of the regular files of v1 as it boots, as `sha256sum` prints them below its root, sorted. */
export function v1Digests(): readonly string[] {
  return digestsOf([...base, ...release("1")]);
}

/** The same of the big image. */
export function bigDigests(): readonly string[] {
  return digestsOf([...base, ...release("3"), ...big]);
}

/** The tree that boots has nothing in /boot. */
function digestsOf(all: readonly LayerFile[]): readonly string[] {
  const files = all.filter(({ path }) => !path.startsWith("boot/"));
  const contents = new Map(files.map(({ path, content }) => [path, content] as const));
  const digests = files.flatMap(({ path, hardLink }) => {
    const content = contents.get(hardLink ?? path);
    return content === undefined ? [] : [`${createHash("sha256").update(content).digest("hex")}  ./${path}`];
  });
  return digests.sort();
}
