import { describe, expect, test } from "vitest";
import { formatPlatform, parsePlatform, platformOfMachine, platformRank } from "../../../../src/core/oci/platform.ts";

describe("platforms", () => {
  test.each([
    ["x64", "linux/amd64"],
    ["ia32", "linux/386"],
    ["arm64", "linux/arm64"],
    ["arm", "linux/arm/v7"],
    ["ppc64", "linux/ppc64le"],
    ["riscv64", "linux/riscv64"],
    ["s390x", "linux/s390x"],
  ])("platformOfMachine: %s is %s", (architecture, text) => {
    expect(formatPlatform(platformOfMachine(architecture))).toBe(text);
  });

  test.each([
    ["amd64", "linux/amd64"],
    ["linux/amd64", "linux/amd64"],
    ["linux/amd64/v1", "linux/amd64"],
    ["linux/arm64/v8", "linux/arm64"],
    ["linux/arm", "linux/arm/v7"],
    ["linux/arm/v6", "linux/arm/v6"],
    ["linux/arm64/v9", "linux/arm64/v9"],
    ["x86_64", "linux/amd64"],
    ["linux/x86-64/v3", "linux/amd64/v3"],
    ["aarch64", "linux/arm64"],
    ["i686", "linux/386"],
    ["linux/armhf", "linux/arm/v7"],
    ["linux/armel", "linux/arm/v6"],
    ["linux/armel/v5", "linux/arm/v5"],
  ])("parsePlatform: %s is %s", (text, canonical) => {
    expect(formatPlatform(parsePlatform(text))).toBe(canonical);
  });

  test.each(["", "linux/", "/amd64", "linux/amd64/v1/x", "Linux/amd64", "linux/amd64/"])(
    "parsePlatform: refuses %j",
    (text) => {
      expect(() => parsePlatform(text)).toThrow("as a platform: write it as linux/arm64");
    },
  );

  test.each([
    ["linux/amd64", ["linux/amd64", "linux/amd64/v3"], ["linux/arm64", "windows/amd64"]],
    [
      "linux/riscv64",
      ["linux/riscv64", "linux/riscv64/v2", "linux/riscv64/v10", "linux/riscv64/rva23"],
      ["linux/arm64"],
    ],
    ["linux/amd64/v3", ["linux/amd64/v3", "linux/amd64"], ["linux/amd64/v2", "linux/amd64/v4"]],
    ["linux/arm/v7", ["linux/arm/v7", "linux/arm/v6", "linux/arm/v5"], ["linux/arm/v8", "linux/arm/x"]],
    ["linux/arm/x", ["linux/arm/x"], ["linux/arm/v7"]],
  ])("platformRank: where %s is asked for, %j run, in this order; %j do not", (wanted, running, others) => {
    const ranks = running.map((text) => platformRank(parsePlatform(text), parsePlatform(wanted)) ?? -1);
    expect(ranks[0]).toBe(0);
    expect(ranks).toEqual([...ranks].sort((a, b) => a - b));
    expect(new Set(ranks).size).toBe(ranks.length);
    for (const text of others) expect(platformRank(parsePlatform(text), parsePlatform(wanted))).toBeUndefined();
  });
});
