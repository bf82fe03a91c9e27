import { expect, test } from "vitest";
import { gcCommand } from "../../../src/cli/options.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";

test.each([
  ["/sysroot", "osdeploy gc"],
  ["/mnt", "osdeploy gc --sysroot /mnt"],
])("gcCommand: in %s room is made by %s", (sysroot, command) => {
  expect(gcCommand(fromText(sysroot))).toBe(command);
});
