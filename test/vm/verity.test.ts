import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { verityDigest } from "../../src/core/digest/fs-verity.ts";
import { bigDigests, buildGuestImages, v1Digests, victims } from "./guest-images.ts";
import { makeDataDisk, makeGuestRoot } from "./guest-root.ts";
import { boot, type Machine, type Steps } from "./machine.ts";
import { vmPlace } from "./os-disk.ts";
import { findTrixie } from "./trixie.ts";

const trixie = findTrixie();
/** Kept after the tests: the consoles tell what happened. */
const place = join(vmPlace, "verity");
const rootDisk = join(place, "root.img");

/** A machine with an empty data disk of its own. */
function newMachine(name: string): Machine {
  if (trixie === undefined) throw new Error("tests that need the machine are skipped without its tools");
  const dataDisk = join(place, `${name}.img`);
  makeDataDisk(trixie, dataDisk);
  return { trixie, rootDisk, dataDisk, logs: place };
}

/** The objects of the files that are damaged. */
const ids = {
  data: verityDigest("sha512", victims.data.content),
  tree: verityDigest("sha512", victims.tree.content),
  digest: verityDigest("sha512", victims.digest.content),
  descriptor: verityDigest("sha512", victims.descriptor.content),
  seal: verityDigest("sha512", victims.seal.content),
} as const;

/** What `fsverity measure` printed of objects: the names that the kernel measures, and those that the files have. */
function measured(lines: readonly string[]): {
  readonly byKernel: readonly string[];
  readonly byName: readonly string[];
} {
  const found = lines.map((line) => /^sha\d+:([0-9a-f]+) .*\/objects\/([0-9a-f]{2})\/([0-9a-f]+)$/.exec(line) ?? []);
  return {
    byKernel: found.map(([, digest]) => `${digest}`),
    byName: found.map(([, , head, rest]) => `${head}${rest}`),
  };
}

interface Fsck {
  readonly ok: boolean;
  readonly objects: number;
  readonly problems: readonly {
    readonly kind: string;
    readonly severity: string;
    readonly object: string | null;
    readonly hits: readonly string[];
  }[];
}

/** What `repo fsck --json` printed, with the exit status that belongs to it. */
function fsck(steps: Steps, name: string): Fsck {
  const report = steps.json(name) as Fsck;
  expect(steps.get(name).status, name).toBe(report.ok ? 0 : 8);
  return report;
}

/** Checks that a mount is verified by the kernel, and that its files are those of the image. */
function expectVerifiedMount(steps: Steps, name: string, digests: readonly string[]): void {
  expect(steps.json(`${name}: mount`)).toMatchObject({ verity: true });
  expect(steps.output(`${name}: mounts`)).toMatch(/^composefs:[0-9a-f]+ \/mnt overlay ro,.*,verity=require/);
  expect([...steps.lines(`${name}: contents`)].sort()).toEqual(digests);
}

describe.skipIf(trixie === undefined)("a kernel with fs-verity (skipped without what test/vm/setup.sh gets)", () => {
  beforeAll(async () => {
    if (trixie === undefined) return;
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
    const images = await buildGuestImages();
    const objects = Object.entries(ids).map(([name, id]) => [name.toUpperCase(), id] as const);
    makeGuestRoot(trixie, rootDisk, {
      images: Object.entries(images).map(([tag, image]) => ({ tag, image })),
      variables: { ...Object.fromEntries(objects), V1_LAYER: images.v1.layers[0]?.diffId ?? "" },
    });
  });

  describe("everyday work", () => {
    let steps: Steps;
    beforeAll(async () => {
      steps = await boot(newMachine("seal"), "seal");
    });

    describe.each(["sha512", "sha256"])("%s", (algorithm) => {
      test("repo init: makes a secure repo, whose meta.json is sealed", () => {
        expect(steps.json(`${algorithm}: init`)).toMatchObject({ algorithm, secure: true, created: true });
        const digest = steps.output(`${algorithm}: meta, its content's digest`);
        expect(digest).toMatch(new RegExp(`^${algorithm}:[0-9a-f]+ `));
        expect(steps.output(`${algorithm}: meta, the kernel's digest`)).toBe(digest);
      });

      test("pull: every object is sealed, and the kernel measures it to its name", () => {
        const { byKernel, byName } = measured(steps.lines(`${algorithm}: measure objects`));
        expect(byKernel).toEqual(byName);
        expect(steps.json(`${algorithm}: pull`)).toMatchObject({ addedObjects: byName.length, repaired: [] });
        expect(byName.length).toBeGreaterThan(150);
        expect(fsck(steps, `${algorithm}: fsck`)).toMatchObject({ ok: true, objects: byName.length, problems: [] });
      });

      test("an object: nobody can write to it, not even root", () => {
        for (const how of ["append to", "overwrite"]) {
          const { status, stderr } = steps.get(`${algorithm}: ${how} an object`);
          expect(status).not.toBe(0);
          expect(stderr).toContain("Operation not permitted");
        }
      });

      test("image mount: the kernel verifies what it reads, and that is what the image holds", () => {
        expectVerifiedMount(steps, algorithm, v1Digests());
      });
    });

    test("pull: knows what it has pulled before", () => {
      const known = [{ known: true }, { known: true }];
      expect(steps.json("pull again")).toMatchObject({ layers: known, addedObjects: 0, repaired: [] });
      expect(steps.json("pull v2")).toMatchObject({ layers: [{ known: true }, { known: false }], repaired: [] });
    });

    test("repo gc: removes sealed objects, and only those that nothing needs", () => {
      const { objects, keptObjects } = steps.json("gc") as { objects: unknown[]; keptObjects: number };
      expect(steps.get("gc").status).toBe(0);
      // kernel, initramfs, motd, two root images, manifest, config, a layer, and the config's own stream
      expect(objects.length).toBeGreaterThan(7);
      expect(fsck(steps, "fsck after gc")).toMatchObject({ ok: true, objects: keptObjects, problems: [] });
    });

    test("switch: makes a secure sysroot, whose boot entries demand a verified root", () => {
      for (const [index, tag] of ["v1", "v2"].entries()) {
        const { rootImage } = steps.json(`switch to ${tag}`) as { rootImage: string };
        const entry = `osdeploy-00000${index + 1}.conf`;
        const [options = ""] = steps.lines(`entry ${entry}`).filter((line) => line.startsWith("options "));
        expect(options.split(" ")).toEqual(expect.arrayContaining(["rw", `composefs=${rootImage}`]));
        expect(steps.output(`root image of ${entry}`)).toContain(`sha512:${rootImage} `);
        expect(steps.get(`switch to ${tag}`).stderr).not.toContain("insecure");
      }
      expect(fsck(steps, "fsck after switch")).toMatchObject({ ok: true, problems: [] });
    });

    test("an insecure repo: works beside, and nothing in it is sealed or verified", () => {
      expect(steps.json("insecure: init")).toMatchObject({ secure: false, created: true });
      expect(steps.json("insecure: pull")).toMatchObject({ repaired: [] });
      expect(steps.get("insecure: measure objects").stdout).not.toMatch(/^sha/m);
      expect(steps.get("insecure: measure objects").stderr).toContain("No data available");
      expect(steps.json("insecure: mount")).toMatchObject({ verity: false });
      expect(steps.output("insecure: mounts")).not.toContain("verity=");
      expect([...steps.lines("insecure: contents")].sort()).toEqual(v1Digests());
    });
  });

  describe("bytes that change on the disk", () => {
    let steps: Steps;
    beforeAll(async () => {
      steps = await boot(newMachine("damage"), "damage");
    });

    test("image mount: damaged files cannot be read, all others can", () => {
      expect(steps.json("mount")).toMatchObject({ verity: true });
      expect(steps.get("read data, first page").status).toBe(0);
      for (const victim of Object.keys(ids)) {
        expect(steps.get(`read ${victim}`)).toMatchObject({ status: 1, stdout: "" });
        expect(steps.get(`read ${victim}`).stderr).toContain("Input/output error");
      }
      const others = v1Digests().filter((line) => !line.includes("/victim-"));
      expect([...steps.lines("read the rest")].sort()).toEqual(others);
    });

    test("image cat: fails where the kernel does not give the bytes", () => {
      expect(steps.get("cat").status).toBe(8);
      expect(steps.get("cat").stderr).toContain(
        `Cannot use object ${ids.data}: it is sealed, and the kernel refuses to read it`,
      );
    });

    test("repo fsck: names every damaged object, and the images that it hits", () => {
      const found = fsck(steps, "fsck").problems;
      const kinds = Object.fromEntries(found.map(({ object, kind }) => [object, kind]));
      expect(kinds).toEqual({
        [ids.data]: "object-unreadable",
        [ids.tree]: "object-unreadable",
        [ids.digest]: "object-damaged",
        [ids.descriptor]: "object-unreadable",
        [ids.seal]: "object-unsealed",
      });
      for (const { hits } of found) expect(hits).toContain("oci:/images:v1");
    });

    test("repo gc: keeps damaged files of images, because it need not read them", () => {
      expect(steps.get("gc").status).toBe(0);
      expect(steps.json("gc")).toMatchObject({ objects: [], links: [] });
    });

    test("pull: replaces damaged objects by the good ones that arrive", () => {
      const { repaired } = steps.json("pull squashed") as { repaired: string[] };
      expect([...repaired].sort()).toEqual(Object.values(ids).sort());
      expect(fsck(steps, "fsck, mended")).toMatchObject({ ok: true, problems: [] });
      expectVerifiedMount(steps, "mended", v1Digests());
    });

    test("image mount: a damaged root image is refused, or not readable where it is damaged", () => {
      const refused = steps.get("mount with bad superblock");
      expect(refused.status).toBe(8);
      expect(refused.stderr).toContain(`Cannot use object ${rootImages().boot}: it is sealed`);
      expect(steps.json("mount with bad directory")).toMatchObject({ verity: true });
      expect(steps.get("read with bad directory").stderr).toContain("Input/output error");
    });

    test("repo fsck: names damaged root images and streams; repo gc: stops at them and removes nothing", () => {
      const { boot: bootImage, raw } = rootImages();
      const { problems } = fsck(steps, "fsck of images");
      const damaged = problems.filter(({ kind }) => kind === "object-unreadable").map(({ object }) => object);
      expect(damaged).toEqual(expect.arrayContaining([bootImage, raw]));
      expect(damaged).toHaveLength(3);
      expect(problems.map(({ kind }) => kind)).toEqual(
        expect.arrayContaining(["image-unreadable", "stream-unreadable"]),
      );
      expect(steps.get("gc of images")).toMatchObject({ status: 8, stdout: "" });
    });

    test("pull: mends root images that it makes again; gone without their tag, layers come anew", () => {
      const { boot: bootImage, raw } = rootImages();
      const { repaired } = steps.json("pull parted") as { repaired: string[] };
      expect([...repaired].sort()).toEqual([bootImage, raw].sort());
      const left = fsck(steps, "fsck after parted").problems;
      expect(new Set(left.map(({ object }) => object)).size).toBe(1);
      expect(steps.get("gc without v1").status).toBe(0);
      expect(steps.get("pull v1").status).toBe(0);
      expect(fsck(steps, "fsck after v1")).toMatchObject({ ok: true, problems: [] });
    });

    test("pull --repair: brings again what is damaged of an image that is there", () => {
      expect(steps.json("pull without repair")).toMatchObject({ repaired: [] });
      const { repaired } = steps.json("repair") as { repaired: string[] };
      expect([...repaired].sort()).toEqual(Object.values(ids).sort());
      expect(fsck(steps, "fsck after repair")).toMatchObject({ ok: true, problems: [] });
    });

    test("a damaged meta.json: the repo is refused by its name", () => {
      for (const name of ["fsck with bad meta", "pull with bad meta"]) {
        expect(steps.get(name)).toMatchObject({ status: 16, stdout: "" });
        expect(steps.get(name).stderr).toContain("/data/repo/meta.json");
      }
    });

    function rootImages(): { readonly boot: string; readonly raw: string } {
      const { bootImage, rawImage } = steps.json("pull") as { bootImage: string; rawImage: string };
      expect(bootImage).not.toBe(rawImage);
      return { boot: bootImage, raw: rawImage };
    }
  });

  describe("power cuts in the middle of a pull", () => {
    const cuts = ["cut-staging", "cut-sealing", "cut-naming"] as const;
    const boots: Steps[] = [];
    let machine: Machine;
    let after: Steps;
    beforeAll(async () => {
      machine = newMachine("cuts");
      for (const cut of cuts) boots.push(await boot(machine, cut));
      after = await boot(machine, "after-cuts");
    });

    test("each came while the pull ran", () => {
      const [staging, sealing, naming] = boots.map((steps) => steps.output("how far"));
      for (const seen of [staging, sealing]) expect(seen).toMatch(/^ *\d+ staging\n$/);
      expect(naming).toMatch(/ objects\n/);
    });

    test("repo fsck: finds nothing wrong after each, only what the stopped pull left", () => {
      for (const steps of [...boots, after]) {
        const { ok, problems } = fsck(steps, "fsck before");
        expect(ok).toBe(true);
        expect(problems.filter(({ kind }) => kind !== "leftover")).toEqual([]);
      }
      expect(fsck(after, "fsck before").objects).toBeGreaterThan(0);
    });

    test("pull: succeeds afterwards, and all is sealed, right, and without leftovers", () => {
      expect(after.json("pull")).toMatchObject({ repaired: [] });
      expect(fsck(after, "fsck")).toMatchObject({ ok: true, problems: [] });
      const { byKernel, byName } = measured(after.lines("measure objects"));
      expect(byKernel).toEqual(byName);
      expect(fsck(after, "fsck").objects).toBe(byName.length);
      expectVerifiedMount(after, "after", bigDigests());
    });

    test("the file system: e2fsck finds nothing wrong", () => {
      expect(machine.trixie.run("usr/sbin/e2fsck", "-fn", machine.dataDisk)).toMatchObject({ status: 0 });
    });
  });
});
