import { expect, test } from "vitest";
import { etcMount } from "../../../../src/core/deployment/setup-root-config.ts";

test.each([
  ["", undefined],
  ['[etc]\nmount = "overlay"\n', "overlay"],
  ['[etc] # ours\n  mount="bind"', "bind"],
  ['[var]\nmount = "overlay"\n', undefined],
  ['[etc]\n[var]\nmount = "overlay"\n[etc]\nmount = "none"\n', "none"],
  ['[etc]\nmount = "overlay"\ntransient = true\n', "transient"],
  ['[etc]\ntransient = false\nmount = "unheard-of"\n', undefined],
  ['[root]\ntransient = true\n[etc]\nmount = "overlay"', "overlay"],
] as const)("etcMount: %j says %s", (config, mount) => {
  expect(etcMount(config)).toBe(mount);
});
