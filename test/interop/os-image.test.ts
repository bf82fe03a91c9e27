import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { extractImage, layerDigests, manifestDigest } from "../tools/extract-image.ts";
import { findOsImage, findTool } from "../tools/find-tool.ts";
import { osdeploy, osdeployCommand, run } from "../tools/run-cli.ts";
import { cannotMount, type SeenEntry, seenLines, seeTrees } from "../tools/seen-tree.ts";

const layout = findOsImage();
const reason = layout === undefined ? "it was not built: sh images/build.sh" : cannotMount();
const mkcomposefs = findTool("mkcomposefs");
const composefsInfo = findTool("composefs-info");
const fsckErofs = findTool("fsck.erofs");

describe.skipIf(reason !== undefined)(`the real OS image${reason === undefined ? "" : ` (${reason})`}`, () => {
  let scratch: string;
  /** The root image of a deployment, by tag. */
  const deployed = new Map<string, string>();
  let sysroot: string;

  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), "osdeploy-os-image-"));
    sysroot = join(scratch, "sysroot");
    mkdirSync(sysroot);
    for (const tag of ["v1", "v2"]) {
      const before = rootImages(sysroot);
      osdeploy("switch", `oci:${layout}:${tag}`, "--sysroot", sysroot);
      const id = [...rootImages(sysroot)].find((one) => !before.has(one));
      if (id === undefined) throw new Error(`switch to ${tag} made no boot entry with a new root image`);
      deployed.set(tag, join(sysroot, "composefs/images", id));
    }
  }, 600_000);
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  for (const tag of ["v1", "v2"]) {
    test(`the kernel shows ${tag} as GNU tar extracts it, in all a program can ask for`, { timeout: 300_000 }, () => {
      const extracted = join(scratch, `extracted-${tag}`);
      extractImage(String(layout), tag, extracted);
      const objects = join(sysroot, "composefs/objects");
      const [onDisk = [], mounted = []] = seeTrees([
        { directory: extracted },
        { image: deployed.get(tag) ?? "", objects, work: join(scratch, `work-${tag}`) },
      ]);
      expect(mounted.length).toBeGreaterThan(9000);
      expect(seenLines(mounted)).toEqual(seenLines(asBootRoot(onDisk)));
    });
  }

  test("osdeploy image mount shows v1 as mount(8) does", { timeout: 300_000 }, () => {
    const repo = join(sysroot, "composefs");
    const directory = join(scratch, "mounted");
    const words = ["image", "mount", "--bootable", "--repo", repo, manifestDigest(String(layout), "v1"), directory];
    const [ours = [], theirs = []] = seeTrees([
      { directory, mountWith: osdeployCommand(...words) },
      { image: deployed.get("v1") ?? "", objects: join(repo, "objects"), work: join(scratch, "work-mount") },
    ]);
    expect(seenLines(ours)).toEqual(seenLines(theirs));
  });

  test.skipIf(fsckErofs === undefined)("fsck.erofs finds nothing wrong with the root images of the deployments", () => {
    for (const image of deployed.values()) expect(run(String(fsckErofs), [image])).toMatchObject({ status: 0 });
  });
});

test.skipIf(layout === undefined)("the real OS image: v2 has the layers of v1 but three", () => {
  const [v1 = [], v2 = []] = ["v1", "v2"].map((tag) => layerDigests(String(layout), tag));
  expect(v2).toHaveLength(v1.length);
  expect(v1.filter((digest) => !v2.includes(digest))).toHaveLength(3);
});

/** mkcomposefs and composefs-info know sha256 only, and no boot images: so this is the image as it was built, in a repo of that kind. */
describe.skipIf(layout === undefined)("the real OS image, judged by composefs", () => {
  let scratch: string;
  let repo: string;
  let rawImage: string;

  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), "osdeploy-os-image-"));
    repo = join(scratch, "repo");
    osdeploy("repo", "init", "--repo", repo, "--fsverity-algorithm", "sha256", "--insecure");
    osdeploy("pull", `oci:${layout}:v1`, "--repo", repo);
    rawImage = join(repo, "images", osdeploy("image", "digest", "--repo", repo, `oci:${layout}:v1`).trim());
  }, 600_000);
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  test.skipIf(mkcomposefs === undefined)("mkcomposefs makes the same bytes of the dump of our root image", () => {
    const dump = join(scratch, "dump");
    writeFileSync(dump, osdeploy("image", "dump", "--repo", repo, `oci:${layout}:v1`), "latin1");
    const theirs = join(scratch, "theirs");
    expect(run(String(mkcomposefs), ["--from-file", "--min-version=1", dump, theirs])).toMatchObject({ status: 0 });
    expect(readFileSync(theirs).equals(readFileSync(rawImage))).toBe(true);
  });

  for (const word of ["dump", "ls", "objects"]) {
    test.skipIf(composefsInfo === undefined)(`composefs-info ${word} reads the root image as osdeploy does`, () => {
      const theirs = run(String(composefsInfo), [word, rawImage]);
      expect(theirs.status).toBe(0);
      expect(osdeploy("composefs", word, rawImage).split("\n")).toEqual(theirs.stdout.split("\n"));
    });
  }

  test.skipIf(fsckErofs === undefined)("fsck.erofs finds nothing wrong with the root image", () => {
    expect(run(String(fsckErofs), [rawImage])).toMatchObject({ status: 0 });
  });
});

/** The ids that the boot entries of a sysroot name; none where there is no sysroot yet. */
function rootImages(sysroot: string): ReadonlySet<string> {
  const directory = join(sysroot, "boot/loader/entries");
  let files: readonly string[] = [];
  try {
    files = readdirSync(directory);
  } catch {
    return new Set();
  }
  return new Set(
    files.flatMap((file) => {
      const options = readFileSync(join(directory, file), "utf8");
      return [...options.matchAll(/\bcomposefs=\??([0-9a-f]+)/g)].map(([, id]) => String(id));
    }),
  );
}

/**
 * What a boot root makes of an image's tree: the root directory has the metadata of /usr, /run has its time, /boot and
 * /sysroot are emptied and have its time too, and of all attributes only file capabilities stay (the image has no SELinux policy).
 */
function asBootRoot(entries: readonly SeenEntry[]): readonly SeenEntry[] {
  const usr = entries.find(({ path }) => path === "usr");
  if (usr === undefined) throw new Error("the image has no /usr");
  const isDropped = ({ path }: SeenEntry): boolean => /^(boot|run|sysroot)\//.test(path);
  return entries
    .filter((entry) => !isDropped(entry))
    .map((entry) => {
      const xattrs = entry.xattrs.filter((xattr) => xattr.startsWith("security.capability="));
      if (entry.path === "") return { ...usr, path: "", xattrs };
      const takesTime = ["boot", "run", "sysroot"].includes(entry.path);
      return { ...entry, xattrs, mtime: takesTime ? usr.mtime : entry.mtime };
    });
}
