import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runMain } from "../../../src/cli/run-main.ts";
import { openLinux } from "../../../src/linux/live-linux.ts";
import { buildImage, buildIndex } from "../../builders/oci-image.ts";
import { writeLayout } from "../../builders/oci-layout.ts";
import { FakeCliIo } from "../../fakes/fake-cli-io.ts";
import { FakeRegistry } from "../../fakes/fake-registry.ts";
import { type JsonSchema, schemaErrors } from "../../tools/json-schema.ts";

const scratch = mkdtempSync(join(tmpdir(), "osdeploy-send-"));
const layout = (tag: string): string => `oci:${scratch}/layout:${tag}`;
const image = await buildImage({ layers: [[{ path: "usr/" }, { path: "usr/a", content: "a".repeat(5000) }]] });
const index = buildIndex([image]);

beforeAll(() =>
  writeLayout(join(scratch, "layout"), [
    { image, tag: "v1" },
    { image: index, tag: "all" },
  ]),
);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function run(...argv: readonly string[]) {
  const io = new FakeCliIo({ linux: openLinux(), environment: { HOME: scratch, TMPDIR: scratch } });
  const status = await runMain(argv, io);
  return { status, out: io.stdout.text, err: io.stderr.text };
}

async function json(name: string, ...argv: readonly string[]): Promise<unknown> {
  const { out, err } = await run("--json", ...argv);
  expect(out, err).not.toBe("");
  const schema = readFileSync(new URL(`../../../docs/reference/schema/${name}.json`, import.meta.url), "utf8");
  expect(schemaErrors(JSON.parse(out), JSON.parse(schema) as JsonSchema)).toEqual([]);
  return JSON.parse(out);
}

describe("image copy", () => {
  test("tells what was written where, and writes the digest to a file", async () => {
    const digestfile = join(scratch, "digest");
    const { status, out } = await run(
      "image",
      "copy",
      "--digestfile",
      digestfile,
      layout("v1"),
      `oci:${scratch}/copy:t`,
    );
    expect([status, out]).toEqual([
      0,
      `Written to: oci:${scratch}/copy:t\nDigest:     ${image.manifestDigest}\nLayers:     1 (gzip), 0 already there\nSent:       ${out.split("Sent:       ")[1]}`,
    ]);
    expect(readFileSync(digestfile, "utf8")).toBe(image.manifestDigest);
    const words = ["--compression=zstd:chunked", "--compression-level=5"];
    const all = ["--all", layout("all"), `oci:${scratch}/copied:all`];
    expect(await json("image-copy", "image", "copy", ...all)).toMatchObject({
      ...{ kind: "index", manifestDigest: index.indexDigest, images: [{ platform: "linux/amd64" }] },
    });
    expect((await run("image", "copy", ...all)).out).toMatch(/an index\nImages: +1 \(linux\/amd64\)/);
    expect(await json("image-copy", "image", "copy", ...words, layout("v1"), `oci:${scratch}/copy:u`)).toMatchObject({
      layers: [{ format: "zstd:chunked", known: false, diffId: image.layers[0]?.diffId }],
    });
  });

  test("logs in at both ends with the credentials for each, which no message tells", async () => {
    const user = { name: "ann", password: "s3cret" };
    const registry = await FakeRegistry.start({ auth: "basic", user });
    const to = `docker://${registry.host}/os:new`;
    try {
      const refused = await run("image", "copy", "--dest-creds=ann:wr0ng", layout("v1"), to);
      expect(refused.status).toBe(15);
      expect(refused.err).not.toContain("wr0ng");
      expect((await run("image", "copy", "--dest-creds=ann:s3cret", layout("v1"), to)).status).toBe(0);
      const back = ["--creds=ann:s3cret", "--dest-tls-verify=false", to, `oci:${scratch}/back:t`];
      expect(await json("image-copy", "image", "copy", ...back)).toMatchObject({
        manifestDigest: image.manifestDigest,
      });
    } finally {
      await registry.stop();
    }
  });

  test.each([
    [["--compression=lz4"], 2],
    [["--compression-level=0"], 2],
    [["--compression-level=many"], 2],
    [["--compression=gzip", "--compression-level=12"], 2],
    [["--dest-creds=nobody"], 2],
  ])("%j is refused with status %i", async (words, status) => {
    expect((await run("image", "copy", ...words, layout("v1"), `oci:${scratch}/never:t`)).status).toBe(status);
  });
});

describe("image push", () => {
  test("writes an image of the repo, to a place that needs a login, too", async () => {
    const repo = join(scratch, "repo");
    await run("repo", "init", "--insecure", "--repo", repo);
    await run("pull", "--repo", repo, layout("v1"));
    expect(
      await json("image-push", "image", "push", "--repo", repo, layout("v1"), `oci:${scratch}/pushed:t`),
    ).toMatchObject({
      ...{ image: layout("v1"), configDigest: image.configDigest },
      layers: [{ format: "zstd" }],
    });
    const user = { name: "ann", password: "s3cret" };
    const registry = await FakeRegistry.start({ auth: "basic", user });
    const authfile = join(scratch, "auth.json");
    const auth = Buffer.from("ann:s3cret").toString("base64");
    const { writeFileSync } = await import("node:fs");
    writeFileSync(authfile, JSON.stringify({ auths: { [registry.host]: { auth } } }));
    try {
      const words = [
        "image",
        "push",
        "--repo",
        repo,
        "--compression=zstd:chunked",
        layout("v1"),
        `docker://${registry.host}/os`,
      ];
      expect((await run(...words)).status).toBe(15);
      const { status, out } = await run(...words, "--authfile", authfile);
      expect([status, out.split("\n")[0]]).toEqual([0, `Written to: docker://${registry.host}/os:latest`]);
    } finally {
      await registry.stop();
    }
  });

  test("an image that the repo does not have is not found", async () => {
    const { status } = await run("image", "push", "--repo", join(scratch, "repo"), "nothing", `oci:${scratch}/never:t`);
    expect(status).toBe(3);
  });
});
