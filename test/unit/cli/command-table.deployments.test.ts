import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, test } from "vitest";
import { runMain } from "../../../src/cli/run-main.ts";
import { layoutReference } from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import { boot, RecordedPrograms, replaceLayout, runningMachine } from "../../builders/running-machine.ts";
import { FakeCliIo } from "../../fakes/fake-cli-io.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";
import { type JsonSchema, schemaErrors } from "../../tools/json-schema.ts";

const [v1, v2, v3] = [await buildOsImage("v1"), await buildOsImage("v2"), await buildOsImage("v3")];

let linux: FakeLinux;
let programs: RecordedPrograms;
beforeEach(async () => {
  programs = new RecordedPrograms();
  linux = await runningMachine({ latest: v1 }, "latest", { runProgram: programs.run });
});

async function run(...argv: readonly string[]) {
  const io = new FakeCliIo({ linux });
  const status = await runMain(argv, io);
  return { status, out: io.stdout.text, err: io.stderr.text };
}

/** Runs a command, which must succeed, and returns its output. */
async function ok(...argv: readonly string[]): Promise<string> {
  const { status, out, err } = await run(...argv);
  expect({ argv, status, err: status === 0 ? "" : err }).toEqual({ argv, status: 0, err: "" });
  return out;
}

/** Runs a command with --json, and checks the document against the schema `name`. */
async function json(name: string, ...argv: readonly string[]): Promise<unknown> {
  const { status, out, err } = await run("--json", ...argv);
  expect({ argv, status, err: [0, 77].includes(status) ? "" : err }).toMatchObject({ err: "" });
  const value: unknown = JSON.parse(out);
  const url = new URL(`../../../docs/reference/schema/${name}.json`, import.meta.url);
  expect(schemaErrors(value, JSON.parse(readFileSync(url, "utf8")) as JsonSchema)).toEqual([]);
  return value;
}

/** v2 comes, does not boot three times, and the machine is back on v1. */
async function fallBack(): Promise<void> {
  replaceLayout(linux, { latest: v2 });
  await ok("upgrade");
  await ok("finalize-staged");
  for (let times = 0; times < 4; times++) boot(linux);
  await ok("boot-complete");
}

describe("upgrade", () => {
  test.each([
    ["--check", "--apply"],
    ["--check", "--download-only"],
    ["--apply", "--download-only"],
    ["--check", "--from-downloaded"],
    ["--from-downloaded", "--download-only"],
  ])("%s is refused together with %s", async (one, other) => {
    const err = `osdeploy: Cannot run osdeploy upgrade: option '${one}' cannot be used with option '${other}'\n`;
    expect(await run("upgrade", other, one)).toMatchObject({ status: 2, err: expect.stringContaining(err) });
  });

  test("--check tells by its status whether there is something new", async () => {
    expect(await run("upgrade", "--check")).toMatchObject({
      status: 77,
      out: expect.stringMatching(
        /^Nothing new: oci:\/layout:latest boots next already\n {2}Version: v1\n {2}Digest: {2}sha256:/,
      ),
    });
    replaceLayout(linux, { latest: v2 });
    expect(await ok("upgrade", "--check")).toMatch(
      /^There is an upgrade of oci:\/layout:latest\n {2}Version: {6}v2\n {2}Digest: {7}sha256:[0-9a-f]+\n {2}New layers: {3}1 layer \(\d+ B\)\n {2}In place of: {2}oci:\/layout:latest\n {2}Download: {5}\d+ B\n {2}New files: {4}unknown before they are here: 1 layer without a table of contents\n/,
    );
    expect(await json("upgrade-check", "upgrade", "--check")).toMatchObject({ kind: "available" });
    expect(await json("switch-dry-run", "switch", "--dry-run", layoutReference("latest"))).toMatchObject({
      kind: "deploy",
    });
    expect(await ok("switch", "-n", layoutReference("latest"))).toMatch(/^It would boot next\n {2}Image: /);
    await ok("upgrade");
    expect(await json("switch-dry-run", "switch", "-n", layoutReference("latest"))).toMatchObject({
      kind: "kept-staged",
    });
    expect(await run("upgrade", "--check")).toMatchObject({
      status: 77,
      out: expect.stringContaining("is staged already"),
    });
  });

  test("stages, keeps what is staged, holds it back and lets it go", async () => {
    replaceLayout(linux, { latest: v2 });
    expect(await ok("upgrade", "--download-only")).toContain("is downloaded; to boot it next, run: osdeploy upgrade\n");
    expect(await ok("finalize-staged")).toBe("oci:/layout:latest is only downloaded, and left as it is\n");
    expect(await json("finalize-staged", "finalize-staged")).toMatchObject({ kind: "locked" });
    expect(await json("upgrade", "upgrade")).toMatchObject({ kind: "kept-staged", finalizationLocked: false });
    replaceLayout(linux, { latest: v3 });
    expect(await json("upgrade", "upgrade")).toMatchObject({ kind: "staged", finalizationLocked: false });
    expect(await ok("upgrade")).toBe(
      "Nothing to get: oci:/layout:latest is staged, and boots after the next shutdown\n",
    );
    replaceLayout(linux, { latest: v1 });
    expect(await ok("upgrade")).toBe("oci:/layout:latest boots next, as before; what was staged is dropped\n");
    expect(await ok("finalize-staged")).toBe("");
    expect(await json("finalize-staged", "finalize-staged")).toEqual({ kind: "nothing-staged" });
  });

  test("--from-downloaded takes what is downloaded, and says where nothing is", async () => {
    const none = await run("upgrade", "--from-downloaded");
    expect(none).toMatchObject({ status: 3, err: expect.stringContaining("osdeploy upgrade --download-only") });
    replaceLayout(linux, { latest: v2 });
    await ok("upgrade", "--download-only");
    const words = "is downloaded; to boot it next, run: osdeploy upgrade --from-downloaded\n";
    expect(await run("upgrade", "--check")).toMatchObject({ status: 77, out: expect.stringContaining(words) });
    expect(await json("upgrade-check", "upgrade", "--check")).toMatchObject({ kind: "downloaded" });
    expect(await json("upgrade", "upgrade", "--from-downloaded")).toMatchObject({ kind: "kept-staged" });
    expect(await ok("finalize-staged")).toContain("boots next\n");
  });

  test("--apply reboots", async () => {
    replaceLayout(linux, { latest: v2 });
    expect(await json("upgrade", "upgrade", "--apply")).toMatchObject({ kind: "staged" });
    expect(programs.calls.filter((call) => !call.includes("is-active"))).toEqual(["systemctl reboot"]);
  });

  test("leaves alone what failed, and says what can be done", async () => {
    await fallBack();
    expect(await ok("upgrade")).toBe(
      `Nothing to do: oci:/layout:latest names an image that is in quarantine here\n  Digest:  ${v2.manifestDigest}\n` +
        "  Reason:  3 boots of it did not complete\n" +
        "It is left alone until the tag moves. To take it all the same: osdeploy upgrade --ignore-quarantine\n",
    );
    expect(await json("upgrade", "upgrade")).toMatchObject({ kind: "quarantined" });
    expect(await json("upgrade-check", "upgrade", "--check")).toMatchObject({ kind: "quarantined" });
    expect(await run("upgrade", "--check")).toMatchObject({
      status: 77,
      out: expect.stringMatching(/Quarantine: 3 boots/),
    });
    expect(await ok("upgrade", "--ignore-quarantine")).toContain("is staged");
  });
});

test("finalize-staged and boot-complete: what the units run", async () => {
  expect(await json("boot-complete", "boot-complete")).toMatchObject({ bootEntry: "osdeploy-000001", blessed: true });
  replaceLayout(linux, { latest: v2 });
  expect(await ok("switch", layoutReference("latest"))).toContain("is staged, and boots after the next shutdown\n");
  expect(await json("status", "status")).toMatchObject({ staged: { finalizationLocked: false } });
  expect(await json("finalize-staged", "finalize-staged")).toMatchObject({
    kind: "finalized",
    bootEntry: "osdeploy-000002+3.conf",
  });
  boot(linux);
  expect(await ok("boot-complete")).toBe("Boot entry osdeploy-000002 is good from now on\n");
  expect(await ok("boot-complete")).toBe("Boot entry osdeploy-000002 is good, and is not counted\n");
  expect(await json("status", "status")).toMatchObject({ staged: null, rollbackQueued: false });
});

test("rollback: queues, takes back, and tells what upgrades leave alone", async () => {
  replaceLayout(linux, { latest: v2 });
  await ok("upgrade");
  await ok("finalize-staged");
  boot(linux);
  expect(await ok("rollback")).toMatch(
    /^oci:\/layout:latest boots next\n {2}Version: v1\n {2}Digest: {2}sha256:[0-9a-f]{64}\nUpgrades leave [0-9a-f]{12} alone until its tag moves to another image\n$/,
  );
  expect(await ok("status")).toContain("A rollback waits for the next boot; to take it back: osdeploy rollback\n");
  expect(await json("rollback", "rollback")).toMatchObject({ kind: "unqueued", quarantined: null });
  replaceLayout(linux, { latest: v3 });
  await ok("upgrade");
  expect(await ok("rollback")).toMatch(
    /^\S+ boots next\n {2}Version: v1\n {2}Digest: .*\nWhat was staged is dropped\n/,
  );
  await ok("upgrade");
  expect(await ok("status")).toContain("A rollback waits behind what is staged; to drop both: osdeploy rollback\n");
  expect(await ok("rollback", "--apply")).toMatch(/^The rollback is taken back: /);
  expect(programs.calls.filter((call) => !call.includes("is-active"))).toEqual(["systemctl reboot"]);
});

test("quarantine: lists, and lets go", async () => {
  expect(await ok("quarantine", "list")).toBe("No image is in quarantine\n");
  await fallBack();
  expect(await ok("quarantine", "list")).toMatch(
    /^sha256:[0-9a-f]{64}\n {2}Reason: {5}3 boots of it did not complete\n {2}Image: {6}oci:\/layout:latest\n {2}Boot entry: osdeploy-000002\n/,
  );
  expect(await json("quarantine-list", "quarantine", "list")).toMatchObject([{ cause: "boot-failed" }]);
  expect(await ok("status")).toContain("Quarantine: 3 boots of it did not complete\n");
  expect(await json("quarantine-remove", "quarantine", "remove", v2.manifestDigest.slice(0, 20))).toEqual({
    manifestDigest: v2.manifestDigest,
  });
  expect(await run("quarantine", "remove", "sha256:0000")).toMatchObject({ status: 3 });
  await ok("boot-complete");
  expect(await ok("quarantine", "remove", v2.manifestDigest)).toBe(
    `${v2.manifestDigest} is free: the next upgrade may bring it\n`,
  );
});

test("gc: tells what would go, and removes it", async () => {
  for (const image of [v2, v3]) {
    replaceLayout(linux, { latest: image });
    await ok("upgrade");
    await ok("finalize-staged");
    boot(linux);
    await ok("boot-complete");
  }
  expect(await json("gc", "gc", "--dry-run")).toMatchObject({
    dryRun: true,
    bootEntries: ["osdeploy-000001+2-1.conf"],
  });
  expect(await ok("gc", "--keep", "1")).toMatch(/^No deployment is unneeded; 3 deployments kept\nRemoved 0 objects/);
  expect(await ok("gc")).toMatch(
    /^Removed:\n {2}deployment [0-9a-f]{12} of oci:\/layout:latest\n {2}boot entry osdeploy-000001\+2-1\.conf\n {2}kernel [0-9a-f]{12}\n2 deployments kept\nRemoved \d+ objects/,
  );
  expect(await run("gc", "--keep", "-1")).toMatchObject({ status: 2 });
});
