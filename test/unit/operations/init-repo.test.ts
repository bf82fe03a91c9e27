import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { initRepo } from "../../../src/operations/init-repo.ts";
import { machineWith, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";

test("initRepo: makes a repo once, and finds it there after", async () => {
  const system = systemOn(machineWith({}));
  const request = { repo: repoOfSysroot, algorithm: "sha256", insecure: false } as const;
  expect(await initRepo(system, request)).toEqual({
    path: "/target/composefs",
    algorithm: "sha256",
    secure: true,
    created: true,
  });
  expect(await initRepo(system, request)).toMatchObject({ created: false });
  await expect(initRepo(system, { ...request, algorithm: "sha512" })).rejects.toMatchObject({
    code: "already-exists",
  });
});

test("initRepo: makes the directories above a repo only when asked to", async () => {
  const system = systemOn(machineWith({}));
  const request = { repo: fromText("/home/.var/lib/composefs"), algorithm: "sha512", insecure: false } as const;
  await expect(initRepo(system, request)).rejects.toMatchObject({ code: "not-found" });
  expect(await initRepo(system, { ...request, parents: true })).toMatchObject({ created: true });
  expect(await initRepo(system, { ...request, parents: true })).toMatchObject({ created: false });
});

test("initRepo: without fs-verity only when asked to", async () => {
  const system = systemOn(machineWith({}, { verity: false }));
  const request = { repo: repoOfSysroot, algorithm: "sha512", insecure: false } as const;
  await expect(initRepo(system, request)).rejects.toMatchObject({ code: "unsupported" });
  expect(await initRepo(system, { ...request, insecure: true })).toMatchObject({ secure: false, created: true });
});
