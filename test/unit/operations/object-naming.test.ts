import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { ObjectNaming } from "../../../src/operations/object-naming.ts";
import { ObjectStaging } from "../../../src/repo/object-staging.ts";
import { objectPath } from "../../../src/repo/repo-paths.ts";
import { packStaged } from "../../../src/repo/staged-objects.ts";
import { StagingRun } from "../../../src/repo/staging-run.ts";
import { systemOn } from "../../builders/operation-machine.ts";
import { content, idOf, makeRepo, modes, repoPath, withRepo } from "../../builders/repos.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

/** Threads are started from a file beside the code, so what is tested is what was built. */
const built = new URL("../../../dist/operations/name-worker.js", import.meta.url);
const isBuilt = existsSync(built);
const without = isBuilt ? "" : " (skipped: dist is not built)";

test.each(modes)(
  "ObjectNaming: without threads objects have their names when it has begun, in a $mode repo",
  async ({ secure }) => {
    const linux = new FakeLinux();
    makeRepo(linux, { secure });
    const [run, naming] = withRepo(linux, "write", (repo) => {
      const run = new StagingRun(repo);
      const staging = new ObjectStaging(repo.files, run.newStagingOptions());
      staging.add(content(100));
      staging.add(content(5000));
      return [run, new ObjectNaming(systemOn(linux), repo, [packStaged(staging.take())])];
    });
    const path = objectPath(repoPath, idOf(content(100)));
    expect(linux.files.lstatIfExists(path)).toBeUndefined();
    naming.begin();
    expect(linux.files.readFile(path, 1000)).toEqual(content(100));
    expect(linux.files.measureVerity(path, "sha512")).toBe(secure ? idOf(content(100)) : undefined);
    expect(await naming.done()).toEqual({ addedObjects: 2, addedBytes: 5100, repaired: [] });
    await naming.close();
    run.close();
  },
);

test("ObjectNaming: without threads a failure is thrown at once", () => {
  const linux = new FakeLinux();
  makeRepo(linux, { secure: false });
  const gone = { id: idOf(content(100)), path: fromText("/repo/staging/none"), sizeBytes: 1, replaces: false };
  withRepo(linux, "write", (repo) => {
    const naming = new ObjectNaming(systemOn(linux), repo, [packStaged([gone])]);
    expect(() => naming.begin()).toThrow(expect.objectContaining({ code: "not-found" }));
  });
});

/** Runs in a process of its own, from the built files: names 6000 objects in a thread, twice. */
const script = `
const [dist, directory] = process.argv.slice(2);
const load = (path) => import(new URL(path, dist).href);
const { fromText } = await load("../core/bytes/byte-string.js");
const { openLinux } = await load("../linux/live-linux.js");
const { initRepo, defaultInitOptions } = await load("../repo/init-repo.js");
const { ObjectStaging } = await load("../repo/object-staging.js");
const { openRepo } = await load("../repo/repo.js");
const { packStaged } = await load("../repo/staged-objects.js");
const { StagingRun } = await load("../repo/staging-run.js");
const { ObjectNaming } = await load("object-naming.js");
const linux = openLinux();
const path = fromText(directory);
initRepo(linux, path, { ...defaultInitOptions, secure: false });
const repo = openRepo(linux, path, { access: "write", wait: true });
const run = new StagingRun(repo);
const staging = new ObjectStaging(linux.files, run.newStagingOptions());
for (let i = 0; i < 6000; i++) staging.add(new TextEncoder().encode("content " + i));
const objects = [packStaged(staging.take())];
const system = { linux, progress() {}, signal: new AbortController().signal, importThreads: 2 };
const { listObjects } = await load("../repo/object-listing.js");
const count = () => listObjects(linux.files, path, "sha512").ids.size;
const naming = new ObjectNaming(system, repo, objects);
await new Promise((resolve) => setTimeout(resolve, 300));
const before = count();
naming.begin();
const report = await naming.done();
await naming.close();
const next = new ObjectNaming(system, repo, objects);
next.begin();
const again = await next.done().catch(({ code }) => ({ code }));
await next.close();
const stopped = new ObjectNaming(system, repo, objects);
await stopped.close();
const failure = await stopped.done().catch(({ message }) => message);
run.close();
console.log(JSON.stringify({ before, report, again, failure, ids: count() }));
`;

test.skipIf(!isBuilt)(
  `ObjectNaming: many objects get their names in a thread, and its failures come out${without}`,
  () => {
    const directory = mkdtempSync(join(tmpdir(), "object-naming-"));
    try {
      const program = join(directory, "name.mjs");
      writeFileSync(program, script);
      const words = [program, built.href, join(directory, "repo")];
      const printed = execFileSync(process.execPath, words, { encoding: "utf8" });
      expect(JSON.parse(printed)).toEqual({
        before: 0,
        report: { addedObjects: 6000, addedBytes: 70890, repaired: [] },
        again: { code: "not-found" },
        failure: expect.stringContaining("The thread that names objects ended"),
        ids: 6000,
      });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
);
