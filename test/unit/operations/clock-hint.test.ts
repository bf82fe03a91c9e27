import { beforeEach, expect, test } from "vitest";
import { makeSysrootState } from "../../../src/core/deployment/deployment.ts";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { withClockHint } from "../../../src/operations/clock-hint.ts";
import { openRepo } from "../../../src/repo/repo.ts";
import { buildImage } from "../../builders/oci-image.ts";
import { failureOf, machineWithRepo, pullTag, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { entryOf, originOf, rootImageOf, stateWith } from "../../builders/sysroot-states.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const image = await buildImage({ layers: [[{ path: "usr" }]] });

let linux: FakeLinux;
beforeEach(async () => {
  linux = await machineWithRepo({ image });
  await pullTag(linux, "image", { bootable: false });
});

/** The state of a machine on which the image, and others of which nothing is known, are deployed. */
const state = makeSysrootState({
  directories: [
    {
      rootImage: rootImageOf("a"),
      origin: { ...originOf("a"), manifestDigest: parseManifestDigest(image.manifestDigest) },
    },
    { rootImage: rootImageOf("b"), origin: originOf("b") },
    { rootImage: rootImageOf("c"), origin: undefined },
  ],
  menu: { entries: [entryOf(1, "a")], stale: [], foreign: [] },
});

async function hintFor(facts: Record<string, string>, now: number, known = state): Promise<unknown> {
  linux.advance(now - linux.clock.now());
  const repo = openRepo(linux, repoOfSysroot, { access: "read", wait: true });
  const ask = () => Promise.reject(new OsdeployError("network", "Cannot ask", { facts }));
  const error = await failureOf(withClockHint(systemOn(linux), { repo, state: known }, ask));
  repo.close();
  expect(error).toMatchObject({ code: "network", message: "Cannot ask" });
  return error instanceof OsdeployError ? error.facts["hint"] : undefined;
}

test.each(["CERT_NOT_YET_VALID", "CERT_HAS_EXPIRED"])(
  "withClockHint: %s on a machine that was never set",
  async (errno) => {
    expect(await hintFor({ errno }, Date.UTC(1970, 0, 1))).toBe(
      "The clock of this machine says 1970-01-01 00:00 UTC, which is before the image that it runs was built (2024-01-02 03:04 UTC): set it and try again",
    );
  },
);

test("withClockHint: a clock that can be right is only shown", async () => {
  const hint = "The clock of this machine says 2027-01-01 00:00 UTC; if that is wrong, set it and try again";
  expect(await hintFor({ errno: "CERT_HAS_EXPIRED" }, Date.UTC(2027, 0, 1))).toBe(hint);
  expect(await hintFor({ errno: "CERT_HAS_EXPIRED" }, Date.UTC(2027, 0, 1), stateWith("", []))).toBe(hint);
});

test("withClockHint: other errors are none of its business, and results pass", async () => {
  expect(await hintFor({ errno: "ECONNREFUSED", hint: "its own" }, 0)).toBe("its own");
  const repo = openRepo(linux, repoOfSysroot, { access: "read", wait: true });
  expect(await withClockHint(systemOn(linux), { repo, state }, () => Promise.resolve(7))).toBe(7);
  repo.close();
});
