import { describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { checkInvariants, checkTransition, type SystemSnapshot } from "../../src/core/deployment/invariants.ts";
import type { ObjectId } from "../../src/core/digest/object-id.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { checkRepo } from "../../src/operations/check-repo.ts";
import { collectGarbage } from "../../src/operations/collect-garbage.ts";
import { initRepo } from "../../src/operations/init-repo.ts";
import { pull } from "../../src/operations/pull.ts";
import { switchImage } from "../../src/operations/switch.ts";
import type { System } from "../../src/operations/system.ts";
import { untagImage } from "../../src/repo/references.ts";
import { openRepo } from "../../src/repo/repo.ts";
import { describeFiles } from "../builders/machine-text.ts";
import { buildOsImage, content, placeLayout, placeRootDirectory } from "../builders/os-images.ts";
import { takeSnapshot } from "../builders/system-snapshot.ts";
import {
  type CrashOptions,
  FakeLinux,
  type FakeLinuxOptions,
  type Fault,
  SimulatedCrash,
} from "../fakes/fake-linux.ts";

const root = fromText("/target");
const repo = fromText("/target/composefs");
const layout = fromText("/layout");
const rootDirectory = fromText("/root-directory");

/** The system of one run on `linux`: the import runs on this thread, under the fake. */
function systemOf(linux: FakeLinux): System {
  return { linux, progress: () => {}, signal: new AbortController().signal, importThreads: 0 };
}

const source = { environment: { variables: {}, userId: 0 } };
const platform = { os: "linux", architecture: "amd64", variant: undefined };

const pullTag = (tag: string) => async (linux: FakeLinux) => {
  await pull(systemOf(linux), {
    image: parseImageReference(`oci:${layout}:${tag}`),
    repo,
    platform,
    source,
    bootable: true,
  });
  return undefined;
};

const pullDirectory = async (linux: FakeLinux) => {
  const image = parseImageReference(`rootfs:${rootDirectory}`);
  await pull(systemOf(linux), { image, repo, platform, source, bootable: true });
  return undefined;
};

const switchTo = (tag: string) => async (linux: FakeLinux) => {
  const image = parseImageReference(`oci:${layout}:${tag}`);
  const { rootImage } = await switchImage(systemOf(linux), {
    image,
    sysroot: root,
    platform,
    source,
    kernelArguments: [],
  });
  return rootImage;
};

const init = async (linux: FakeLinux) => {
  await initRepo(systemOf(linux), { repo, algorithm: "sha512", insecure: false });
};

const gc = async (linux: FakeLinux) => {
  await collectGarbage(systemOf(linux), { repo, dryRun: false });
  return undefined;
};

const placeDirectory = async ({ files }: FakeLinux) => placeRootDirectory(files, rootDirectory);

const untag = async (linux: FakeLinux, tag: string) => {
  const handle = openRepo(linux, repo, { access: "write", wait: true });
  untagImage(handle, tag);
  handle.close();
};

/** Changes that an administrator made to the /etc of the default deployment. */
const editEtc = async (linux: FakeLinux) => {
  const { files } = linux;
  const [deployment] = files.readDirectory(fromText(`${root}/state/deploy`));
  const etc = `${root}/state/deploy/${deployment}/etc`;
  files.unlink(fromText(`${etc}/hostname`));
  files.writeNewFile(fromText(`${etc}/hostname`), new TextEncoder().encode("mine\n"), 0o644);
  files.writeNewFile(fromText(`${etc}/local.conf`), new TextEncoder().encode(content("local")), 0o600);
  const fd = files.open(root, "directory");
  files.syncFileSystem(fd);
  files.close(fd);
};

interface Scenario {
  readonly name: string;
  readonly prepare: readonly ((linux: FakeLinux) => Promise<unknown>)[];
  /** Gives the root image that it makes the default, or undefined. */
  readonly operate: (linux: FakeLinux) => Promise<ObjectId | undefined>;
  readonly options?: FakeLinuxOptions;
}

const scenarios: readonly Scenario[] = [
  { name: "pull into an empty repo", prepare: [init], operate: pullTag("v1") },
  { name: "pull of a second version", prepare: [init, pullTag("v1")], operate: pullTag("v2") },
  { name: "switch into a fresh sysroot", prepare: [], operate: switchTo("v1") },
  {
    name: "switch into a fresh sysroot without fs-verity",
    prepare: [],
    operate: switchTo("v1"),
    options: { verity: false },
  },
  {
    name: "switch into a fresh sysroot with a boot partition",
    prepare: [],
    operate: switchTo("v1"),
    options: { mountPoints: [{ path: "/target" }, { path: "/target/boot" }] },
  },
  {
    name: "switch to a second version, with changes in /etc",
    prepare: [switchTo("v1"), editEtc],
    operate: switchTo("v2"),
  },
  {
    name: "switch to the image that is deployed already, by another name",
    prepare: [switchTo("v1"), editEtc],
    operate: switchTo("again"),
  },
  {
    name: "gc of an image that no tag names any more",
    prepare: [init, pullTag("v1"), pullTag("v2"), (linux) => untag(linux, `oci:${layout}:v1`)],
    operate: gc,
  },
  { name: "pull of a root directory", prepare: [init, pullTag("v1"), placeDirectory], operate: pullDirectory },
  {
    name: "pull of a root directory whose files can be cloned",
    prepare: [init, placeDirectory],
    operate: pullDirectory,
    options: { clone: true },
  },
];

const v1 = await buildOsImage("v1");
const images = {
  v1,
  again: v1,
  v2: await buildOsImage("v2", [{ path: "usr/lib/new", content: content("new") }]),
};

/** A machine on which the scenario's operation can begin; all of it durable. */
async function prepared({ prepare, options }: Scenario): Promise<FakeLinux> {
  const linux = new FakeLinux(options);
  if (linux.files.lstatIfExists(root) === undefined) linux.files.makeDirectory(root, 0o755);
  placeLayout(linux.files, layout, images);
  for (const step of prepare) await step(linux);
  return linux;
}

const outcomes: readonly (readonly [string, CrashOptions])[] = [
  ["the process was killed", { keepUnsynced: true }],
  ["the power went, new names are lost", { keepUnsynced: false, names: "lost" }],
  ["the power went, new names are kept without their bytes", { keepUnsynced: false, names: "kept" }],
];

interface Uncrashed {
  readonly calls: number;
  /** Which of the calls write bytes, counted from 1. */
  readonly writes: ReadonlySet<number>;
  readonly before: SystemSnapshot;
  readonly files: readonly string[];
  readonly asked: ObjectId | undefined;
}

async function runUncrashed(base: FakeLinux, { operate }: Scenario): Promise<Uncrashed> {
  const linux = base.crash({ keepUnsynced: true });
  const before = takeSnapshot(linux, root);
  const asked = await operate(linux);
  const calls = linux.trace.length;
  const writes = new Set(linux.trace.flatMap(({ call }, index) => (call.startsWith("write") ? [index + 1] : [])));
  return { calls, writes, before, files: await collected(linux), asked };
}

/** What is on the disk after a gc, but for directories of objects: those stay when they become empty. */
async function collected(linux: FakeLinux): Promise<readonly string[]> {
  await gc(linux);
  return describeFiles(linux.files, root).filter((line) => !/\/objects\/.. directory /.test(line));
}

/** I1 to I4 of the disk as it is; then the operation again, and with I5, after a gc, the same end. */
async function expectRecovered(
  linux: FakeLinux,
  scenario: Scenario,
  { before, asked, files }: Uncrashed,
  when: string,
): Promise<void> {
  const after = takeSnapshot(linux, root);
  expect({ when, wrong: [...checkInvariants(after), ...checkTransition(before, after, asked)] }).toEqual({
    when,
    wrong: [],
  });
  await scenario.operate(linux);
  expect({ when, files: await collected(linux) }).toEqual({ when, files });
  expect({ when, open: linux.openPaths }).toEqual({ when, open: [] });
  const report = await checkRepo(systemOf(linux), { repo, metadataOnly: false });
  expect({ when, problems: report.problems }).toEqual({ when, problems: [] });
}

/** Big enough for the slowest machine: some scenarios crash hundreds of times. */
const timeoutMs = 600_000;

describe.each(scenarios)("$name", (scenario) => {
  test("survives a stop at every mutating call, and running it again ends as if nothing had happened", {
    timeout: timeoutMs,
  }, async () => {
    const base = await prepared(scenario);
    const uncrashed = await runUncrashed(base, scenario);
    expect(uncrashed.calls).toBeGreaterThan(5);
    for (let failAt = 1; failAt <= uncrashed.calls; failAt++) {
      for (const halfWritten of uncrashed.writes.has(failAt) ? [false, true] : [false]) {
        const linux = base.crash({ keepUnsynced: true }, { failAt, halfWritten });
        await expect(scenario.operate(linux)).rejects.toThrow(SimulatedCrash);
        const at = linux.trace.at(-1);
        for (const [outcome, survives] of outcomes) {
          const when = `call ${failAt} (${at?.call} ${at?.path}${halfWritten ? ", half written" : ""}), ${outcome}`;
          await expectRecovered(linux.crash(survives), scenario, uncrashed, when);
        }
      }
    }
  });

  test.each<Fault>(["ENOSPC", "EIO", "EMFILE"])(
    "survives %s at every mutating call",
    { timeout: timeoutMs },
    async (fault) => {
      const base = await prepared(scenario);
      const uncrashed = await runUncrashed(base, scenario);
      for (let failAt = 1; failAt <= uncrashed.calls; failAt++) {
        const linux = base.crash({ keepUnsynced: true }, { failAt, fault });
        const error: unknown = await scenario.operate(linux).then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        const at = linux.trace[failAt - 1];
        const when = `${fault} at call ${failAt} (${at?.call} ${at?.path})`;
        if (error !== undefined) expect({ when, error }).toEqual({ when, error: expect.any(OsdeployError) });
        expect({ when, open: linux.openPaths }).toEqual({ when, open: [] });
        await expectRecovered(linux.crash({ keepUnsynced: true }), scenario, uncrashed, when);
      }
    },
  );
});
