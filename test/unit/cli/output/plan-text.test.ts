import { expect, test } from "vitest";
import { downloadWords, newFilesWords, planSwitchText, planText } from "../../../../src/cli/output/plan-text.ts";
import { checkUpgradeText } from "../../../../src/cli/output/upgrade-text.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";
import { parseLayerDigest, parseManifestDigest } from "../../../../src/core/digest/oci-digest.ts";
import type { DeploymentPlan } from "../../../../src/operations/plan-deployment.ts";
import type { ImagePlan } from "../../../../src/operations/plan-image.ts";

const hex = "0123456789ab".padEnd(64, "0");
const manifestDigest = parseManifestDigest(`sha256:${hex}`);
const rootImage = parseObjectId(hex, "sha256");
const layer = { digest: parseLayerDigest(`sha256:${hex}`), sizeBytes: 2_000_000, inParts: false };
const unknown = { kind: "unknown", reason: "a layer is not here" } as const;
const installed = (name: string, version: string) => ({ name, version, architecture: "amd64" });

const imagePlan: ImagePlan = {
  layers: [
    { ...layer, kind: "known", downloadBytes: 0 },
    { ...layer, kind: "chunked", inParts: true, downloadBytes: 1000 },
    { ...layer, kind: "chunked", downloadBytes: 2_000_000 },
    { ...layer, kind: "whole", downloadBytes: 2_000_000 },
  ],
  ...{ downloadBytes: 4_001_000, leastDownloadBytes: 3_900_000, isDownloadBound: true },
  ...{ newObjects: 2, newBytes: 3000, uncountedLayers: 1, otherObjects: 8, otherBytes: 2500, newInodes: 20 },
  ...{ availableBytes: 5_000_000_000, availableInodes: 1234 },
  base: { image: "oci:/x\u001b:t", manifestDigest, rootImage },
  files: {
    ...{ kind: "known", added: 1, removed: 1, changed: 1, touched: 4, isCut: true },
    paths: [
      { path: "/a\u001b", change: "added" },
      { path: "/b", change: "removed" },
      { path: "/c", change: "changed" },
    ],
  },
  packages: {
    ...{ kind: "known", managers: ["dpkg"], unchanged: 3 },
    replaced: [{ name: "apt", before: "1", after: "2", architecture: "amd64" }],
    added: [installed("new\u001b", "1")],
    removed: Array.from({ length: 20 }, (_, i) => installed(`old${i}`, "1")),
  },
};
const plan: DeploymentPlan = {
  ...imagePlan,
  boot: {
    ...{ kind: "fits", kernel: "6.1", bootDigest: null, isNewKernel: true, kernelBytes: 900 },
    ...{ neededBytes: 50_000_000, availableBytes: 60_000_000, freedBytes: 40_000_000 },
    ...{ removedEntries: ["osdeploy-000001"], removedKernels: [hex] },
  },
  prune: {
    ...{ kind: "known", deployments: [{ rootImage, image: null }], bootEntries: ["osdeploy-000001"], kernels: [hex] },
    ...{ objects: 7, bytes: 8000, isBound: true },
  },
};
const described = { image: "oci:/x\u001b:t", manifestDigest, version: "2" };
const lines = (text: string) => text.split("\n");

test("planText: what moves, what it costs, what changes; and nothing that a terminal would obey", () => {
  const text = planText({ ...described, ...imagePlan });
  expect(text).not.toContain("\u001b");
  expect(lines(text).slice(1, 9)).toEqual([
    "Version:       2",
    `Digest:        sha256:${hex}`,
    expect.stringMatching(/^Compared with: oci:\/x.*:t$/),
    "Download:      3.9 MB to 4.0 MB",
    "New files:     2 objects (3.0 kB), and 8 of the repo's own (2.5 kB), and what is in 1 layer without a table of contents",
    "Repo:          5.0 GB free, 1234 inodes free",
    "Files:         1 added, 1 removed, 1 changed; of 4 more only the time",
    "Packages:      1 replaced, 1 added, 20 removed (dpkg)",
  ]);
  expect(text).toContain("\nPACKAGE  NOW  THEN\napt      1    2\n");
  expect(text).toContain("and 2 more; all with --verbose\n");
  expect(text).not.toContain("LAYER");
});

test("planText: all of it where all is asked for", () => {
  const text = planText({ ...described, ...imagePlan }, { verbose: true });
  expect(text).not.toContain("\u001b");
  expect(text).not.toContain("--verbose");
  expect(text).toContain("old19    1    removed\n");
  expect(text).toContain(
    [
      "LAYER           SIZE  DOWNLOAD  HOW",
      "0123456789ab  2.0 MB       0 B  here already",
      "0123456789ab  2.0 MB    1.0 kB  comes in parts",
      "0123456789ab  2.0 MB    2.0 MB  comes whole",
      "0123456789ab  2.0 MB    2.0 MB  comes whole",
      "",
    ].join("\n"),
  );
  expect(text).toMatch(/\n\+ \/a.*\n- \/b\n~ \/c\nand more\n$/);
});

test("planText: no more than there is", () => {
  const path = { path: "/only", change: "added" } as const;
  const files = { kind: "known", added: 1, removed: 0, changed: 0, touched: 0, paths: [path], isCut: false } as const;
  const removed = Array.from({ length: 20 }, (_, at) => ({ name: `old${at}`, version: "1", architecture: "all" }));
  const packages = { ...imagePlan.packages, replaced: [], added: [], removed } as ImagePlan["packages"];
  const text = planText({ ...described, ...imagePlan, files, packages });
  expect(text).toContain("Files:         1 added, 0 removed, 0 changed\n");
  expect(text).toMatch(/\nold19 .*\n$/);
  expect(planText({ ...described, ...imagePlan, files, packages }, { verbose: true })).toMatch(/\n\n\+ \/only\n$/);
});

test("planText: what is not known says why", () => {
  const base = { image: null, manifestDigest: null, rootImage: null };
  const text = planText({ ...described, ...imagePlan, base, files: unknown, packages: unknown }, { verbose: true });
  expect(text).toContain("Compared with: an image without a name\n");
  expect(text).toContain("Files:         not known before it is here: a layer is not here\n");
  expect(text).toContain("Packages:      not known before it is here: a layer is not here\n");
  const nothing = { ...imagePlan.packages, replaced: [], added: [], removed: [] } as ImagePlan["packages"];
  expect(planText({ ...described, version: null, ...imagePlan, base: null, packages: nothing })).not.toMatch(
    /PACKAGE|Compared|Version/,
  );
});

test("planSwitchText: the boot partition and what is pruned", () => {
  const text = planSwitchText({ kind: "deploy", reason: null, ...described, plan });
  expect(lines(text)[0]).toBe("It would boot next");
  expect(lines(text)[1]).toMatch(/^ {2}Image: +oci:/);
  expect(text).toMatch(/\n {2}In place of: +oci:/);
  expect(text).toContain("\nPACKAGE  NOW  THEN\napt      1    2\n");
  expect(text).toContain("  Boot:         kernel 6.1, new: at most 50.0 MB of 60.0 MB free\n");
  expect(text).toContain("  Makes room:   1 kernel with osdeploy-000001 would go first, 40.0 MB\n");
  expect(text).toContain("  Pruned later: at most 1 deployment, 1 boot entry, 1 kernel, 7 objects (8.0 kB)\n");
  const exact = { ...plan, prune: { ...plan.prune, isBound: false } as DeploymentPlan["prune"] };
  expect(planSwitchText({ kind: "deploy", reason: null, ...described, plan: exact })).toContain(
    "Pruned later: 1 deployment,",
  );
});

test("planSwitchText: kernels that are there, that do not fit, or that there are not", () => {
  const boots = (boot: DeploymentPlan["boot"]) =>
    planSwitchText({ kind: "deploy", reason: null, ...described, plan: { ...plan, boot, prune: unknown } });
  const fits = { ...plan.boot, removedEntries: [], removedKernels: [hex] } as DeploymentPlan["boot"] & { kind: "fits" };
  expect(boots({ ...fits, isNewKernel: false })).toMatch(/there already: .*\n +Makes room: +1 kernel would go first/);
  expect(boots({ ...fits, isNewKernel: null, removedKernels: [] })).toContain("kernel 6.1, perhaps there already: ");
  const full = {
    kind: "no-space",
    kernel: "6.1",
    neededBytes: 5000,
    availableBytes: 2000,
    freeableBytes: 1000,
  } as const;
  expect(boots(full)).toContain("no space: kernel 6.1 needs 5.0 kB, 2.0 kB are free, 1.0 kB can be removed\n");
  expect(boots({ kind: "not-bootable", reason: "no kernel" })).toContain("Boot:         refused: no kernel\n");
  expect(boots(unknown)).toMatch(/Boot: +not known before it is here: .*\n +Pruned later: not known before it is here/);
});

test("planSwitchText: nothing to do", () => {
  const say = (kind: "kept" | "unstaged" | "kept-staged") =>
    lines(planSwitchText({ kind, reason: "it failed", ...described, plan: null }));
  expect(say("kept")[0]).toBe("Nothing to do: it boots next already");
  expect(say("unstaged")[0]).toBe("It boots next already; what is staged would be dropped");
  expect(say("kept-staged")[0]).toBe("Nothing to get: it is staged already");
  expect(say("kept").at(-2)).toBe("  Quarantine: it failed; it would be deployed as asked");
  const nothing = {
    kind: "known",
    deployments: [],
    bootEntries: [],
    kernels: [],
    objects: 0,
    bytes: 0,
    isBound: false,
  } as const;
  const text = planSwitchText({ kind: "deploy", reason: null, ...described, plan: { ...plan, prune: nothing } });
  expect(text).toContain("Pruned later: nothing\n");
});

test("checkUpgradeText: the same plan", () => {
  const text = checkUpgradeText({
    ...{ kind: "available", ...described, reason: null, missingLayers: 2, missingBytes: 4_000_000, plan },
  });
  expect(text).toContain("  New layers:   2 layers (4.0 MB)\n");
  expect(text).toContain("  Download:     3.9 MB to 4.0 MB\n");
  expect(text).toContain("PACKAGE  NOW  THEN\n");
});

test("downloadWords and newFilesWords: exact, bounded, unknown", () => {
  expect(downloadWords({ downloadBytes: 5, leastDownloadBytes: 5, isDownloadBound: false })).toBe("5 B");
  expect(downloadWords({ downloadBytes: 5_000_001, leastDownloadBytes: 5_000_000, isDownloadBound: true })).toBe(
    "5.0 MB",
  );
  const none = { newObjects: 0, newBytes: 0, otherObjects: 0, otherBytes: null };
  expect(newFilesWords({ ...none, uncountedLayers: 0 })).toBe("0 objects (0 B)");
  expect(newFilesWords({ ...none, uncountedLayers: 2 })).toBe(
    "unknown before they are here: 2 layers without a table of contents",
  );
  expect(newFilesWords({ ...none, uncountedLayers: 1 })).toMatch(/^unknown before they are here: 1 layer /);
  expect(newFilesWords({ ...none, newObjects: 1, newBytes: 70, otherObjects: 6, uncountedLayers: 1 })).toBe(
    "1 object (70 B), and 6 of the repo's own, and what is in 1 layer without a table of contents",
  );
});
