import { describe, expect, test } from "vitest";
import { rollbackText, switchText, switchValue } from "../../../../src/cli/output/deployment-text.ts";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";
import { parseConfigDigest, parseManifestDigest } from "../../../../src/core/digest/oci-digest.ts";
import type { SwitchResult } from "../../../../src/operations/switch.ts";

const rootImage = parseObjectId("ab".repeat(32), "sha256");
const digest = `sha256:${"cd".repeat(32)}`;

describe("switchText", () => {
  const result: SwitchResult = {
    kind: "deployed",
    image: "docker://quay.io/os:1",
    rootImage,
    bootEntry: "osdeploy-000001.conf",
    kernel: "6.1.0",
    etcConflicts: [{ path: fromText("/hosts\n"), reason: "both-changed" }],
    pulled: {
      manifestDigest: parseManifestDigest(digest),
      configDigest: parseConfigDigest(digest),
      rawImage: rootImage,
      bootImage: rootImage,
      layers: [],
      addedObjects: 1,
      addedBytes: 1000,
      repaired: [],
      sealedBy: [],
    },
  };

  test("switchText: names the files in /etc that host and image both changed", () => {
    expect(switchText(result)).toContain("\n  Kept in /etc: /hosts\\x0a (the image changed them too)\n");
  });

  test("switchText: names clashes apart, where nothing else was kept", () => {
    const clash = { ...result, etcConflicts: [{ path: fromText("local"), reason: "type-changed" as const }] };
    expect(switchText(clash)).toContain(
      "\n  Clash in /etc: local (file here, directory in the image, or the other way round; kept as here)\n",
    );
    expect(switchText(clash)).not.toContain("Kept in /etc");
  });

  test("switchValue: paths are text", () => {
    expect(switchValue(result)).toMatchObject({ etcConflicts: [{ path: "/hosts\\x0a", reason: "both-changed" }] });
  });
});

test("rollbackText: names what boots next by what is known of it", () => {
  const names = { image: null, manifestDigest: null, version: null };
  const unknown = { kind: "queued", ...names, bootEntry: "x", quarantined: null, droppedStaged: false } as const;
  expect(rollbackText({ ...unknown, rootImage })).toBe(`${rootImage} boots next\n`);
  expect(rollbackText({ ...unknown, rootImage: null })).toBe("nothing boots next\n");
  const known = { ...unknown, image: "os", version: "41", manifestDigest: parseManifestDigest(digest), rootImage };
  expect(rollbackText(known)).toBe(`os boots next\n  Version: 41\n  Digest:  ${digest}\n`);
  const unstaged = {
    ...unknown,
    kind: "unstaged",
    image: "os",
    rootImage,
    bootEntry: null,
    droppedStaged: true,
  } as const;
  const sentence = "There is nothing before it to go back to: os boots next, as before\nWhat was staged is dropped\n";
  expect(rollbackText(unstaged)).toBe(sentence);
});
