import { describe, expect, test } from "vitest";
import {
  compareVersions,
  isSecureBoot,
  isSignedProgram,
  planLoaderUpdate,
  systemdBootVersion,
} from "../../../../src/core/boot/loader-binary.ts";
import { fakeLoader } from "../../../builders/loader-binaries.ts";

test("systemdBootVersion: what its build wrote into it, and nothing of others", () => {
  expect(systemdBootVersion(fakeLoader("257.13-1~deb13u1"))).toBe("257.13-1~deb13u1");
  expect(systemdBootVersion(new TextEncoder().encode("GNU GRUB  version 2.12"))).toBeUndefined();
  expect(systemdBootVersion(new TextEncoder().encode("#### LoaderInfo: systemd-stub 257 ####"))).toBeUndefined();
});

describe("isSignedProgram", () => {
  test("by the fifth data directory of a 64-bit PE file", () => {
    expect([fakeLoader("257"), fakeLoader("257", { signed: true })].map(isSignedProgram)).toEqual([false, true]);
  });

  test.each([
    ["nothing", new Uint8Array(0)],
    ["a header that points behind the end", new Uint8Array(64).fill(0xff)],
    ["something else", new Uint8Array(400)],
    ["a 32-bit file", fakeLoader("257", { signed: true, magic: 0x10b })],
    ["one that ends before the directory", fakeLoader("257", { signed: true }).subarray(0, 0x80 + 30)],
  ])("%s is not", (_, bytes) => {
    expect(isSignedProgram(bytes)).toBe(false);
  });
});

describe("compareVersions", () => {
  // From the Version Format Specification, and Debian's.
  const rising = [
    "122~rc1",
    "122",
    "123-a",
    "123-a.1",
    "123-3",
    "123^post1",
    "123.1",
    "123a",
    "123b",
    "124-1",
    "255.4",
    "256~rc3-5",
    "256",
    "257.4-1",
    "257.9-1~deb13u1",
    "257.13-1~deb13u1",
    "257.13-1~deb13u2",
    "257.13-1",
  ];

  test("orders versions as the specification has them", () => {
    expect([...rising].reverse().sort(compareVersions)).toEqual(rising);
    expect([...rising].sort(compareVersions)).toEqual(rising);
  });

  test("is zero for the same, and for other zeros", () => {
    expect(rising.map((version) => compareVersions(version, version))).toEqual(rising.map(() => 0));
    expect(compareVersions("01", "1")).toBe(0);
    expect(compareVersions("+", "")).toBe(0);
  });
});

describe("planLoaderUpdate", () => {
  const plan = (there: Uint8Array, offered: Uint8Array) => planLoaderUpdate(there, offered, { secureBoot: false });

  test("a newer one replaces, with both versions", () => {
    expect(plan(fakeLoader("257.4"), fakeLoader("257.13"))).toEqual({ kind: "replace", from: "257.4", to: "257.13" });
    expect(plan(fakeLoader("256"), fakeLoader("257", { signed: true }))).toMatchObject({ kind: "replace" });
  });

  test("with Secure Boot a newer one is withheld, signed or not; an older one is nothing to tell of", () => {
    const signed = (version: string) => fakeLoader(version, { signed: true });
    const secured = (there: Uint8Array, offered: Uint8Array) => planLoaderUpdate(there, offered, { secureBoot: true });
    expect(secured(signed("256"), signed("257"))).toEqual({ kind: "withhold", from: "256", to: "257" });
    expect(secured(fakeLoader("256"), fakeLoader("257"))).toMatchObject({ kind: "withhold" });
    expect(secured(signed("257"), signed("257"))).toEqual({ kind: "keep" });
  });

  test.each([
    ["the same", fakeLoader("257"), fakeLoader("257")],
    ["an older one", fakeLoader("258"), fakeLoader("257")],
    ["another program there", new Uint8Array(9), fakeLoader("257")],
    ["another program offered", fakeLoader("257"), new Uint8Array(9)],
    ["one without a signature for one that has it", fakeLoader("256", { signed: true }), fakeLoader("257")],
  ])("%s is left alone", (_, there, offered) => {
    expect(plan(there, offered)).toEqual({ kind: "keep" });
  });
});

test("isSecureBoot: is what the variable's value says, after its attributes", () => {
  expect(isSecureBoot(Uint8Array.of(6, 0, 0, 0, 1))).toBe(true);
  expect(isSecureBoot(Uint8Array.of(6, 0, 0, 0, 0))).toBe(false);
  expect(isSecureBoot(Uint8Array.of(1))).toBe(false);
  expect(isSecureBoot(undefined)).toBe(false);
});
