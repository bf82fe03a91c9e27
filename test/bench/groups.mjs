import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const node = process.execPath;
const osdeploy = [node, process.env.OSDEPLOY_BENCH_MAIN ?? join(root, "dist/cli/main.js")];
const here = (name) => join(root, "test/bench", name);

/**
 * What is measured, group by group. `runs` of a group are interleaved; each starts from an empty store and its
 * `prepare` commands, which are not timed. `ratios` are judged against the goals.
 */
export function groups({ store }) {
  const images = process.env.OSDEPLOY_BENCH_IMAGES ?? "(OSDEPLOY_BENCH_IMAGES is not set)";
  const disk = process.env.OSDEPLOY_BENCH_DISK;
  const repo = `${store}/repo`;
  const init = (path = repo) => [...osdeploy, "repo", "init", "--insecure", "--repo", path];
  const pull = (how, tag, path = repo) => [
    ...osdeploy,
    "pull",
    "--quiet",
    "--bootable",
    "--repo",
    path,
    `oci:${images}/${how}:${tag}`,
  ];
  const sh = (script, ...args) => ["sh", here(script), ...args];
  return [
    {
      name: "start",
      about: "osdeploy --version against an empty node script",
      needs: [],
      runs: [
        { name: "osdeploy --version", command: [...osdeploy, "--version"] },
        { name: "node -e 0", command: [node, "-e", "0"] },
      ],
      ratios: [{ of: "osdeploy --version", to: "node -e 0", figure: "wall", atMost: 1.5 }],
    },
    {
      name: "pull",
      about: "cold pull with boot image, sha512, from an OCI layout, stores on tmpfs",
      needs: [`${images}/zstd`, `${images}/gzip`],
      runs: [
        { name: "zstd", prepare: [init()], command: pull("zstd", "v1") },
        { name: "zstd -dc | tar x", command: sh("unpack.sh", `${images}/zstd`, "v1", store) },
        { name: "gzip", prepare: [init()], command: pull("gzip", "v1") },
        { name: "v2 after v1", prepare: [init(), pull("zstd", "v1")], command: pull("zstd", "v2") },
        { name: "v3 after v1", prepare: [init(), pull("zstd", "v1")], command: pull("zstd", "v3") },
        { name: "pull again", prepare: [init(), pull("zstd", "v1")], command: pull("zstd", "v1") },
        { name: "node -e 0", command: [node, "-e", "0"] },
      ],
      ratios: [
        { of: "zstd", to: "zstd -dc | tar x", figure: "wall", atMost: 1.8 },
        { of: "gzip", to: "zstd", figure: "wall", atMost: 1.3 },
        { of: "v2 after v1", to: "zstd", figure: "wall", atMost: 0.7 },
        { of: "zstd", figure: "peak", atMost: 220 },
        { of: "v2 after v1", figure: "peak", atMost: 220 },
      ],
    },
    {
      name: "parts",
      about:
        "pulls of a zstd:chunked image, sha512, from an OCI layout, stores on tmpfs: what is here is not read again",
      needs: [`${images}/chunked`, `${images}/gzip`],
      runs: [
        { name: "chunked", prepare: [init()], command: pull("chunked", "v1") },
        { name: "chunked v2 after v1", prepare: [init(), pull("chunked", "v1")], command: pull("chunked", "v2") },
        { name: "chunked v3 after v1", prepare: [init(), pull("chunked", "v1")], command: pull("chunked", "v3") },
        { name: "chunked v3 after gzip v1", prepare: [init(), pull("gzip", "v1")], command: pull("chunked", "v3") },
      ],
      ratios: [
        { of: "chunked v2 after v1", to: "chunked", figure: "wall", atMost: 0.8 },
        { of: "chunked v3 after v1", to: "chunked", figure: "wall", atMost: 0.7 },
        { of: "chunked v3 after gzip v1", to: "chunked", figure: "wall", atMost: 1 },
      ],
    },
    {
      name: "podman",
      about: "cold pull against podman pull; OSDEPLOY_BENCH_PODMAN is a command that takes a layout, a tag and a store",
      needs: [`${images}/zstd`, process.env.OSDEPLOY_BENCH_PODMAN ?? "(OSDEPLOY_BENCH_PODMAN is not set)"],
      runs: [
        { name: "zstd", prepare: [init()], command: pull("zstd", "v1") },
        { name: "podman pull", command: [process.env.OSDEPLOY_BENCH_PODMAN ?? "false", `${images}/zstd`, "v1", store] },
      ],
      ratios: [{ of: "zstd", to: "podman pull", figure: "wall", atMost: 0.35 }],
    },
    commandsGroup({ images, init, pull, store, repo }),
    ...(disk === undefined ? [] : [diskGroup({ disk, images, init, pull, sh, repo })]),
    {
      name: "composefs",
      about: "root image from a dump of 200 000 entries, and a plain directory into objects, against mkcomposefs",
      needs: [process.env.OSDEPLOY_BENCH_MKCOMPOSEFS ?? "(OSDEPLOY_BENCH_MKCOMPOSEFS is not set)"],
      runs: [
        {
          name: "dump 200k",
          prepare: [[node, here("make-dump.mjs"), "200000", `${store}/dump`]],
          command: [...osdeploy, "composefs", "create", "--from-file", `${store}/dump`, `${store}/image`],
        },
        {
          name: "dump 200k, mkcomposefs",
          prepare: [[node, here("make-dump.mjs"), "200000", `${store}/dump`]],
          command: [
            process.env.OSDEPLOY_BENCH_MKCOMPOSEFS ?? "false",
            "--from-file",
            `${store}/dump`,
            `${store}/image`,
          ],
        },
        {
          name: "dump 38k",
          prepare: [[node, here("make-dump.mjs"), "38000", `${store}/dump`]],
          command: [...osdeploy, "composefs", "create", "--from-file", `${store}/dump`, `${store}/image`],
        },
        {
          name: "directory",
          prepare: [sh("unpack.sh", `${images}/zstd`, "v1", `${store}/tree`)],
          command: [
            ...osdeploy,
            "composefs",
            "create",
            "--digest-store",
            `${store}/objects`,
            `${store}/tree`,
            `${store}/image`,
          ],
        },
        {
          name: "directory, mkcomposefs",
          prepare: [sh("unpack.sh", `${images}/zstd`, "v1", `${store}/tree`)],
          command: [
            process.env.OSDEPLOY_BENCH_MKCOMPOSEFS ?? "false",
            `--digest-store=${store}/objects`,
            `${store}/tree`,
            `${store}/image`,
          ],
        },
      ],
      ratios: [
        { of: "dump 200k", to: "dump 200k, mkcomposefs", figure: "wall", atMost: 0.8 },
        { of: "directory", to: "directory, mkcomposefs", figure: "wall", atMost: 1.3 },
        { of: "dump 38k", figure: "cpu", atMost: 0.3 },
      ],
    },
    {
      name: "layer-size",
      about: "peak memory with one layer of 4 GiB and of 64 MiB; time per file of 500 000 and of 50 000 small files",
      rounds: 1,
      needs: [],
      runs: ["layer-4g", "layer-64m", "files-500k", "files-50k"].map((name) => ({
        name,
        prepare: [init(), [node, here("make-layer.mjs"), name, `${store}/layout`]],
        command: [...osdeploy, "pull", "--quiet", "--repo", repo, `oci:${store}/layout:${name}`],
      })),
      ratios: [
        { of: "layer-4g", to: "layer-64m", figure: "peak", atMost: 1.1 },
        { of: "layer-4g", figure: "peak", atMost: 220 },
        { of: "files-500k", to: "files-50k", figure: "wall", atMost: 12 },
      ],
    },
  ];
}

/** What is run besides pull, on one image or two. Goals are bounds of our own, so that nothing gets slow unseen. */
function commandsGroup({ images, init, pull, store, repo }) {
  const layout = (tag) => `oci:${images}/zstd:${tag}`;
  const sysroot = `${store}/sysroot`;
  const switchTo = (tag, ...words) => [...osdeploy, "--quiet", "switch", "--sysroot", sysroot, ...words, layout(tag)];
  const one = [init(), pull("zstd", "v1")];
  const two = [...one, pull("zstd", "v2")];
  const deployed = [["mkdir", sysroot], switchTo("v1")];
  const inRepo = (...words) => [...osdeploy, ...words, "--repo", repo];
  return {
    name: "commands",
    about: "what is run besides pull, in a repo or sysroot with v1, or with v1 and v2",
    needs: [`${images}/zstd`],
    runs: [
      { name: "pull v2", prepare: one, command: pull("zstd", "v2") },
      { name: "switch v2", prepare: deployed, command: switchTo("v2") },
      { name: "switch --dry-run v3", prepare: [...deployed, switchTo("v2")], command: switchTo("v3", "--dry-run") },
      { name: "image cat", prepare: one, command: inRepo("image", "cat", layout("v1"), "/etc/os-release") },
      { name: "image dump", prepare: one, command: inRepo("image", "dump", layout("v1")) },
      { name: "image diff", prepare: two, command: inRepo("image", "diff", layout("v1"), layout("v2")) },
      { name: "repo gc --dry-run", prepare: two, command: inRepo("repo", "gc", "--dry-run") },
      { name: "repo fsck", prepare: two, command: inRepo("repo", "fsck") },
    ],
    ratios: [
      { of: "switch v2", to: "pull v2", figure: "cpu", atMost: 1.4 },
      { of: "switch v2", figure: "peak", atMost: 260 },
      { of: "repo gc --dry-run", to: "pull v2", figure: "cpu", atMost: 0.6 },
      { of: "image cat", to: "image dump", figure: "cpu", atMost: 0.5 },
    ],
  };
}

/** On a real disk: our own time there against our own time on tmpfs plus what one syncfs of the same bytes takes. */
function diskGroup({ disk, images, init, pull, sh, repo }) {
  const onDisk = `${disk}/osdeploy-bench`;
  const clean = ["rm", "-rf", onDisk];
  const make = ["mkdir", "-p", onDisk];
  return {
    name: "disk",
    about: "cold pull onto a disk",
    needs: [`${images}/zstd`],
    runs: [
      { name: "tmpfs", prepare: [init()], command: pull("zstd", "v1") },
      {
        name: "disk",
        prepare: [clean, make, ["sync"], init(`${onDisk}/repo`)],
        command: pull("zstd", "v1", `${onDisk}/repo`),
      },
      {
        name: "write and syncfs",
        prepare: [clean, make, ["sync"], init(), pull("zstd", "v1")],
        command: sh("syncfs.sh", repo, onDisk),
      },
    ],
    ratios: [],
  };
}
