import { expect, test } from "vitest";
import { kernelVerity, needsLoopDevice } from "../../../../src/core/boot/kernel-version.ts";

test.each(["6.6.0", "6.6", "6.12.107+deb13-cloud-amd64", "7.0.7-1", "7.1-rc1", "10.0.1"])(
  "kernelVerity: %s checks files",
  (name) => {
    expect(kernelVerity(name)).toEqual({ kind: "checks" });
  },
);

test.each([
  ["6.5.13", "from 6.6 on"],
  ["7.0.0", "7.0 to 7.0.6"],
  ["7.0.6-arch1", "7.0 to 7.0.6"],
])("kernelVerity: %s cannot", (name, reason) => {
  expect(kernelVerity(name)).toEqual({ kind: "cannot", reason: expect.stringContaining(reason) });
});

test("kernelVerity: before 6.5 nothing can mount a composefs root", () => {
  for (const name of ["6.1.0-40-amd64", "6.4.16", "5.15"]) {
    expect(kernelVerity(name)).toEqual({ kind: "cannot-mount", reason: expect.stringContaining("from 6.5 on") });
  }
});

test("needsLoopDevice: to mount a root image, up to 6.11", () => {
  expect(["6.11.9", "6.12", "7.1", "custom"].map(needsLoopDevice)).toEqual([true, false, false, false]);
});

test("kernelVerity: a name without a version says nothing", () => {
  expect(kernelVerity("custom")).toEqual({ kind: "unknown" });
});
