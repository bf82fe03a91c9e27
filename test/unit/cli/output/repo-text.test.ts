import { describe, expect, test } from "vitest";
import {
  checkRepoText,
  collectGarbageText,
  collectGarbageValue,
  initRepoText,
  repoInfoText,
} from "../../../../src/cli/output/repo-text.ts";
import { fromBytes, fromText } from "../../../../src/core/bytes/byte-string.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";

const object = parseObjectId("ab".repeat(32), "sha256");

test("initRepoText: a secure repo is called one", () => {
  expect(initRepoText({ path: "/r", algorithm: "sha256", secure: true, created: true })).toBe(
    "Made a sha256 repo with fs-verity at /r\n",
  );
});

test("checkRepoText: each problem has its kind and who is hit, and notes are not counted as errors", () => {
  const problems = [
    {
      kind: "object-damaged",
      severity: "error",
      path: "objects/ab",
      object,
      message: "its 3 bytes measure to ac",
      hits: ["os:1", "images/cd"],
      files: ["/usr/bin/sh"],
    },
    {
      kind: "leftover",
      severity: "note",
      path: "staging/x",
      object: null,
      message: "a run that stopped left it",
      hits: [],
      files: [],
    },
  ] as const;
  const report = { ok: false, objects: 2, objectBytes: 3000, streams: 1, images: 1, problems };
  expect(checkRepoText(report, { metadataOnly: false })).toBe(
    "error: objects/ab: its 3 bytes measure to ac [object-damaged]\n    is the content of /usr/bin/sh\n    hits os:1\n    hits images/cd\n" +
      "note: staging/x: a run that stopped left it [leftover]\n" +
      "Checked 2 objects (3.0 kB), 1 stream, 1 root image: 1 error\n" +
      "To bring again what is damaged: osdeploy pull --repair IMAGE\n",
  );
});

test("checkRepoText: a check of the metadata does not say that objects were checked", () => {
  const report = { ok: true, objects: 2, objectBytes: 3000, streams: 1, images: 1, problems: [] };
  expect(checkRepoText(report, { metadataOnly: true })).toBe(
    "Checked 1 stream, 1 root image; 2 objects (3.0 kB) not read: all is well\n",
  );
});

describe("collectGarbage", () => {
  const result = {
    danglingReferences: [fromText("streams/refs/oci/gone")],
    links: [fromText("streams/a")],
    objects: [{ id: object, sizeBytes: 100 }],
    leftovers: [],
    objectBytes: 100,
    keptObjects: 3,
    strays: [fromBytes(Uint8Array.of(0x78, 0xff))],
    missingImages: [],
    dryRun: true,
  };

  test("collectGarbageText: what would go, what is left alone, and with verbose every name", () => {
    const sum =
      "Left alone: x\\xff does not belong to a repo\nWould remove 1 object (100 B), 2 names and 0 leftovers; 3 objects kept\n";
    expect(collectGarbageText(result, {})).toBe(sum);
    expect(collectGarbageText(result, { verbose: true })).toBe(
      `streams/refs/oci/gone\nstreams/a\n${object} 100\n${sum}`,
    );
    expect(collectGarbageText({ ...result, dryRun: false }, {})).toContain("\nRemoved 1 object");
  });

  test("collectGarbageValue: paths are text", () => {
    expect(collectGarbageValue(result)).toMatchObject({ strays: ["x\\xff"], links: ["streams/a"] });
  });
});

test("repoInfoText: a secure repo says who checks", () => {
  const counts = { erofsFormat: 1, tags: 1, rootImages: 2, streams: 3, objects: 4, objectBytes: 5000 };
  expect(repoInfoText({ path: "/r", algorithm: "sha512", secure: true, ...counts })).toContain(
    "Security:    fs-verity: the kernel checks what is read\nRoot images: 2, of format 1\n",
  );
});
