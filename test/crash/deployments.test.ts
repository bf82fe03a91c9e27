import { describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { isRollbackQueued } from "../../src/core/deployment/deployment.ts";
import { checkInvariants, checkTransition, type SystemSnapshot } from "../../src/core/deployment/invariants.ts";
import type { ObjectId } from "../../src/core/digest/object-id.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { removeTree } from "../../src/linux/remove-tree.ts";
import { bootComplete } from "../../src/operations/boot-complete.ts";
import { collectDeployments } from "../../src/operations/collect-deployments.ts";
import { finalizeStaged } from "../../src/operations/finalize-staged.ts";
import { pull } from "../../src/operations/pull.ts";
import { rollback } from "../../src/operations/rollback.ts";
import { status } from "../../src/operations/status.ts";
import { describeFiles } from "../builders/machine-text.ts";
import { layoutReference, linuxAmd64, noLogin, systemOn } from "../builders/operation-machine.ts";
import { buildOsImage, content } from "../builders/os-images.ts";
import {
  boot,
  physicalRoot,
  runningMachine,
  stateOf,
  switchRunning,
  syncAll,
  writeText,
} from "../builders/running-machine.ts";
import { takeSnapshot } from "../builders/system-snapshot.ts";
import { type CrashOptions, type FakeLinux, type Fault, SimulatedCrash } from "../fakes/fake-linux.ts";

/** Big enough for the slowest machine: some scenarios crash hundreds of times. */
const timeoutMs = 600_000;

const images = {
  v1: await buildOsImage("v1"),
  v2: await buildOsImage("v2", [{ path: "etc/new", content: content("new") }]),
  v3: await buildOsImage("v3"),
};

type Step = (linux: FakeLinux) => Promise<unknown>;

const pulled: Step = (linux) =>
  pull(systemOn(linux), {
    image: parseImageReference(layoutReference("v2")),
    repo: fromText("/sysroot/composefs"),
    platform: linuxAmd64,
    source: noLogin,
    bootable: true,
  });
const stage: Step = (linux) => switchRunning(linux, "v2");
const finalize: Step = (linux) => finalizeStaged(systemOn(linux), { sysroot: physicalRoot });
const complete: Step = (linux) => bootComplete(systemOn(linux), { sysroot: physicalRoot });
const goBack: Step = (linux) => rollback(systemOn(linux), { sysroot: physicalRoot, apply: false });
const collect: Step = (linux) =>
  collectDeployments(systemOn(linux), { sysroot: physicalRoot, keep: 0, dryRun: false, whenNeeded: false });
/** As a unit does it after each good boot. */
const collectAtBoot: Step = (linux) =>
  collectDeployments(systemOn(linux), { sysroot: physicalRoot, keep: 0, dryRun: false, whenNeeded: true });
const start: Step = async (linux) => boot(linux);

/** What an administrator does to the /etc that is running. */
const editEtc: Step = async (linux) => {
  const etc = `/sysroot/state/deploy/${stateOf(linux).booted?.rootImage}/etc`;
  writeText(linux, `${etc}/hostname`, "mine\n");
  writeText(linux, `${etc}/local.conf`, content("local"));
  syncAll(linux);
};

/** The same where the initramfs makes an overlay of /etc: only what was changed is there. */
const overlayEtc: Step = async (linux) => {
  const etc = `/sysroot/state/deploy/${stateOf(linux).booted?.rootImage}/etc`;
  removeTree(linux.files, fromText(etc));
  for (const path of [etc, `${etc}/upper`, `${etc}/work`]) linux.files.makeDirectory(fromText(path), 0o755);
  writeText(linux, `${etc}/upper/local.conf`, content("local"));
  linux.files.makeNode(fromText(`${etc}/upper/hostname`), "character-device", { permissions: 0, rdev: 0 });
  syncAll(linux);
};

interface Scenario {
  readonly name: string;
  readonly prepare: readonly Step[];
  readonly operate: Step;
  /** Brings about what the operation was for, whatever of it was done, and whether or not the machine went down between. */
  readonly recover: Step;
  /** The image that may be the default afterwards, besides the one before. */
  readonly asks?: keyof typeof images;
}

const upgraded: readonly Step[] = [stage, finalize, start];

const scenarios: readonly Scenario[] = [
  { name: "stage an image that was pulled", prepare: [pulled, editEtc], operate: stage, recover: stage },
  { name: "stage over an /etc that is an overlay", prepare: [pulled, overlayEtc], operate: stage, recover: stage },
  {
    name: "stage what was staged before, and dropped",
    prepare: [stage, switchTo("v1"), editEtc],
    operate: stage,
    recover: stage,
  },
  {
    name: "finalize",
    prepare: [stage, editEtc],
    operate: finalize,
    recover: async (linux) => {
      await stage(linux);
      await finalize(linux);
    },
    asks: "v2",
  },
  {
    name: "finalize a deployment that was there before",
    prepare: [...upgraded, complete, switchTo("v1"), editEtc],
    operate: finalize,
    recover: async (linux) => {
      await switchRunning(linux, "v1");
      await finalize(linux);
    },
    asks: "v1",
  },
  { name: "boot-complete of a counted boot", prepare: [...upgraded, editEtc], operate: complete, recover: complete },
  {
    name: "boot-complete after a fallback",
    prepare: [...upgraded, start, start, start],
    operate: complete,
    recover: complete,
  },
  {
    name: "rollback",
    prepare: [...upgraded, complete],
    operate: goBack,
    recover: recoverRollback,
    asks: "v1",
  },
  {
    name: "rollback, with something staged",
    prepare: [...upgraded, complete, switchTo("v3")],
    operate: goBack,
    recover: recoverRollback,
    asks: "v1",
  },
  {
    name: "gc after two upgrades",
    prepare: [...upgraded, complete, switchTo("v3"), finalize, start, complete, editEtc],
    operate: collect,
    recover: collect,
  },
  {
    name: "gc after two upgrades, as at each boot",
    prepare: [...upgraded, complete, switchTo("v3"), finalize, start, complete, editEtc],
    operate: collectAtBoot,
    recover: collectAtBoot,
  },
];

/** Also commits what is staged still, as a shutdown would: nothing may be. */
async function recoverRollback(linux: FakeLinux): Promise<void> {
  const { booted } = stateOf(linux);
  // After a reboot the machine may be where it was to go.
  if (isRollbackQueued(stateOf(linux)) || stateOf(linux).deployments[0]?.rootImage === booted?.rootImage) {
    if (booted?.rootImage === rootImages.get("v1")) return;
  }
  if (!isRollbackQueued(stateOf(linux))) await goBack(linux);
  await finalize(linux);
}

/** Stages this image; what runs anyway only drops what is staged. */
function switchTo(tag: keyof typeof images): Step {
  return (linux) => switchRunning(linux, tag);
}

const rootImages = new Map<string, ObjectId>();

/** A machine on which the scenario's operation can begin; all of it durable. */
async function prepared({ prepare }: Scenario): Promise<FakeLinux> {
  const linux = await runningMachine(images, "v1");
  await complete(linux);
  for (const step of prepare) await step(linux);
  for (const { origin, rootImage } of stateOf(linux).deployments) {
    const tag = Object.entries(images).find(([, { manifestDigest }]) => manifestDigest === origin?.manifestDigest)?.[0];
    if (tag !== undefined) rootImages.set(tag, rootImage);
  }
  syncAll(linux);
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
  readonly settled: readonly string[];
}

async function runUncrashed(base: FakeLinux, { operate }: Scenario): Promise<Uncrashed> {
  const linux = base.crash({ keepUnsynced: true });
  const before = takeSnapshot(linux, physicalRoot);
  await operate(linux);
  const calls = linux.trace.length;
  const writes = new Set(linux.trace.flatMap(({ call }, index) => (call.startsWith("write") ? [index + 1] : [])));
  return { calls, writes, before, settled: await settled(linux) };
}

/** Directories that stay when they become empty. */
const emptyIsFine = /\/(objects\/..|state\/osdeploy(\/[a-z-]+)?) directory /;

/** The disk after a reboot, a good boot and a gc: what a crash left behind must be gone by then. */
async function settled(before: FakeLinux): Promise<readonly string[]> {
  const linux = before.crash({ keepUnsynced: true, reboot: true });
  boot(linux);
  await complete(linux);
  await collect(linux);
  return ["/sysroot", "/boot"].flatMap((path) =>
    describeFiles(linux.files, fromText(path)).filter((line) => !emptyIsFine.test(line)),
  );
}

/** I1 to I4 as the disk is, and that it boots; then what the operation was for, and with I5 the same end. */
async function expectRecovered(
  linux: FakeLinux,
  scenario: Scenario,
  { before, settled: expected }: Uncrashed,
  outcome: { readonly when: string; readonly rebooted: boolean },
): Promise<void> {
  const { when, rebooted } = outcome;
  const asked = scenario.asks === undefined ? undefined : rootImages.get(scenario.asks);
  const check = () => {
    const after = takeSnapshot(linux, physicalRoot);
    const wrong = [...checkInvariants(after), ...checkTransition(before, after, asked)];
    expect({ when, wrong }).toEqual({ when, wrong: [] });
  };
  check();
  await expectTrueWords(linux, when);
  if (rebooted) boot(linux);
  await scenario.recover(linux);
  check();
  expect({ when, open: linux.openPaths }).toEqual({ when, open: [] });
  expect({ when, settled: await settled(linux) }).toEqual({ when, settled: expected });
}

/** What `status` says was lost is nothing that is staged, or that was committed. */
async function expectTrueWords(linux: FakeLinux, when: string): Promise<void> {
  const { staged, lostStaged, deployments } = await status(systemOn(linux), { sysroot: physicalRoot });
  const next = deployments.find(({ roles }) => roles.includes("default"));
  if (lostStaged === null) return;
  expect({ when, staged, isNext: next?.manifestDigest === lostStaged.manifestDigest }).toEqual({
    when,
    staged: null,
    isNext: false,
  });
}

describe.each(scenarios)("$name", (scenario) => {
  test(
    "survives a stop at every mutating call",
    async () => {
      const base = await prepared(scenario);
      const uncrashed = await runUncrashed(base, scenario);
      expect(uncrashed.calls).toBeGreaterThan(1);
      for (let failAt = 1; failAt <= uncrashed.calls; failAt++) {
        for (const halfWritten of uncrashed.writes.has(failAt) ? [false, true] : [false]) {
          const linux = base.crash({ keepUnsynced: true }, { failAt, halfWritten });
          await expect(scenario.operate(linux)).rejects.toThrow(SimulatedCrash);
          const at = linux.trace.at(-1);
          for (const [name, survives] of outcomes) {
            const when = `call ${failAt} (${at?.call} ${at?.path}${halfWritten ? ", half written" : ""}), ${name}`;
            await expectRecovered(linux.crash(survives), scenario, uncrashed, {
              when,
              rebooted: !survives.keepUnsynced,
            });
          }
        }
      }
    },
    timeoutMs,
  );

  test.each<Fault>(["ENOSPC", "EIO"])(
    "survives %s at every mutating call",
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
        await expectRecovered(linux.crash({ keepUnsynced: true }), scenario, uncrashed, { when, rebooted: false });
      }
    },
    timeoutMs,
  );
});
