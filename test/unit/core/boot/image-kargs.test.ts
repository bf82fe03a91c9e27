import { describe, expect, test } from "vitest";
import { imageKernelArguments } from "../../../../src/core/boot/image-kargs.ts";

const of = (files: Readonly<Record<string, string>>, architecture = "amd64") =>
  imageKernelArguments(
    Object.entries(files).map(([name, text]) => ({ name, text })),
    architecture,
  );

describe("imageKernelArguments", () => {
  test("takes the files in the order of their names, and passes over what is no .toml", () => {
    const files = {
      "20-b.toml": 'kargs = ["b", "c=1 2"]',
      README: "none",
      "10-a.toml": '# comment\nkargs = ["a=\\"x y\\""]\n',
    };
    expect(of(files)).toEqual(['a="x y"', "b", "c=1", "2"]);
    expect(of({})).toEqual([]);
  });

  test("a quote goes from one string of a file to the next, as they are on the kernel's line", () => {
    expect(of({ "a.toml": 'kargs = ["dyndbg=\\"file a", "+p\\"", "quiet"]' })).toEqual(['dyndbg="file a +p"', "quiet"]);
  });

  test("a bad file of an image that is deployed counts as none", () => {
    const files = ['kargs = ["a=\\"b"]', 'kargs = ["c"]', "kargs ="].map((text, index) => ({
      name: `${index}.toml`,
      text,
    }));
    expect(imageKernelArguments(files, "amd64", "deployed")).toEqual(["c"]);
  });

  test.each([
    ["amd64", ["x86", "all"]],
    ["arm64", ["arm", "all"]],
    ["ppc64le", ["power", "all"]],
    ["s390x", ["z", "all"]],
    ["riscv64", ["all"]],
  ])("on %s gives those for all machines and for this one", (architecture, words) => {
    const files = {
      "1.toml": 'kargs = ["x86"]\nmatch-architectures = ["x86_64"]',
      "2.toml": 'kargs = ["arm"]\nmatch-architectures = ["aarch64"]',
      "3.toml": 'kargs = ["power"]\nmatch-architectures = ["powerpc64", "s390"]',
      "4.toml": 'kargs = ["z"]\nmatch-architectures = ["s390x"]',
      "5.toml": 'kargs = ["all"]',
      "6.toml": 'kargs = ["none"]\nmatch-architectures = []',
    };
    expect(of(files, architecture)).toEqual(words);
  });

  test.each([
    ["kargs =", "it is no TOML"],
    ["", "it has no array of strings named kargs"],
    ['kargs = "quiet"', "it has no array of strings named kargs"],
    ["kargs = [1]", "it has no array of strings named kargs"],
    ['kargs = []\nmatch-architecture = ["x"]', 'it has a key "match-architecture"'],
    ["kargs = []\nmatch-architectures = 7", "match-architectures is no array of strings"],
    ['kargs = ["dyndbg=\\"file a"]', "it leaves a double quote open"],
    ['kargs = ["a\\nb"]', '"a\\nb" is no kernel argument'],
    [`kargs = []${" ".repeat(70_000)}`, "it is larger than 65536 bytes"],
  ])("refuses %j, and names the file", (text, state) => {
    const message = `Cannot read the kernel arguments in "/usr/lib/bootc/kargs.d/a.toml": ${state}`;
    expect(() => of({ "a.toml": text })).toThrow(expect.objectContaining({ code: "bad-format", message }));
  });
});
