import { describe, expect, test } from "vitest";
import { readFirmwareProgram } from "../../../../src/core/boot/firmware-program.ts";
import { fakeGrub, fakeLoader } from "../../../builders/loader-binaries.ts";

describe("readFirmwareProgram", () => {
  test("is signed by the fifth data directory of a 64-bit PE file", () => {
    const signed = [fakeLoader("257"), fakeLoader("257", { signed: true })];
    expect(signed.map((bytes) => readFirmwareProgram(bytes)?.isSigned)).toEqual([false, true]);
  });

  test("has its sections by their names, and no more of them than the file has", () => {
    const program = readFirmwareProgram(fakeGrub("2.12", { lines: ["one", "two"] }));
    expect(program?.section(".sbat")).toBe("one\ntwo");
    expect(program?.section(".text")).toHaveLength(7);
    expect(program?.section(".reloc")).toBeUndefined();
    const cut = readFirmwareProgram(fakeGrub("2.12", { lines: ["one", "two"] }).subarray(0, 515));
    expect(cut?.section(".sbat")).toBe("one");
  });

  test.each([
    ["nothing", new Uint8Array(0)],
    ["a header that points behind the end", new Uint8Array(64).fill(0xff)],
    ["something else", new Uint8Array(400)],
    ["a 32-bit file", fakeLoader("257", { signed: true, magic: 0x10b })],
  ])("%s is no program for it", (_, bytes) => {
    expect(readFirmwareProgram(bytes)).toBeUndefined();
  });

  test("one that ends before its directories is not signed, and has no sections", () => {
    const program = readFirmwareProgram(fakeGrub("2.12", { signed: true }).subarray(0, 0x80 + 30));
    expect([program?.isSigned, program?.section(".sbat")]).toEqual([false, undefined]);
  });
});
