import { afterEach, expect, test } from "vitest";
import { OsdeployError } from "../../../src/core/errors.ts";
import { buildChunkedImage, buildChunkedLayer, noise } from "../../builders/chunked-layer.ts";
import { machineWithRepo } from "../../builders/operation-machine.ts";
import { pullFrom, registryWith, stopRegistries, v1 } from "../../builders/partial-pull.ts";

afterEach(stopRegistries);

test("a pull that was stopped, and cannot keep what it has, tells why it was stopped", async () => {
  const linux = await machineWithRepo({});
  const other = await buildChunkedLayer([{ path: "usr/" }, { path: "usr/a", content: noise(30_000, 77) }]);
  const registry = await registryWith({ both: buildChunkedImage([v1, other]) });
  registry.faults.push({ path: new RegExp(other.digest), status: 503 });
  const { rename } = linux.files;
  let published = 0;
  Object.assign(linux.files, {
    rename: (...words: Parameters<typeof rename>) => {
      if (!words[1].includes("/objects/")) return rename(...words);
      published++;
      throw new OsdeployError("no-space", "the disk is full");
    },
  });
  await expect(pullFrom(linux, registry, "both")).rejects.toMatchObject({ code: "network" });
  expect(published).toBeGreaterThan(0);
});
