import { expect, test } from "vitest";
import { type DiskDemand, planDiskLayout } from "../../../../src/core/disk/disk-layout.ts";
import { OsdeployError } from "../../../../src/core/errors.ts";

const mebibyte = 1024 * 1024;
const gibibyte = 1024 * mebibyte;

function plan(changes: Partial<DiskDemand> = {}) {
  return planDiskLayout({
    diskBytes: undefined,
    sectorBytes: 512,
    bootBytes: 512 * mebibyte,
    rootBytes: undefined,
    neededBootBytes: 100 * mebibyte,
    neededRootBytes: 600 * mebibyte,
    ...changes,
  });
}

function refusal(changes: Partial<DiskDemand>): string {
  try {
    plan(changes);
  } catch (error) {
    if (error instanceof OsdeployError && error.code === "no-space") return error.message;
    throw error;
  }
  return "";
}

test("planDiskLayout: a file of no given size has room for a second system, in whole GiB", () => {
  expect(plan()).toEqual({
    diskBytes: 3 * gibibyte,
    boot: { offsetBytes: mebibyte, sizeBytes: 512 * mebibyte },
    root: { offsetBytes: 513 * mebibyte, sizeBytes: 3 * gibibyte - 514 * mebibyte },
  });
});

test("planDiskLayout: an EFI system partition of its own comes first", () => {
  const esp = { sizeBytes: 64 * mebibyte - 1, neededBytes: mebibyte };
  expect(plan({ esp })).toMatchObject({
    esp: { offsetBytes: mebibyte, sizeBytes: 64 * mebibyte },
    boot: { offsetBytes: 65 * mebibyte, sizeBytes: 512 * mebibyte },
    root: { offsetBytes: 577 * mebibyte },
  });
  expect(refusal({ esp: { ...esp, neededBytes: 65 * mebibyte } })).toContain("the EFI system partition has");
});

test("planDiskLayout: a root of a given size makes the file no larger than it has to be", () => {
  expect(plan({ rootBytes: gibibyte + 1 })).toMatchObject({
    diskBytes: gibibyte + 515 * mebibyte,
    root: { offsetBytes: 513 * mebibyte, sizeBytes: gibibyte + mebibyte },
  });
});

test("planDiskLayout: root takes all of a disk, or what it was told to, and leaves the rest", () => {
  const diskBytes = 20 * gibibyte + 4096 + 100;
  expect(plan({ diskBytes })).toMatchObject({
    diskBytes: 20 * gibibyte + 4096,
    root: { sizeBytes: 20 * gibibyte - 514 * mebibyte },
  });
  expect(plan({ diskBytes, rootBytes: 4 * gibibyte }).root.sizeBytes).toBe(4 * gibibyte);
});

test("planDiskLayout: refuses what is too small, with the numbers", () => {
  expect(refusal({ diskBytes: gibibyte })).toBe(
    `Cannot install: ${1114 * mebibyte} bytes (1.2 GB) are needed, the disk has ${gibibyte} bytes (1.1 GB)`,
  );
  expect(refusal({ diskBytes: 100 })).toContain("the disk has 0");
  expect(refusal({ bootBytes: 50 * mebibyte })).toBe(
    `Cannot install: ${100 * mebibyte} bytes (105 MB) are needed, the boot partition has ${50 * mebibyte} bytes (52.4 MB)`,
  );
  expect(refusal({ rootBytes: 500 * mebibyte, diskBytes: 4 * gibibyte })).toContain(
    `${600 * mebibyte} bytes (629 MB) are needed, the root partition has ${500 * mebibyte} bytes (524 MB)`,
  );
  expect(refusal({ rootBytes: 4 * gibibyte, diskBytes: 4 * gibibyte })).toContain("the disk has");
  expect(refusal({ rootBytes: mebibyte })).toContain("are needed, the");
});
