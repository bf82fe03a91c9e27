/** What the files directly in one folder under `src` may import, besides each other. */
export interface LayerRow {
  /** Folders of this project, from `src`. The files directly in them, not in folders below. */
  readonly folders: readonly string[];
  /** Packages and Node's own modules; `node:*` is all of those. */
  readonly modules: readonly string[];
}

const values = ["core", "core/bytes", "core/digest"];
const trees = [...values, "core/tree"];
const allOfCore = [
  ...trees,
  "core/selinux",
  "core/tar",
  "core/erofs",
  "core/splitstream",
  "core/oci",
  "core/boot",
  "core/deployment",
  "core/disk",
  "core/trust",
  "core/zstd-chunked",
  "core/packages",
];
const commandFolders = [
  "cli/commands",
  "cli/commands/image",
  "cli/commands/repo",
  "cli/commands/quarantine",
  "cli/commands/composefs",
  "cli/commands/install",
  "cli/commands/lab",
];
const command: LayerRow = {
  folders: [...values, "core/oci", "operations", "cli", "cli/output"],
  modules: ["commander"],
};
const store: LayerRow = { folders: [...allOfCore, "linux"], modules: [] };

/**
 * The layer table: arrows go down, brothers never meet. A folder under `src` without a row here fails the test.
 *
 * @see docs/decisions/0001-functional-core.md
 */
export const layerTable: Readonly<Record<string, LayerRow>> = {
  core: { folders: [], modules: [] },
  "core/bytes": { folders: ["core"], modules: [] },
  // The one exception to "no node:* in core": digests are computed by OpenSSL, which is synchronous and pure.
  "core/digest": { folders: ["core", "core/bytes"], modules: ["node:crypto"] },
  "core/selinux": { folders: [...values, "core/tree"], modules: [] },
  // The labels of the root tree are a part of `tree` in a folder of their own: these two may know each other.
  "core/tree": { folders: [...values, "core/selinux"], modules: [] },
  "core/tar": { folders: trees, modules: [] },
  "core/erofs": { folders: trees, modules: [] },
  // A layer's splitstream is its tar in another shape: who reads the layer from it reads tar headers.
  "core/splitstream": { folders: [...trees, "core/tar"], modules: [] },
  // A layer that is not compressed is known by the header that it begins with.
  "core/oci": { folders: [...values, "core/tar"], modules: [] },
  // Packs layers: a tar and what OCI says of one.
  "core/zstd-chunked": { folders: [...values, "core/tar"], modules: [] },
  // What is installed in a tree, by the databases of package managers.
  "core/packages": { folders: trees, modules: [] },
  // What a signature policy says of an image; node:crypto is in core/digest.
  "core/trust": { folders: [...values, "core/oci"], modules: [] },
  // smol-toml reads the kernel arguments that images bring: it is text to values, and no more.
  "core/boot": { folders: trees, modules: ["smol-toml"] },
  "core/deployment": { folders: [...trees, "core/oci", "core/boot"], modules: [] },
  // What is on a new disk: partitions, and the inodes of its root.
  "core/disk": { folders: trees, modules: [] },
  // The one place that knows the machine: all of Node, and the C library.
  linux: { folders: allOfCore, modules: ["koffi", "node:*"] },
  repo: store,
  // smol-toml reads registries.conf, yaml registries.d; node:tls only puts authorities and client certificates together,
  // and node:net only tells nets of addresses apart.
  "image-source": {
    folders: store.folders,
    modules: ["undici", "smol-toml", "yaml", "node:stream", "node:buffer", "node:net", "node:tls"],
  },
  // ini reads origin files, which bootc writes too.
  sysroot: { folders: store.folders, modules: ["ini"] },
  bootloader: store,
  // Makes file systems and puts the disk together; what is on them is told by operations.
  disk: store,
  // Virtual machines: node:net for QEMU's sockets and the guest's ssh, node:http for the images that guests are offered.
  lab: {
    folders: store.folders,
    modules: ["node:http", "node:net", "node:stream", "node:stream/promises", "node:timers/promises"],
  },
  // The import runs whole layers in worker threads; to start, feed and stop them is the pull's own business.
  operations: {
    folders: [...allOfCore, "linux", "repo", "image-source", "sysroot", "bootloader", "disk", "lab"],
    modules: ["node:worker_threads"],
  },
  // `cli` asks operations, and never a store. It opens Linux once, in order to hand it down.
  cli: {
    folders: [...values, "core/oci", "linux", "operations", ...commandFolders, "cli/output"],
    modules: ["commander", "node:os", "node:v8"],
  },
  ...Object.fromEntries(commandFolders.map((folder) => [folder, command])),
  "cli/output": { folders: [...trees, "operations", "cli"], modules: ["node:util"] },
};
