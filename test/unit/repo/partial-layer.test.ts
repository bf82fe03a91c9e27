import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseLayerDigest } from "../../../src/core/digest/oci-digest.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { collectGarbage } from "../../../src/operations/collect-garbage.ts";
import { listPartialLayers, openPartialLayer, type PartialLayer } from "../../../src/repo/partial-layer.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { removeDeadStaging } from "../../../src/repo/staging-leftovers.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { machineWithRepo, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const digest = parseLayerDigest(`sha256:${"ab".repeat(32)}`);
const path = fromText(`${repoOfSysroot}/staging/layer-sha256-${"ab".repeat(32)}`);

async function machineWithStaging(): Promise<FakeLinux> {
  const linux = await machineWithRepo({});
  linux.files.makeDirectory(fromText(`${repoOfSysroot}/staging`), 0o700);
  return linux;
}

function open(files: LinuxFiles): PartialLayer {
  const layer = openPartialLayer(files, repoOfSysroot, digest);
  if (layer === undefined) throw new Error("nobody else has it");
  return layer;
}

const textOf = (files: LinuxFiles) => Buffer.from(files.readFile(path, 100)).toString();

describe("openPartialLayer", () => {
  test("what one run wrote, the next one goes on with", async () => {
    const { files } = await machineWithStaging();
    const first = open(files);
    first.append(Buffer.from("abc"));
    expect(first.sizeBytes).toBe(3);
    first.close();
    const second = open(files);
    expect(second.sizeBytes).toBe(3);
    second.append(Buffer.from("de"));
    expect(textOf(files)).toBe("abcde");
    expect(listPartialLayers(files, repoOfSysroot)).toEqual([path]);
    second.remove();
    second.close();
    expect(listPartialLayers(files, repoOfSysroot)).toEqual([]);
  });

  test("while one run has it no other gets it", async () => {
    const { files } = await machineWithStaging();
    const first = open(files);
    expect(openPartialLayer(files, repoOfSysroot, digest)).toBeUndefined();
    first.close();
    open(files).close();
  });

  test("a file that was removed before it was locked is made anew", async () => {
    const { files } = await machineWithStaging();
    open(files).close();
    let removals = 0;
    const racing: LinuxFiles = {
      ...files,
      lock: (fd, kind, options) => {
        if (removals++ === 0) files.unlink(path);
        return files.lock(fd, kind, options);
      },
    };
    const layer = open(racing);
    layer.append(Buffer.from("x"));
    layer.close();
    expect(textOf(files)).toBe("x");
    const always: LinuxFiles = {
      ...files,
      lock: (fd, kind, options) => {
        files.unlink(path);
        return files.lock(fd, kind, options);
      },
    };
    expect(openPartialLayer(always, repoOfSysroot, digest)).toBeUndefined();
  });

  test("a file that another run made in the same moment is taken", async () => {
    const { files } = await machineWithStaging();
    const racing: LinuxFiles = {
      ...files,
      open: (at, mode, permissions) => {
        if (mode === "create") files.writeNewFile(path, Buffer.from("xy"), 0o600);
        return files.open(at, mode, permissions);
      },
    };
    expect(open(racing).sizeBytes).toBe(2);
  });
});

describe("StagingRun: layers that outlive it", () => {
  test("close leaves what was fetched, and no empty file; who opens the repo next leaves it, too; gc removes it", async () => {
    const linux = await machineWithStaging();
    const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
    const run = new StagingRun(repo);
    run.openPartialLayer(digest)?.append(Buffer.from("abc"));
    run.openPartialLayer(parseLayerDigest(`sha256:${"cd".repeat(32)}`));
    run.close();
    repo.close();
    expect(linux.openPaths).toEqual([]);
    expect(listPartialLayers(linux.files, repoOfSysroot)).toEqual([path]);
    expect(removeDeadStaging(linux.files, repoOfSysroot)).toEqual([]);
    const plan = await collectGarbage(systemOn(linux), { repo: repoOfSysroot, dryRun: false });
    expect(plan.leftovers).toEqual([path]);
    expect(listPartialLayers(linux.files, repoOfSysroot)).toEqual([]);
  });

  test("dropPartialLayer: removes the file and lets go of it; one that this run does not have is nothing", async () => {
    const linux = await machineWithStaging();
    const repo = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
    const run = new StagingRun(repo);
    run.openPartialLayer(digest)?.append(Buffer.from("abc"));
    run.dropPartialLayer(digest);
    run.dropPartialLayer(digest);
    expect(listPartialLayers(linux.files, repoOfSysroot)).toEqual([]);
    run.openPartialLayer(digest)?.append(Buffer.from("abc"));
    run.dropPartialLayers();
    expect(listPartialLayers(linux.files, repoOfSysroot)).toEqual([]);
    run.close();
    repo.close();
    expect(linux.openPaths).toEqual([]);
  });
});
