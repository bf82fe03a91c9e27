import { describe, expect, test } from "vitest";
import {
  compareVersions,
  isSecureBoot,
  loaderBuild,
  planLoaderUpdate,
} from "../../../../src/core/boot/loader-binary.ts";
import { fakeGrub, fakeLoader } from "../../../builders/loader-binaries.ts";

describe("loaderBuild", () => {
  test("systemd-boot is what its build says of itself", () => {
    expect(loaderBuild(fakeLoader("257.13-1~deb13u1"))).toEqual({
      name: "systemd-boot",
      version: "257.13-1~deb13u1",
      isSigned: false,
    });
    expect(loaderBuild(fakeLoader("257", { signed: true }))?.isSigned).toBe(true);
    expect(loaderBuild(new TextEncoder().encode("#### LoaderInfo: systemd-stub 257 ####"))).toBeUndefined();
  });

  test("GRUB is what its table of vendors says", () => {
    expect(loaderBuild(fakeGrub("2.12-9+deb13u2"))).toEqual({
      name: "grub.debian",
      version: "2.12-9+deb13u2",
      isSigned: false,
    });
    expect(loaderBuild(fakeGrub("2.06-3.el9", { vendor: "rh", signed: true }))).toMatchObject({
      name: "grub.rh",
      isSigned: true,
    });
  });

  const vendor = "grub.debian,5,Debian,grub2,2.12-9,https://example.org/";
  test.each([
    ["a text about GRUB", new TextEncoder().encode("GNU GRUB  version 2.12")],
    ["a program without such a table", fakeLoader("")],
    ["an empty table", fakeGrub("", { lines: [] })],
    ["another program of the vendor's", fakeGrub("", { lines: ["shim,4,UEFI shim,shim,1", vendor] })],
    ["a GRUB of no vendor", fakeGrub("", { lines: ["grub,5,Free Software Foundation,grub,2.12"] })],
    ["one without a version", fakeGrub("", { lines: ["grub,5", "grub.debian,5"] })],
    ["one whose version is no text", fakeGrub("", { lines: ["grub,5", vendor.replace("2.12", "2 \u001b[1m")] })],
  ])("%s is no loader that we know", (_, bytes) => {
    expect(loaderBuild(bytes)).toBeUndefined();
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

  test("so does a newer GRUB of the same vendor, and only that", () => {
    expect(plan(fakeGrub("2.12-9"), fakeGrub("2.12-9+deb13u2"))).toMatchObject({ kind: "replace", from: "2.12-9" });
    expect(plan(fakeGrub("2.06"), fakeGrub("2.12", { vendor: "ubuntu" }))).toEqual({ kind: "keep" });
    expect(plan(fakeGrub("2.06"), fakeLoader("257"))).toEqual({ kind: "keep" });
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
