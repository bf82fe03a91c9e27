import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildImage } from "../builders/oci-image.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { content } from "../builders/os-images.ts";
import { findTool, projectDir } from "../tools/find-tool.ts";
import { osdeployCommand, run } from "../tools/run-cli.ts";

const directory = mkdtempSync(join(tmpdir(), "built-program-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const layouts = ["gzip", "zstd"] as const;

beforeAll(async () => {
  // More than the windows that decoders are given, so that what is called for a stream is called for the middle of one.
  const files = Array.from({ length: 80 }, (_, i) => ({
    path: `usr/file-${i}`,
    content: randomBytes(37 * i * i),
  }));
  const layers = [
    [{ path: "usr" }, ...files],
    [{ path: "boot" }, { path: "sysroot" }, { path: "usr/other", content: content("x", 99_999) }],
  ];
  for (const compression of layouts) {
    mkdirSync(join(directory, compression));
    writeLayout(join(directory, compression), [{ image: await buildImage({ layers, compression }) }]);
  }
});

/** What `node` makes of the images, in a repo of its own: their root images, what they become when they are packed again. */
function outcome(node: string, name: string): readonly unknown[] {
  const osdeploy = (...args: readonly string[]) => {
    const [, ...words] = osdeployCommand(...args);
    const { status, stdout, stderr } = run(node, words);
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.not.stringContaining("Warning") });
    return stdout;
  };
  const repo = join(directory, `${name}-repo`);
  osdeploy("repo", "init", "--insecure", "--repo", repo);
  return layouts.map((compression) => {
    const source = `oci:${join(directory, compression)}`;
    const pulled = JSON.parse(
      osdeploy("pull", "--bootable", "--json", "--platform", "linux/amd64", "--repo", repo, source),
    );
    expect(osdeploy("repo", "fsck", "--repo", repo)).toMatch(/all is well/);
    const packed = join(directory, `${name}-${compression}`);
    osdeploy("image", "copy", "--compression", "zstd:chunked", "--platform", "linux/amd64", source, `oci:${packed}`);
    return { pulled, index: JSON.parse(readFileSync(join(packed, "index.json"), "utf8")) };
  });
}

describe.each(["node-oldest", "node-newest"])("%s", (name) => {
  const node = findTool(name);
  const without = node === undefined ? ` (skipped: needs ${name}, which test/setup.sh gets)` : "";

  test.skipIf(node === undefined)(`pulls and packs as the Node of the tests does${without}`, () => {
    if (node === undefined) return;
    const { version } = JSON.parse(run(node, ["-p", "JSON.stringify({ version: process.version })"]).stdout);
    const { engines } = JSON.parse(readFileSync(join(projectDir, "package.json"), "utf8"));
    if (name === "node-oldest") expect(`>=${version.slice(1)}`).toMatch(new RegExp(`^${engines.node}\\.`));
    expect(outcome(node, name)).toEqual(outcome(process.execPath, `${name}-here`));
  });
});
