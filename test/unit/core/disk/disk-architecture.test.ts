import { expect, test } from "vitest";
import { diskArchitecture, espType } from "../../../../src/core/disk/disk-architecture.ts";

test("diskArchitecture: knows the types of the discoverable partitions", () => {
  expect(espType).toBe("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
  expect(diskArchitecture("amd64")).toEqual({ rootType: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709", efiName: "x64" });
  expect(diskArchitecture("arm64")).toEqual({ rootType: "b921b045-1df0-41c3-af44-4c6f280d3fae", efiName: "aa64" });
});

test("diskArchitecture: says which ones it knows when asked for another", () => {
  expect(() => diskArchitecture("riscv64")).toThrow('Cannot make a disk for "riscv64": only amd64 and arm64 are known');
  expect(() => diskArchitecture("constructor")).toThrow("only amd64 and arm64 are known");
});
