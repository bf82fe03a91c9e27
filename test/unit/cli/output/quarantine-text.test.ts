import { expect, test } from "vitest";
import { quarantineText } from "../../../../src/cli/output/quarantine-text.ts";
import { manifestOf, recordOf } from "../../../builders/sysroot-states.ts";

test("quarantineText: the end of a boot log only when it is asked for, line by line", () => {
  const record = { ...recordOf("a"), since: "", bootLog: "[ 1.0] one\n[ 2.0] \x1b[31mtwo" };
  const start = `${manifestOf("a")}\n  Reason:   it did not boot\n`;
  expect(quarantineText([record], {})).toBe(`${start}  Boot log: kept; see it with --verbose\n`);
  expect(quarantineText([record], { verbose: true })).toBe(
    `${start}  Boot log: its end:\n    [ 1.0] one\n    [ 2.0] \\x1b[31mtwo\n`,
  );
});

test("quarantineText: records with all that is known, an empty line between them", () => {
  const full = { ...recordOf("b"), imageReference: "docker://quay.io/os:1", bootEntry: "osdeploy-000002" };
  expect(quarantineText([recordOf("a"), full], { verbose: true })).toBe(
    `${manifestOf("a")}\n  Reason: it did not boot\n  Since:  2026-01-01T00:00:00.000Z\n\n` +
      `${manifestOf("b")}\n  Reason:     it did not boot\n  Image:      docker://quay.io/os:1\n` +
      "  Boot entry: osdeploy-000002\n  Since:      2026-01-01T00:00:00.000Z\n",
  );
});
