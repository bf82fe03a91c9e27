import { beforeEach, describe, expect, test } from "vitest";
import { openRepoInTurn } from "../../../src/operations/in-turn.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { failureOf, machineWithRepo, repoOfSysroot, SeenProgress, systemOn } from "../../builders/operation-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

describe("openRepoInTurn", () => {
  let linux: FakeLinux;
  beforeEach(async () => {
    linux = await machineWithRepo({});
  });

  test("opens at once what nobody else has", async () => {
    const repo = await openRepoInTurn(systemOn(linux), repoOfSysroot, "exclusive");
    expect(repo.access).toBe("exclusive");
    repo.close();
  });

  test.each([
    ["a writer", "write", "exclusive", "another operation uses it"],
    ["a collection", "exclusive", "write", "a garbage collection holds its lock"],
  ] as const)("waits for %s to end, and says so once", async (_, held, wanted, who) => {
    const other = openRepo(linux, repoOfSysroot, { access: held, wait: false });
    const seen = new SeenProgress();
    const waiting = openRepoInTurn(systemOn(linux, { progress: seen.report }), repoOfSysroot, wanted);
    await new Promise((resolve) => setTimeout(resolve, 450));
    other.close();
    (await waiting).close();
    expect(seen.warnings).toEqual([`Cannot open repo "${repoOfSysroot}": ${who}: waiting for it to end`]);
  });

  test("ends when it is asked to, and leaves the lock", async () => {
    const other = openRepo(linux, repoOfSysroot, { access: "write", wait: false });
    const halt = new AbortController();
    const waiting = openRepoInTurn(systemOn(linux, { signal: halt.signal }), repoOfSysroot, "exclusive");
    halt.abort();
    expect(await failureOf(waiting)).toMatchObject({ code: "interrupted" });
    other.close();
    openRepo(linux, repoOfSysroot, { access: "exclusive", wait: false }).close();
  });

  test("any other error is told at once", async () => {
    const none = openRepoInTurn(systemOn(linux), repoOfSysroot.replace("composefs", "none") as never, "write");
    expect(await failureOf(none)).toMatchObject({ code: "not-found" });
  });
});
