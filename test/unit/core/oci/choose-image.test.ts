import { describe, expect, test } from "vitest";
import {
  chooseForPlatform,
  chooseInLayout,
  chooseTheImage,
  nothingForPlatform,
} from "../../../../src/core/oci/choose-image.ts";
import { parseIndex } from "../../../../src/core/oci/image-index.ts";
import { parseDocument } from "../../../../src/core/oci/json.ts";
import { parsePlatform } from "../../../../src/core/oci/platform.ts";
import { type ImageChoice, type LayoutReference, parseImageReference } from "../../../../src/core/oci/reference.ts";

const manifestType = "application/vnd.oci.image.manifest.v1+json";
const indexType = "application/vnd.oci.image.index.v1+json";
const amd64 = parsePlatform("linux/amd64");

/** An index of entries whose digests are all of one letter, so that tests can name them by it. */
function index(...entries: readonly object[]) {
  const manifests = entries.map((entry, at) => {
    const letter = "abcdef"[at] ?? "0";
    return { mediaType: manifestType, digest: `sha256:${letter.repeat(64)}`, size: 1, ...entry };
  });
  const bytes = new TextEncoder().encode(JSON.stringify({ schemaVersion: 2, manifests }));
  return parseIndex(parseDocument(bytes, "index i"));
}

const on = (architecture: string, variant?: string) => ({ platform: { os: "linux", architecture, variant } });
const tagged = (tag: string) => ({ annotations: { "org.opencontainers.image.ref.name": tag } });
const letters = (entries: readonly { readonly digest: string }[]) => entries.map((entry) => entry.digest[7]).join("");
const same = (letter: string) => ({ digest: `sha256:${letter.repeat(64)}` });
const named = (name: string) => ({ annotations: { "io.containerd.image.name": name } });
const unknown = { platform: { os: "unknown", architecture: "unknown" } };
const zstd = (value = "true") => ({ annotations: { "io.github.containers.compression.zstd": value } });
const attestation = { annotations: { "vnd.docker.reference.type": "attestation-manifest" } };
const referrer = { artifactType: "application/x-signature" };

describe("chooseForPlatform", () => {
  const choose = (...entries: readonly object[]) => letters(chooseForPlatform(index(...entries).entries, amd64));

  test.each([
    ["the one for the platform", [on("arm64"), on("amd64"), on("s390x")], "b"],
    ["the first of equals", [on("amd64"), on("amd64")], "a"],
    ["zstd before gzip", [on("amd64"), { ...on("amd64"), ...zstd() }, { ...on("amd64"), ...zstd() }], "b"],
    ["zstd only where the annotation says true", [on("amd64"), { ...on("amd64"), ...zstd("false") }], "a"],
    ["the better platform before zstd", [{ ...on("amd64", "v3"), ...zstd() }, on("amd64")], "b"],
    ["the plain one before a variant", [on("amd64", "v3"), on("amd64")], "b"],
    ["a variant, where there is nothing else", [on("arm64"), on("amd64", "v4")], "b"],
    ["the lowest of several variants", [on("amd64", "v4"), on("amd64", "v2"), on("amd64", "v3")], "b"],
    ["a manifest before an index", [{ mediaType: indexType }, on("amd64")], "b"],
    ["all indexes, where no manifest fits", [on("arm64"), { mediaType: indexType }, { mediaType: indexType }], "bc"],
    ["the only one without a platform", [on("arm64"), {}], "b"],
    ["the only one with a platform of empty texts", [on("arm64"), { platform: { os: "", architecture: "" } }], "b"],
    ["none of several without a platform", [{}, {}], ""],
    ["none for the platform", [on("arm64"), on("s390x")], ""],
    ["no attestation", [{ ...on("amd64"), ...attestation }, unknown, {}], "c"],
    ["no artifact", [{ ...on("amd64"), ...referrer }], ""],
    ["nothing of an unknown type", [{ ...on("amd64"), mediaType: "text/plain" }], ""],
    [
      "an image that calls its config type its artifact type",
      [{ ...on("amd64"), artifactType: "application/vnd.oci.image.config.v1+json" }],
      "a",
    ],
  ])("takes %s", (_, entries, expected) => {
    expect(choose(...entries)).toBe(expected);
  });

  test("nothingForPlatform: lists what there is, each once, without attachments", () => {
    const { entries } = index(on("arm64"), on("arm64"), on("arm"), unknown, {});
    expect(nothingForPlatform(entries, amd64, "os").message).toBe(
      'Cannot use os: it has no image for linux/amd64; it has "linux/arm64", "linux/arm/v7"',
    );
    expect(nothingForPlatform([], amd64, "os").message).toBe("Cannot use os: it has no image for linux/amd64");
  });

  test("nothingForPlatform: counts images that name no platform, where one alone would have been taken", () => {
    const message = (...entries: readonly object[]) =>
      nothingForPlatform(index(...entries).entries, amd64, "os").message;
    expect(message({}, {}, attestation)).toBe(
      "Cannot use os: it has no image for linux/amd64; it has 2 that name no platform: one of them can be had by its digest",
    );
    expect(message(on("arm64"), {}, {})).toContain('it has "linux/arm64", and 2 that name no platform');
  });

  test("nothingForPlatform: lists at most twenty, each on one line and cut", () => {
    const { entries } = index(...Array.from({ length: 30 }, (_, at) => on(`a\n${at}${"x".repeat(100)}`)));
    const { message } = nothingForPlatform(entries, amd64, "os");
    expect(message).toMatch(/ and more$/);
    expect(message).not.toContain("\n");
    expect(message.length).toBeLessThan(2200);
  });
});

describe("chooseInLayout", () => {
  const choiceOf = (text: string): ImageChoice => (parseImageReference(`oci:os${text}`) as LayoutReference).choice;
  const choose = (text: string, ...entries: readonly object[]) =>
    letters(chooseInLayout(index(...entries), choiceOf(text), "oci:os"));

  test.each([
    ["the only image", "", [{}], "a"],
    ["the only image, tagged or not", "", [tagged("x")], "a"],
    [
      "the only image, however many tags it has",
      "",
      [
        { ...tagged("x"), ...same("d") },
        { ...tagged("y"), ...same("d") },
      ],
      "d",
    ],
    ["the tagged one, beside what is attached to it", "", [tagged("x"), {}, { ...tagged("sig"), ...referrer }], "a"],
    ["the tagged one, beside what had its tag before", "", [on("amd64"), { ...on("amd64"), ...tagged("x") }], "b"],
    ["all platforms of the only image", "", [on("amd64"), on("arm64"), attestation], "ab"],
    [
      "all platforms of one tag",
      "",
      [
        { ...on("amd64"), ...tagged("x") },
        { ...on("arm64"), ...tagged("x") },
      ],
      "ab",
    ],
    ["the tag", ":two", [tagged("one"), tagged("two"), tagged("three")], "b"],
    ["the position", ":@2", [tagged("one"), tagged("two"), tagged("three")], "c"],
    ["the digest", `@sha256:${"b".repeat(64)}`, [tagged("one"), tagged("one")], "b"],
    ["the digest that has two tags once", `@sha256:${"c".repeat(64)}`, [tagged("one"), same("c"), same("c")], "c"],
    ["the digest, whatever the tag", `:one@sha256:${"b".repeat(64)}`, [tagged("one"), tagged("two")], "b"],
  ])("takes %s", (_, text, entries, expected) => {
    expect(choose(text, ...entries)).toBe(expected);
  });

  test("refuses to choose among several tags, and lists them", () => {
    expect(() => choose("", tagged("one"), tagged("two"))).toThrow(expect.objectContaining({ code: "usage" }));
    expect(() => choose("", tagged("one"), tagged("two"))).toThrow(
      'Cannot choose an image in oci:os: it holds several; write one of the tags after it: "one", "two"',
    );
  });

  test.each([
    [":three", [tagged("one"), tagged("two")], 'Cannot find tag three in oci:os; it has the tags "one", "two"'],
    [":x", [{}], "Cannot find tag x in oci:os"],
    [":@1", [tagged("one")], 'Cannot find image @1 in oci:os; it has the tags "one"'],
    [`@sha256:${"f".repeat(64)}`, [{}], `Cannot find sha256:${"f".repeat(64)} in oci:os`],
    ["", [], "Cannot find image in oci:os"],
    [
      "",
      [attestation, referrer],
      `Cannot find image in oci:os: all it holds says that it is none; write a digest behind its path to take it nevertheless: @sha256:${"a".repeat(64)}`,
    ],
  ])("refuses %j where it is not", (text, entries, message) => {
    expect(() => choose(text, ...entries)).toThrow(message);
  });

  test("an index may have at most 1000 entries", () => {
    expect(() => index(...Array(1001).fill({}))).toThrow("manifests has more than 1000 members");
  });
});

describe("chooseTheImage", () => {
  const choose = (...entries: readonly object[]) => letters(chooseTheImage(index(...entries).entries, amd64, "oci:os"));

  test.each([
    ["what was named, whatever it is", [{ ...on("s390x"), ...attestation }], "a"],
    ["the one for the platform", [on("arm64"), on("amd64")], "b"],
    ["the one for the platform, beside what says nothing", [{}, on("amd64")], "b"],
    ["zstd of one image in two compressions", [on("amd64"), { ...on("amd64"), ...zstd() }], "b"],
    ["an image that stands there twice", [same("c"), same("c")], "c"],
    [
      "an image for a platform that stands there twice",
      [on("arm64"), ...Array(2).fill({ ...on("amd64"), ...same("c") })],
      "c",
    ],
    ["the index", [on("arm64"), { mediaType: indexType }, {}], "b"],
    ["nothing, where nothing is for the platform", [on("arm64"), on("s390x")], ""],
  ])("takes %s", (_, entries, expected) => {
    expect(choose(...entries)).toBe(expected);
  });

  test.each([
    ["images for the platform", [on("amd64"), on("amd64")]],
    ["images that say nothing", [{}, {}]],
    ["indexes", [{ mediaType: indexType }, { mediaType: indexType }]],
    ["an image and an index", [on("amd64"), { mediaType: indexType }]],
  ])("refuses two different %s: which of them was copied in first says nothing", (_, entries) => {
    expect(() => choose(...entries)).toThrow(expect.objectContaining({ code: "usage" }));
  });

  test("says by which digests, and by docker's names where there are any", () => {
    const entries = [on("arm64"), { ...on("amd64"), ...named("docker.io/library/a:latest") }, on("amd64")];
    expect(() => choose(...entries)).toThrow(
      `Cannot choose an image in oci:os: it holds several for linux/amd64; write the digest of one behind its path: ` +
        `@sha256:${"b".repeat(64)} ("docker.io/library/a:latest"), @sha256:${"c".repeat(64)}`,
    );
  });
});
