import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runMain } from "../../../../src/cli/run-main.ts";
import { openLinux } from "../../../../src/linux/live-linux.ts";
import { writeLayout } from "../../../builders/oci-layout.ts";
import { buildOsImage } from "../../../builders/os-images.ts";
import { FakeCliIo } from "../../../fakes/fake-cli-io.ts";
import { type JsonSchema, schemaErrors } from "../../../tools/json-schema.ts";

const scratch = mkdtempSync(join(tmpdir(), "osdeploy-bundle-"));
const layout = (tag: string): string => `oci:${scratch}/layout:${tag}`;
const images = { v1: await buildOsImage("v1"), v2: await buildOsImage("v2") };

beforeAll(() => {
  writeLayout(
    join(scratch, "layout"),
    Object.entries(images).map(([tag, image]) => ({ image, tag })),
  );
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function run(...argv: readonly string[]) {
  const io = new FakeCliIo({ linux: openLinux(), environment: { HOME: scratch, TMPDIR: scratch } });
  const status = await runMain(argv, io);
  return { status, out: io.stdout.text, err: io.stderr.text };
}

async function json(name: string, ...argv: readonly string[]) {
  const { out, err } = await run("--json", ...argv);
  expect(out, err).not.toBe("");
  const schema = readFileSync(new URL(`../../../../docs/reference/schema/${name}.json`, import.meta.url), "utf8");
  expect(schemaErrors(JSON.parse(out), JSON.parse(schema) as JsonSchema)).toEqual([]);
  return JSON.parse(out);
}

describe("bundle", () => {
  test("takes the status of hosts as they print it, and a host takes the bundle and then follows a registry", async () => {
    const sysroot = join(scratch, "sysroot");
    mkdirSync(sysroot);
    await json("switch", "switch", "--sysroot", sysroot, layout("v1"));
    const [before] = (await json("status", "status", "--sysroot", sysroot)).deployments;
    expect(before.layers).toEqual(images.v1.layers.map(({ digest, diffId }) => ({ digest, diffId })));
    const hosts = ["a.json", "b.json"].map((name) => join(scratch, name));
    const { out } = await run("--json", "status", "--sysroot", sysroot);
    for (const path of hosts) writeFileSync(path, out);
    const file = join(scratch, "v2.tar");
    const bundled = await json("bundle", "bundle", layout("v2"), "--hosts", ...hosts, "--output", file);
    expect(bundled).toMatchObject({ hosts: 2, layers: [{ kind: "absent" }, { kind: "whole" }] });
    const words = ["--sysroot", sysroot, "--target-imgref", "registry.example/os:v2", `oci-archive:${file}`];
    expect(await json("switch", "switch", ...words)).toMatchObject({ image: "docker://registry.example/os:v2" });
    const { deployments } = await json("status", "status", "--sysroot", sysroot);
    expect(deployments[0]).toMatchObject({
      imageReference: "docker://registry.example/os:v2",
      manifestDigest: images.v2.manifestDigest,
    });
  });

  test("takes the image before or behind its options", async () => {
    const hosts = ["a.json", "b.json"].map((name) => join(scratch, name));
    const out = ["--output", join(scratch, "order.tar")];
    const image = layout("v2");
    for (const words of [
      [image, "--hosts", ...hosts, ...out],
      ["--hosts", ...hosts, image, ...out],
      [...out, "--hosts", ...hosts, image],
      ["--hosts", ...hosts, ...out, image],
      ...hosts.map((host) => ["--hosts", host, "--hosts", ...hosts, ...out, image]),
    ]) {
      expect(await json("bundle", "bundle", ...words), words.join(" ")).toMatchObject({
        layers: [{ kind: "absent" }, {}],
      });
    }
  });

  test.each([
    [[], "missing required argument 'image'"],
    [["--hosts", "a.json"], "missing required argument 'image'"],
    [["--hosts", "", "oci:os"], "option '--hosts <file...>' argument '' is invalid: it is empty"],
  ])("refuses %j", async (words, state) => {
    const { status, err } = await run("bundle", "--output", join(scratch, "none.tar"), ...words);
    expect([status, err]).toEqual([
      2,
      `osdeploy: Cannot run osdeploy bundle: ${state}\nhint: See: osdeploy bundle --help\n`,
    ]);
  });

  test("tells in text what is in it", async () => {
    const file = join(scratch, "text.tar");
    const { status, out } = await run("bundle", layout("v2"), "--base", layout("v1"), "--output", file);
    expect([status, out.replace(/[0-9.]+ k?B/g, "N")]).toEqual([
      0,
      `Written to: oci-archive:${file}\nDigest:     ${images.v2.manifestDigest}\n` +
        "Layers:     1 whole, 0 in parts, 1 left out\nSize:       N; the whole image has N\n",
    ]);
  });

  test("wants to know where to", async () => {
    expect((await run("bundle", layout("v2"))).status).toBe(2);
  });
});
