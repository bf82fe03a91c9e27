import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { buildChunkedImage, buildChunkedLayer, noise } from "../builders/chunked-layer.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { osdeploy } from "../tools/run-cli.ts";

const isBuilt = existsSync(new URL("../../dist/operations/partial-pulls.js", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "partial-pull-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Twenty files in each of three layers, of which those with a number below `version` are new. */
async function image(version: number) {
  const layers = [0, 1, 2].map((layer) => {
    const files = Array.from({ length: 20 }, (_, i) => ({
      path: `usr/${layer}-${i}`,
      content: noise(30_000, layer * 100 + i + (i < version ? 1000 * version : 0)),
    }));
    return buildChunkedLayer([{ path: "usr/", mtime: version }, ...files]);
  });
  return buildChunkedImage(await Promise.all(layers));
}

function pull(repo: string, version: number): string {
  const answer = osdeploy("--json", "pull", "--repo", repo, `oci:${join(directory, `v${version}`)}`);
  return (JSON.parse(answer) as { readonly rawImage: string }).rawImage;
}

describe.skipIf(!isBuilt)(
  `osdeploy pull of zstd:chunked layers${isBuilt ? "" : " (skipped: dist is not built)"}`,
  () => {
    test("gives the same root image in parts, by worker threads, as whole", async () => {
      for (const version of [1, 2]) {
        mkdirSync(join(directory, `v${version}`));
        writeLayout(join(directory, `v${version}`), [{ image: await image(version) }]);
      }
      const [parts = "", whole = ""] = ["parts", "whole"].map((name) => join(directory, name));
      for (const repo of [parts, whole]) osdeploy("repo", "init", "--insecure", "--repo", repo);
      pull(parts, 1);
      expect(readdirSync(join(parts, "content-index"))).toHaveLength(3);
      expect(pull(parts, 2)).toBe(pull(whole, 2));
      expect(readdirSync(join(parts, "content-index"))).toHaveLength(6);
      expect(osdeploy("repo", "fsck", "--repo", parts)).toContain("all is well");
    });
  },
);
