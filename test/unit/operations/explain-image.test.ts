import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { explainText } from "../../../src/cli/output/explain-text.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { promisesOfManifest, sealingArtifactType } from "../../../src/core/trust/promised-digests.ts";
import { type ExplainImageRequest, explainImage } from "../../../src/operations/explain-image.ts";
import { explainPromise, MadeDigests } from "../../../src/operations/explain-promise.ts";
import { findImage } from "../../../src/operations/find-image.ts";
import { imageDigest } from "../../../src/operations/image-digest.ts";
import { ImageTrees } from "../../../src/operations/image-trees.ts";
import { pull } from "../../../src/operations/pull.ts";
import { status } from "../../../src/operations/status.ts";
import { switchImage } from "../../../src/operations/switch.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { type BuiltImage, buildImage } from "../../builders/oci-image.ts";
import { sha256 } from "../../builders/oci-layer.ts";
import {
  failureOf,
  layoutReference,
  linuxAmd64,
  machineWithRepo,
  namesInRepo,
  noLogin,
  pullTag,
  repoOfSysroot,
  sysrootPath,
  systemOn,
} from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";
import { FakeRegistry } from "../../fakes/fake-registry.ts";

const rawKey = "composefs.merged.erofs.v1.fsverity-sha512-12";
const bootKey = "composefs.merged.bootable.erofs.v1.fsverity-sha512-12";
const rawKey256 = rawKey.replace("sha512", "sha256");
const files = [
  { path: "boot/" },
  { path: "boot/kernel", content: "k" },
  { path: "sysroot/" },
  { path: "usr/" },
  { path: "usr/small", content: "a" },
  { path: "usr/large", content: "x".repeat(5000) },
];
const plain = await buildImage({ layers: [files] });
const ids = await idsOf(plain, "sha512");
const ids256 = await idsOf(plain, "sha256");

async function idsOf(image: BuiltImage, algorithm: "sha256" | "sha512") {
  const { rawImage, bootImage } = await pullTag(await machineWithRepo({ image }, { algorithm }), "image");
  return { raw: rawImage, boot: String(bootImage) };
}

async function explainPromises(annotations: Readonly<Record<string, string>>) {
  const image = await buildImage({ layers: [files], annotations });
  const linux = await machineWithRepo({ image });
  return { linux, result: await explain(linux, layoutReference("image")) };
}

const explain = (linux: FakeLinux, image: string, more: Partial<ExplainImageRequest> = {}) =>
  explainImage(systemOn(linux), {
    repo: repoOfSysroot,
    image,
    anew: false,
    expected: undefined,
    offered: { image: parseImageReference(image), platform: linuxAmd64, source: noLogin },
    ...more,
  });

describe("image explain", () => {
  test("promises that hold, of both algorithms, and of what osdeploy does not make", async () => {
    const { result, linux } = await explainPromises({
      [rawKey]: ids.raw,
      [bootKey]: ids.boot,
      [rawKey256]: ids256.raw,
      [rawKey.replace("v1", "v2")]: "0".repeat(128),
    });
    expect(result).toMatchObject({ rawImage: ids.raw, bootImage: ids.boot, bootRefusal: null });
    expect(result.promises.map(({ verdict, made }) => [verdict, made])).toEqual([
      ["holds", ids.raw],
      ["holds", ids.boot],
      ["holds", ids256.raw],
      ["not-compared", null],
    ]);
    // fetched, and nothing of it has a name
    expect(await failureOf(explain(linux, "nothing", { offered: undefined }))).toMatchObject({ code: "not-found" });
    expect(explainText(result)).toContain("osdeploy makes no such root image");
  });

  test("a promise for what boots that was computed from the other tree, another format or algorithm", async () => {
    const { result } = await explainPromises({ [bootKey]: ids.raw, [rawKey]: ids256.boot });
    const matches = result.promises.map(({ tried }) => tried.find((each) => each.matches));
    expect(result.promises.map(({ verdict }) => verdict)).toEqual(["broken", "broken"]);
    expect(matches).toMatchObject([
      { tree: "raw", formatVersion: 1, algorithm: "sha512" },
      { tree: "boot", formatVersion: 1, algorithm: "sha256" },
    ]);
    expect(explainText(result)).toContain(
      "The promise for the boot image was computed from the tree to look at, in format 1 with sha512\n",
    );
  });

  test("a promise that nothing fits", async () => {
    const { result } = await explainPromises({ [bootKey]: "0".repeat(128) });
    expect(result.promises[0]?.tried).toHaveLength(6);
    expect(result.promises[0]?.tried.some(({ matches }) => matches)).toBe(false);
    expect(explainText(result)).toContain("what was built is not what is here");
  });

  test("an image that cannot boot, and of which nothing is promised", async () => {
    const image = await buildImage({ layers: [[{ path: "usr/" }]] });
    const result = await explain(await machineWithRepo({ image }), layoutReference("image"));
    expect(result).toMatchObject({ bootImage: null, bootRefusal: expect.stringMatching(/no \/boot/), promises: [] });
    expect(explainText(result)).toMatch(
      /Boot image: none: Cannot boot this image: it has no \/boot. Add .*\n\nNothing is promised of this image\n$/,
    );
  });

  test("a stored image is taken from the repo, unless its source is to be asked", async () => {
    const image = await buildImage({ layers: [files], annotations: { [rawKey]: ids.raw } });
    const linux = await machineWithRepo({ image, plain });
    await pullTag(linux, "image");
    const before = namesInRepo(linux);
    expect(await explain(linux, layoutReference("image"), { offered: undefined })).toMatchObject({
      promises: [{ verdict: "holds" }],
    });
    const other = { image: parseImageReference(layoutReference("plain")), platform: linuxAmd64, source: noLogin };
    expect(await explain(linux, layoutReference("image"), { anew: true, offered: other })).toMatchObject({
      promises: [],
    });
    expect(namesInRepo(linux)).toEqual(before);
    const none = { anew: true, offered: undefined };
    expect(await failureOf(explain(linux, layoutReference("image"), none))).toMatchObject({ code: "usage" });
  });
});

test("image explain: a root image is made once, however many promises there are of it", async () => {
  const linux = await machineWithRepo({ plain });
  const { tag } = await pullTag(linux, "plain");
  const repo = openRepo(linux, repoOfSysroot, { access: "read", wait: true });
  try {
    const image = findImage(repo, tag);
    const asked: string[] = [];
    class SeenTrees extends ImageTrees {
      override tree(...choice: Parameters<ImageTrees["tree"]>) {
        asked.push(choice.join(" "));
        return super.tree(...choice);
      }
    }
    const digests = new MadeDigests(image, new SeenTrees(repo, image));
    const explained = ["0", "1", "2"].map((digit) => {
      const [promise] = promisesOfManifest(
        Buffer.from(JSON.stringify({ annotations: { [bootKey]: digit.repeat(128) } })),
      );
      return promise && explainPromise(promise, digests);
    });
    expect(explained.map((each) => each?.tried.length)).toEqual([6, 6, 6]);
    expect(explained[0]?.made).toBe(ids.boot);
    // of each tree two formats
    expect(asked.toSorted()).toEqual(
      ["boot", "boot", "merged", "merged", "raw", "raw"].map((name) => `${name} sha512`),
    );
  } finally {
    repo.close();
  }
});

describe("image explain --expected", () => {
  const expected = fromText("/expected");

  async function compare(content: string | Uint8Array) {
    const linux = await machineWithRepo({ plain });
    await pullTag(linux, "plain");
    linux.files.writeNewFile(expected, typeof content === "string" ? Buffer.from(content) : content, 0o644);
    const result = await explain(linux, layoutReference("plain"), { expected });
    return { first: result.expected, text: explainText(result) };
  }

  async function dumpOf(algorithm: "sha256" | "sha512", bootable: boolean): Promise<string> {
    const { dumpImage } = await import("../../../src/operations/dump-image.ts");
    const linux = await machineWithRepo({ plain }, { algorithm });
    await pullTag(linux, "plain");
    const { lines } = await dumpImage(systemOn(linux), {
      repo: repoOfSysroot,
      image: layoutReference("plain"),
      bootable,
    });
    return [...lines].join("");
  }

  test.each([
    ["sha512", true, "boot"],
    ["sha256", false, "raw"],
  ] as const)("a dump with %s digests that holds the same (bootable: %s)", async (algorithm, bootable, tree) => {
    const { first, text } = await compare(await dumpOf(algorithm, bootable));
    expect(first).toMatchObject({ kind: "dump", tree, differences: 0, first: null });
    expect(text).toMatch(/both hold the same\n$/);
  });

  test("a file that is neither root image nor dump is named", async () => {
    const linux = await machineWithRepo({ plain });
    await pullTag(linux, "plain");
    linux.files.writeNewFile(expected, Buffer.from("/ none\n"), 0o644);
    expect(await failureOf(explain(linux, layoutReference("plain"), { expected }))).toMatchObject({
      code: "bad-format",
      message: expect.stringMatching(/^Cannot read "\/expected": it is no root image, and no dump of one \(.+\)$/),
    });
  });

  test("the first entry that differs, with both lines", async () => {
    const dump = await dumpOf("sha512", true);
    const { first, text } = await compare(dump.replace(/^(\/usr\/small .*) 100644 /m, "$1 100600 "));
    expect(first).toMatchObject({
      tree: "boot",
      differences: 1,
      first: {
        path: "/usr/small",
        changes: ["permissions"],
        expected: expect.stringMatching(/^\/usr\/small 1 100600 /),
        made: expect.stringMatching(/^\/usr\/small 1 100644 /),
      },
    });
    expect(text).toMatch(/1 path differ\n {2}First difference: \/usr\/small \(permissions\)\n {2}- .*\n {2}\+ .*\n$/);
  });

  test("an entry that only one of both has, and one with other names of its own", async () => {
    const dump = await dumpOf("sha512", true);
    const gone = await compare(dump.replace(/^\/usr\/small .*\n/m, ""));
    expect(gone.first?.first).toMatchObject({ path: "/usr/small", expected: null, changes: [] });
    const more = await compare(`${dump}/usr/zlast 0 100644 1 0 0 0 0.0 - - -\n`);
    expect(more.first?.first).toMatchObject({ path: "/usr/zlast", made: null });
    const counted = await compare(dump.replace(/^(\/usr\/small \d+ \d+) 1 /m, "$1 2 "));
    expect(counted.first).toMatchObject({ differences: 1, first: { path: "/usr/small", changes: [] } });
  });

  test("a root image: what it measures to, and its format", async () => {
    const linux = await machineWithRepo({ plain });
    const { bootImage } = await pullTag(linux, "plain");
    const id = String(bootImage);
    const bytes = linux.files.readFile(fromText(`${repoOfSysroot}/objects/${id.slice(0, 2)}/${id.slice(2)}`), 1e6);
    expect((await compare(bytes)).first).toMatchObject({
      kind: "root-image",
      formatVersion: 1,
      rootImage: bootImage,
      tree: "boot",
      differences: 0,
    });
  });
});

describe("artifacts that promise root images", () => {
  let registry: FakeRegistry;
  let os: BuiltImage;
  beforeEach(async () => {
    registry = await FakeRegistry.start();
    os = await buildOsImage("v1");
    registry.add(os, "v1");
  });
  afterEach(() => registry.stop());

  const manifestType = "application/vnd.oci.image.manifest.v1+json";
  const request = () => ({
    image: parseImageReference(`docker://${registry.host}/os:v1`),
    platform: linuxAmd64,
    source: noLogin,
  });

  /** Puts an artifact with these promises beside the image, as tools do where a registry has no API for it. */
  function promise(annotations: object, listedAs: string | undefined = sealingArtifactType): string {
    const layer = {
      mediaType: "application/vnd.composefs.signature.v1+pkcs7",
      digest: sha256(Buffer.from("s")),
      size: 1,
    };
    const artifact = {
      schemaVersion: 2,
      mediaType: manifestType,
      artifactType: sealingArtifactType,
      config: { mediaType: "application/vnd.oci.empty.v1+json", digest: sha256(Buffer.from("{}")), size: 2 },
      layers: [{ ...layer, annotations }],
      subject: { mediaType: manifestType, digest: os.manifestDigest, size: 1 },
    };
    const bytes = Buffer.from(JSON.stringify(artifact));
    const digest = registry.addBytes(bytes, { type: manifestType });
    const listed = { mediaType: manifestType, digest, size: bytes.length, artifactType: listedAs };
    const type = "application/vnd.oci.image.index.v1+json";
    const index = { schemaVersion: 2, mediaType: type, manifests: [listed] };
    registry.addBytes(Buffer.from(JSON.stringify(index)), { type, tag: os.manifestDigest.replace(":", "-") });
    return digest;
  }

  async function bootImage(): Promise<string> {
    const linux = await machineWithRepo({ os });
    return (
      await imageDigest(systemOn(linux), {
        repo: repoOfSysroot,
        image: (await pullTag(linux, "os")).tag,
        bootable: true,
      })
    ).rootImage;
  }

  test.each([sealingArtifactType, undefined])("status tells what held (listed as %s)", async (listedAs) => {
    const artifact = promise({ [bootKey]: await bootImage() }, listedAs);
    const linux = await machineWithRepo({});
    const system = systemOn(linux);
    await switchImage(system, { ...request(), sysroot: sysrootPath, kernelArguments: [] });
    const { deployments } = await status(system, { sysroot: sysrootPath });
    expect(deployments).toMatchObject([{ sealedBy: [`annotation ${bootKey} of artifact ${artifact}`] }]);
  });

  test("one that is broken refuses, leaves nothing, and is explained", async () => {
    promise({ [bootKey]: "0".repeat(128) });
    const linux = await machineWithRepo({});
    const system = systemOn(linux);
    const before = namesInRepo(linux);
    const wanted = { ...request(), sysroot: sysrootPath, kernelArguments: [] };
    expect(await failureOf(switchImage(system, wanted))).toMatchObject({
      code: "digest-mismatch",
      facts: { hint: "See what differs with: osdeploy image explain --from-source IMAGE" },
    });
    expect(namesInRepo(linux)).toEqual(before);
    expect((await status(system, { sysroot: sysrootPath })).deployments).toEqual([]);
    const image = `docker://${registry.host}/os:v1`;
    expect(await explain(linux, image)).toMatchObject({ promises: [{ subject: "boot", verdict: "broken" }] });
  });

  test("what is listed as something else is not fetched", async () => {
    const artifact = promise({ [bootKey]: "0".repeat(128) }, "application/x");
    const pulling = pull(systemOn(await machineWithRepo({})), { ...request(), repo: repoOfSysroot, bootable: true });
    expect((await pulling).sealedBy).toEqual([]);
    expect(registry.requests.filter(({ path }) => path.includes(artifact))).toEqual([]);
  });

  test("one that is unreadable and not called an artifact of seals does not stop a pull, and promises are counted", async () => {
    promise({ [bootKey]: await bootImage() });
    const twice = registry.addBytes(Buffer.from('{"a":1,"a":2}'), { type: manifestType });
    const type = "application/vnd.oci.image.index.v1+json";
    const listed = {
      mediaType: manifestType,
      digest: twice,
      size: 13,
      artifactType: "application/vnd.oci.empty.v1+json",
    };
    const index = { schemaVersion: 2, mediaType: type, manifests: [listed] };
    registry.addBytes(Buffer.from(JSON.stringify(index)), { type, tag: os.manifestDigest.replace(":", "-") });
    const pulling = async () =>
      pull(systemOn(await machineWithRepo({})), { ...request(), repo: repoOfSysroot, bootable: true });
    expect((await pulling()).sealedBy).toEqual([]);
    const many = Array.from({ length: 65 }, (_, version) => [bootKey.replace("v1", `v${version + 2}`), "0"]);
    promise(Object.fromEntries(many));
    expect(await failureOf(pulling())).toMatchObject({ code: "limit-exceeded" });
  });

  test("a registry that does not answer the question has no answer", async () => {
    promise({ [bootKey]: "0".repeat(128) });
    registry.faults.push({ path: /referrers/, status: 405 });
    const pulling = pull(systemOn(await machineWithRepo({})), { ...request(), repo: repoOfSysroot, bootable: true });
    expect((await pulling).sealedBy).toEqual([]);
  });

  test("more artifacts than anybody writes are refused", async () => {
    const digests = Array.from({ length: 17 }, (_, number) => promise({ [bootKey]: String(number) }));
    const listed = digests.map((digest) => ({ mediaType: manifestType, digest, size: 1 }));
    const type = "application/vnd.oci.image.index.v1+json";
    const index = { schemaVersion: 2, mediaType: type, manifests: listed };
    registry.addBytes(Buffer.from(JSON.stringify(index)), { type, tag: os.manifestDigest.replace(":", "-") });
    const pulling = pull(systemOn(await machineWithRepo({})), { ...request(), repo: repoOfSysroot, bootable: true });
    expect(await failureOf(pulling)).toMatchObject({ code: "limit-exceeded" });
  });
});
