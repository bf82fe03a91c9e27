import { beforeEach, describe, expect, test } from "vitest";
import { Lab } from "../../../src/lab/lab.ts";
import { withLockedLab } from "../../../src/operations/lab-lock.ts";
import { labLinux, labPath } from "../../builders/lab-machines.ts";
import { SeenProgress, systemOn } from "../../builders/operation-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

describe("withLockedLab", () => {
  let linux: FakeLinux;
  let lab: Lab;
  beforeEach(() => {
    linux = labLinux();
    lab = new Lab(linux, labPath);
  });

  test("one at a time; what fails frees the lock", async () => {
    await expect(withLockedLab(systemOn(linux), lab, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await withLockedLab(systemOn(linux), lab, async () => linux.openPaths)).toEqual([labPath]);
    expect(linux.openPaths).toEqual([]);
  });

  test("waits for another run, and says so once", async () => {
    const seen = new SeenProgress();
    const free = lab.lock();
    const done: string[] = [];
    const waiting = withLockedLab(systemOn(linux, { progress: seen.report }), lab, async () => done.push("second"));
    await new Promise((resolve) => setTimeout(resolve, 450));
    done.push("first");
    free();
    await waiting;
    expect(done).toEqual(["first", "second"]);
    expect(seen.warnings).toEqual([
      "Cannot change the machines of lab /lab: another run of osdeploy does: waiting for it to end",
    ]);
  });

  test("ends when it is asked to, and leaves the lock to the other run", async () => {
    const free = lab.lock();
    const halt = new AbortController();
    const waiting = withLockedLab(systemOn(linux, { signal: halt.signal }), lab, async () => "done");
    halt.abort();
    await expect(waiting).rejects.toMatchObject({ code: "interrupted" });
    expect(linux.openPaths).toEqual([labPath]);
    free();
    expect(linux.openPaths).toEqual([]);
  });
});
