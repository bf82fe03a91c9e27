import { describe, expect, test } from "vitest";
import { openBootloader } from "../../src/bootloader/open-bootloader.ts";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { collectGarbage } from "../../src/operations/collect-garbage.ts";
import { initRepo } from "../../src/operations/init-repo.ts";
import type { InstallToRootRequest } from "../../src/operations/install-to-root.ts";
import { describeFiles } from "../builders/machine-text.ts";
import { failureOf, layoutReference, pullTag, repoOfSysroot, systemOn } from "../builders/operation-machine.ts";
import { bootMount, espMount, install, machine, rootMount } from "../builders/root-installs.ts";
import { putFile } from "../builders/tool-runs.ts";
import { type CrashOptions, type FakeLinux, type Fault, SimulatedCrash } from "../fakes/fake-linux.ts";

/** Big enough for the slowest machine. */
const timeoutMs = 600_000;

interface Scenario {
  readonly name: string;
  readonly mounts: readonly (typeof rootMount)[];
  /** Files of a system that is there. */
  readonly there?: Readonly<Record<string, string>>;
  readonly tag: string;
  readonly request: Partial<InstallToRootRequest>;
}

const scenarios: readonly Scenario[] = [
  { name: "systemd-boot", mounts: [rootMount, bootMount], tag: "os", request: {} },
  {
    name: "GRUB on a partition of its own, and keys in /var",
    mounts: [rootMount, bootMount, espMount],
    tag: "roaming",
    request: { bootloader: "grub", esp: fromText("/esp"), rootKeys: fromText("/keys") },
  },
  {
    name: "keys in /etc beside a GRUB that is there",
    mounts: [rootMount],
    there: { "/target/boot/grub/grub.cfg": "its own\n" },
    tag: "os",
    request: { isExisting: true, bootloader: undefined, rootKeys: fromText("/keys") },
  },
];

async function prepared({ mounts, there = {}, tag }: Scenario): Promise<FakeLinux> {
  const linux = machine({ mounts });
  for (const [path, words] of Object.entries(there)) putFile(linux.files, path, words);
  putFile(linux.files, "/keys", "ssh-ed25519 AAAA me\n");
  // How a pull survives is tested for all operations alike.
  await initRepo(systemOn(linux), { repo: repoOfSysroot, algorithm: "sha512", insecure: false });
  await pullTag(linux, tag);
  for (const { at } of [{ at: "/" }, ...mounts]) {
    const fd = linux.files.open(fromText(at), "directory");
    linux.files.syncFileSystem(fd);
    linux.files.close(fd);
  }
  return linux;
}

const run = async (linux: FakeLinux, { tag, request }: Scenario) =>
  await install(linux, { image: parseImageReference(layoutReference(tag)), ...request });

const outcomes: readonly (readonly [string, CrashOptions])[] = [
  ["the process was killed", { keepUnsynced: true }],
  ["the power went, new names are lost", { keepUnsynced: false, names: "lost" }],
  ["the power went, new names are kept without their bytes", { keepUnsynced: false, names: "kept" }],
];

/** What stays: directories of objects when they become empty, and what GRUB's menu was before, until it changes again. */
const isLeft = (line: string) => /\/objects\/.. directory |\/grub\/osdeploy\.cfg\.new /.test(line);

/** What is there after a gc. */
async function settled(linux: FakeLinux, { mounts }: Scenario): Promise<readonly string[]> {
  await collectGarbage(systemOn(linux), { repo: repoOfSysroot, dryRun: false });
  const lines = mounts.flatMap(({ at }) => describeFiles(linux.files, fromText(at)));
  return lines.filter((line) => !isLeft(line));
}

/** An entry, which is the commit, has all that it needs; without one the same command gets there. */
async function expectRecovered(linux: FakeLinux, scenario: Scenario, disks: readonly string[], when: string) {
  const menu = openBootloader(linux.files, { boot: fromText("/target/boot") }).readMenu();
  const isDone = menu.entries.length > 0;
  if (!isDone) await run(linux, scenario);
  // What a good run could not remove of its own is told, and goes with the next one.
  const found = (await settled(linux, scenario)).filter((line) => !isDone || !line.includes("/.osdeploy-install-"));
  expect({ when, disks: found }).toEqual({ when, disks });
  expect({ when, open: linux.openPaths }).toEqual({ when, open: [] });
}

describe.each(scenarios)("installation with $name", (scenario) => {
  test("survives a stop at every mutating call, and running it again ends as if nothing had happened", {
    timeout: timeoutMs,
  }, async () => {
    const base = await prepared(scenario);
    const whole = base.crash({ keepUnsynced: true });
    await run(whole, scenario);
    const calls = whole.trace.length;
    expect(calls).toBeGreaterThan(5);
    const disks = await settled(whole, scenario);
    for (let failAt = 1; failAt <= calls; failAt++) {
      const isWrite = whole.trace[failAt - 1]?.call.startsWith("write") === true;
      for (const halfWritten of isWrite ? [false, true] : [false]) {
        const linux = base.crash({ keepUnsynced: true }, { failAt, halfWritten });
        await expect(run(linux, scenario)).rejects.toThrow(SimulatedCrash);
        const at = linux.trace.at(-1);
        for (const [outcome, survives] of outcomes) {
          const when = `call ${failAt} (${at?.call} ${at?.path}${halfWritten ? ", half written" : ""}), ${outcome}`;
          await expectRecovered(linux.crash(survives), scenario, disks, when);
        }
      }
    }
  });

  test.each<Fault>(["ENOSPC", "EIO"])("survives %s at every mutating call", { timeout: timeoutMs }, async (fault) => {
    const base = await prepared(scenario);
    const whole = base.crash({ keepUnsynced: true });
    await run(whole, scenario);
    const calls = whole.trace.length;
    const disks = await settled(whole, scenario);
    for (let failAt = 1; failAt <= calls; failAt++) {
      const linux = base.crash({ keepUnsynced: true }, { failAt, fault });
      const error = await failureOf(run(linux, scenario));
      const at = linux.trace[failAt - 1];
      const when = `${fault} at call ${failAt} (${at?.call} ${at?.path})`;
      if (error !== undefined) expect({ when, error }).toEqual({ when, error: expect.any(OsdeployError) });
      expect({ when, open: linux.openPaths }).toEqual({ when, open: [] });
      await expectRecovered(linux.crash({ keepUnsynced: true }), scenario, disks, when);
    }
  });
});
