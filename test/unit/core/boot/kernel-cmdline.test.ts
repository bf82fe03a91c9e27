import { describe, expect, test } from "vitest";
import {
  closedCmdline,
  composefsArgument,
  deploymentOptions,
  entryArgument,
  entryOfCmdline,
  hasOpenQuote,
  rootImageOfArgument,
  rootImageOfCmdline,
  splitCmdline,
  triesLeftOfCmdline,
  withGivenArguments,
} from "../../../../src/core/boot/kernel-cmdline.ts";
import { parseObjectId } from "../../../../src/core/digest/object-id.ts";

const one = parseObjectId("1".repeat(128), "sha512");
const two = parseObjectId("2".repeat(64), "sha256");

test("splitCmdline: keeps white space inside double quotes together", () => {
  expect(splitCmdline('  rw  dyndbg="file a.c +p; b" x=y ')).toEqual(["rw", 'dyndbg="file a.c +p; b"', "x=y"]);
  expect(splitCmdline('open="never closed here')).toEqual(['open="never closed here']);
  expect(splitCmdline("")).toEqual([]);
});

test.each([
  ["rw", false],
  ['a="b c" d', false],
  ['a="b c', true],
  ['"', true],
  ['a="b" c"', true],
])("hasOpenQuote, closedCmdline: %s", (text, open) => {
  expect([hasOpenQuote(text), closedCmdline(text)]).toEqual([open, open ? `${text}"` : text]);
});

test("composefsArgument: marks optional verity with a question mark", () => {
  expect(composefsArgument(one, "required")).toBe(`composefs=${one}`);
  expect(composefsArgument(one, "optional")).toBe(`composefs=?${one}`);
});

test("rootImageOfArgument: takes digests of both lengths, with and without question mark, and nothing else", () => {
  expect(rootImageOfArgument(`composefs=?${one}`)).toBe(one);
  expect(rootImageOfArgument(`composefs=${two}`)).toBe(two);
  expect(rootImageOfArgument("composefs=abc")).toBeUndefined();
  expect(rootImageOfArgument(`xcomposefs=${two}`)).toBeUndefined();
});

test("rootImageOfCmdline: the first composefs argument counts, as for the initramfs", () => {
  expect(rootImageOfCmdline(`rw composefs=${one} quiet composefs=${two}`)).toBe(one);
  expect(rootImageOfCmdline("rw quiet")).toBeUndefined();
});

describe("deploymentOptions", () => {
  const rootArgument = composefsArgument(parseObjectId("cd".repeat(32), "sha256"), "required");
  const of = (inherited: string, before: readonly string[] = [], after: readonly string[] = []) =>
    deploymentOptions({ inherited, rootArgument, imageArguments: { before, after } });

  test("inherits everything but what named the deployment before, and adds panic=30", () => {
    const inherited =
      'root=UUID=1 rw a="b c" composefs=?00 composefs.digest=sha256:11 osdeploy.entry=osdeploy-000003 osdeploy.tries=2 osdeploy.tries osdeploy.deadline=90';
    expect(deploymentOptions({ inherited, rootArgument })).toBe(
      `root=UUID=1 rw a="b c" osdeploy.deadline=90 panic=30 ${rootArgument}`,
    );
  });

  test("closes a quote that somebody left open at the end, so that what comes after it stays apart", () => {
    const options = of('rw panic=1 dyndbg="file a', [], ["new"]);
    expect(options).toBe(`rw panic=1 dyndbg="file a" new ${rootArgument}`);
    expect(rootImageOfCmdline(options)).toBe("cd".repeat(32));
  });

  test("leaves a panic= that is there, also when the image brings it", () => {
    expect(of("panic=0 rw")).toBe(`panic=0 rw ${rootArgument}`);
    expect(of("rw", [], ["panic=5"])).toBe(`rw panic=5 ${rootArgument}`);
    expect(of("oops=panic=1")).toBe(`oops=panic=1 panic=30 ${rootArgument}`);
  });

  test("applies what changed from image to image, and nothing else", () => {
    expect(of("rw old kept mine panic=1", ["old", "kept"], ["kept", "new", "new"])).toBe(
      `rw kept mine panic=1 new ${rootArgument}`,
    );
    // The administrator took `gone` away, and has `new` already.
    expect(of("rw new panic=1", ["gone"], ["gone", "new"])).toBe(`rw new panic=1 ${rootArgument}`);
  });

  test.each([
    `"composefs=${one}"`,
    `c"omposefs=${one}"`,
    `"quiet composefs=${one} x"`,
    '"osdeploy.entry=osdeploy-000009"',
    "osdeploy.deadline=0",
    "composefs",
  ])("nor in any quoting, nor anything else of osdeploy's: %s", (word) => {
    expect(of("rw panic=1", [], [word, "new"])).toBe(`rw panic=1 new ${rootArgument}`);
  });

  test("what is inherited loses them in any quoting too, and keeps settings", () => {
    expect(of(`rw "composefs=${one}" "osdeploy.tries=1" osdeploy.deadline=5 panic=1`, [], [])).toBe(
      `rw osdeploy.deadline=5 panic=1 ${rootArgument}`,
    );
  });

  test("an image cannot say which root image or entry this is", () => {
    expect(of("rw panic=1", [], ["composefs=00", "composefs.digest=x", "osdeploy.entry=osdeploy-000001"])).toBe(
      `rw panic=1 ${rootArgument}`,
    );
  });
});

test("entryOfCmdline: the last one counts, and only names of ours", () => {
  expect(entryOfCmdline(`rw ${entryArgument("osdeploy-000012")} quiet`)).toBe("osdeploy-000012");
  expect(entryOfCmdline("osdeploy.entry=osdeploy-000001 osdeploy.entry=osdeploy-000002")).toBe("osdeploy-000002");
  expect(entryOfCmdline("osdeploy.entry=../../x osdeploy.entry=osdeploy-1")).toBeUndefined();
});

test("triesLeftOfCmdline: what GRUB told", () => {
  expect(triesLeftOfCmdline("rw osdeploy.tries=0")).toBe(0);
  expect(triesLeftOfCmdline("rw osdeploy.tries=2 quiet")).toBe(2);
  expect(triesLeftOfCmdline("rw osdeploy.tries=x")).toBeUndefined();
});

test.each([
  ["rw root=a", [], "rw root=a"],
  ["rw root=a quiet", ["root=b"], "rw quiet root=b"],
  ["rw console=x console=y", ["console=y"], "rw console=x console=y"],
  ["rw console=x console=y", ["console=y console=z"], "rw console=y console=z"],
  ["rw quiet", ["debug"], "rw quiet debug"],
  ['rw x="a b', ['x="c d"'], 'rw x="c d"'],
])("withGivenArguments: %j with %j is %j", (options, given, words) => {
  expect(withGivenArguments(options, given)).toBe(words);
});
