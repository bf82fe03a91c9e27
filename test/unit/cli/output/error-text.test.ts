import { describe, expect, test } from "vitest";
import { errorValue, formatError } from "../../../../src/cli/output/error-text.ts";
import { OsdeployError } from "../../../../src/core/errors.ts";

const plain = { verbose: false, voice: "osdeploy" } as const;
const inner = new Error("EACCES: \x1b[31mdenied", { cause: "the deepest reason" });
const error = new OsdeployError("permission-denied", 'Cannot open "/sysroot/composefs": permission denied', {
  facts: { errno: "EACCES", bytes: 12n, hint: "Run it as root" },
  cause: inner,
});

describe("formatError", () => {
  test("formatError: one clear line, and what the user can do", () => {
    expect(formatError(error, plain)).toBe(
      'osdeploy: Cannot open "/sysroot/composefs": permission denied\n' + "hint: Run it as root\n",
    );
  });

  test("formatError: a hint in the error wins over the one of its code, and a code without hint has none", () => {
    expect(formatError(new OsdeployError("damaged", "Cannot x: y", { facts: { hint: "Wait" } }), plain)).toBe(
      "osdeploy: Cannot x: y\nhint: Wait\n",
    );
    for (const code of ["system", "busy", "no-space", "permission-denied"] as const)
      expect(formatError(new OsdeployError(code, "Cannot x: y"), plain)).toBe("osdeploy: Cannot x: y\n");
  });

  test("formatError: damage is mended by a pull with --repair, for a plain one reads nothing that is there", () => {
    expect(formatError(new OsdeployError("damaged", "Cannot x: y"), plain)).toContain("osdeploy pull --repair IMAGE\n");
  });

  test("formatError: verbose shows code, facts and all causes, with control characters taken out", () => {
    expect(
      String(formatError(error, { ...plain, verbose: true }))
        .split("\n")
        .slice(2),
    ).toEqual([
      "code: permission-denied",
      "errno: EACCES",
      "bytes: 12",
      "cause: EACCES: \\x1b[31mdenied",
      "cause: the deepest reason",
      "",
    ]);
  });

  test("formatError: what is no OsdeployError is told as a bug, with its stack", () => {
    const bug = new Error("This should always be true, and is not: x");
    const text = formatError(bug, plain);
    expect(text).toMatch(/^osdeploy: This is a bug in osdeploy\. Please report it/);
    expect(text).toContain("error-text.test.ts");
    expect(formatError("thrown text", plain)).toContain("\nthrown text\n");
  });

  test("formatError: in mkcomposefs's voice words come bare and all else with its name", () => {
    const voice = { verbose: false, voice: "mkcomposefs" } as const;
    const words = formatError(new OsdeployError("usage", "Invalid min version \u00e9\udcff"), voice);
    expect(words).toEqual(Uint8Array.of(...Buffer.from("Invalid min version \u00e9"), 0xff, 0x0a));
    const error = formatError(new OsdeployError("bad-format", "Invalid mode \u00ff"), voice);
    expect(error).toEqual(new Uint8Array(Buffer.from("mkcomposefs: Invalid mode \u00ff\n", "latin1")));
  });
});

test("errorValue: holds code, message and facts, and calls all else a bug", () => {
  expect(errorValue(error)).toEqual({
    code: "permission-denied",
    message: error.message,
    facts: error.facts,
  });
  expect(errorValue(new Error("x"))).toEqual({ code: "bug", message: "x" });
  expect(errorValue("x")).toEqual({ code: "bug", message: "x" });
});
