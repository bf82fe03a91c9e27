import { describe, expect, test } from "vitest";
import { statusText, switchText, switchValue } from "../../../../src/cli/output/deployment-text.ts";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";
import { parseConfigDigest, parseManifestDigest } from "../../../../src/core/digest/oci-digest.ts";
import type { SwitchResult } from "../../../../src/operations/switch.ts";

const rootImage = parseObjectId("ab".repeat(32), "sha256");
const digest = `sha256:${"cd".repeat(32)}`;

describe("statusText", () => {
  test("statusText: without deployments it says so", () => {
    expect(statusText({ sysroot: "/s\x1b", deployments: [], foreignBootEntries: [], problems: [] })).toBe(
      "There is no deployment in /s\\x1b\n",
    );
  });

  test("statusText: a deployment of which nothing is known, foreign entries and problems are shown", () => {
    const lost = { title: null, version: null, imageReference: null, manifestDigest: null, bootDigest: null };
    const deployments = [{ role: "none" as const, rootImage, ...lost, bootEntries: [] }];
    expect(statusText({ sysroot: "/s", deployments, foreignBootEntries: ["grub.conf"], problems: ["It is odd"] })).toBe(
      `Deployment without a boot entry\n  Root image: ${rootImage}\n  Boot entry: none\n\n` +
        "Boot entry of another program: grub.conf\nProblem: It is odd\n",
    );
  });
});

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
    },
  };

  test("switchText: names the files in /etc that host and image both changed", () => {
    expect(switchText(result)).toContain("\n  Kept in /etc: /hosts\\x0a (the image changed them too)\n");
  });

  test("switchValue: paths are text", () => {
    expect(switchValue(result)).toMatchObject({ etcConflicts: [{ path: "/hosts\\x0a", reason: "both-changed" }] });
  });
});
