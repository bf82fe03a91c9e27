import { expect, test } from "vitest";
import {
  type BootPartitionVerdict,
  type BootPlace,
  judgeBootPartition,
  starterOf,
} from "../../../../src/core/deployment/boot-partition.ts";
import type { SysrootState } from "../../../../src/core/deployment/deployment.ts";
import { bootedOf, entryOf, rootImageOf, stateWith } from "../../../builders/sysroot-states.ts";

const bare = { isMounted: false, hasKernelStore: false };
const mounted = { isMounted: true, hasKernelStore: false };
const store = { isMounted: false, hasKernelStore: true };

const heldByOthers = new Set([rootImageOf("b")]);
const running = bootedOf("b", 7);
/** Entry 7 was started with the root image of `a`, and `b` is what runs since. */
const afterSoftReboot = { ...running, kernelArguments: `rw composefs=${rootImageOf("a")}` };
const byOthers = bootedOf("b");

const cases: readonly (readonly [string, SysrootState, BootPlace, BootPartitionVerdict])[] = [
  ["running, with its entry", stateWith("ab", [entryOf(7, "b")], { booted: running }), bare, "found"],
  ["running, with its entry on a partition", stateWith("ab", [entryOf(7, "b")], { booted: running }), mounted, "found"],
  ["running, and another file system is there", stateWith("ab", [], { booted: running }), mounted, "other"],
  [
    "running, with other entries of what runs, as of a twin",
    stateWith("ab", [entryOf(6, "b")], { booted: running }),
    mounted,
    "other",
  ],
  ["running, and nothing is mounted", stateWith("ab", [], { booted: running }), bare, "not-mounted"],
  ["running, and others' entries name it", stateWith("ab", [], { booted: running, heldByOthers }), mounted, "found"],
  ["running by another program's entry", stateWith("b", [], { booted: byOthers, heldByOthers }), mounted, "found"],
  ["running by no entry of a number", stateWith("b", [entryOf(3, "b")], { booted: byOthers }), mounted, "found"],
  ["running by an entry that is nowhere", stateWith("ab", [entryOf(3, "a")], { booted: byOthers }), mounted, "other"],
  [
    "running after a soft reboot, and the entry before is gone",
    stateWith("ab", [entryOf(8, "b")], { booted: afterSoftReboot }),
    mounted,
    "found",
  ],
  [
    "running after a soft reboot, with entries of others alone",
    stateWith("ab", [entryOf(8, "c")], { booted: afterSoftReboot }),
    mounted,
    "other",
  ],
  ["at rest without deployments", stateWith("", []), bare, "fresh"],
  ["at rest without deployments, beside entries", stateWith("", [entryOf(1, "c")]), bare, "fresh"],
  ["at rest with an entry of one", stateWith("ab", [entryOf(1, "b")]), bare, "found"],
  ["at rest with another program's entry of one", stateWith("ab", [], { heldByOthers }), bare, "found"],
  ["at rest with entries of another sysroot", stateWith("ab", [entryOf(1, "c")]), store, "other"],
  ["at rest without entries, where kernels are", stateWith("a", []), store, "unfinished"],
  ["at rest without entries, in an empty directory", stateWith("ab", []), bare, "no-entries"],
];

test.each(cases)("judgeBootPartition: %s", (_, state, place, verdict) => {
  expect(judgeBootPartition(state, place)).toBe(verdict);
});

test("starterOf: is the entry, or one of the root image where it has no number", () => {
  expect(starterOf(running)).toBe("osdeploy-000007");
  expect(starterOf(byOthers)).toBe(`an entry of root image ${rootImageOf("b")}`);
});
