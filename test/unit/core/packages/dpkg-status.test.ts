import { expect, test } from "vitest";
import { parseDpkgStatus } from "../../../../src/core/packages/dpkg-status.ts";

const parse = (text: string) => parseDpkgStatus(new TextEncoder().encode(text));
const stanza = (name: string, state: string) =>
  `Package: ${name}\nStatus: install ok ${state}\nArchitecture: amd64\nVersion: 1:2-3\nDescription: a package\n Version: no field\n`;

test("parseDpkgStatus: packages that are there, whatever else was left to do for them", () => {
  const states = ["installed", "triggers-pending", "half-configured", "config-files", "not-installed"];
  expect(parse(states.map((state) => stanza(state, state)).join("\n")).map(({ name }) => name)).toEqual([
    "installed",
    "triggers-pending",
    "half-configured",
  ]);
  expect(parse(stanza("bash", "installed"))).toEqual([{ name: "bash", version: "1:2-3", architecture: "amd64" }]);
});

test("parseDpkgStatus: a file of status.d has no states; more empty lines and no last newline do no harm", () => {
  expect(parse("\n\nPackage: a\nVersion: 1\n\n \n\nVersion: 2\nPackage: b")).toEqual([
    { name: "a", version: "1", architecture: "" },
    { name: "b", version: "2", architecture: "" },
  ]);
});

test("parseDpkgStatus: what is no stanza of a package is passed over", () => {
  expect(parse("Package: a\n\nVersion: 1\n\nnothing\n\nXPackage: b\nVersion: 1\n")).toEqual([]);
  expect(parse("")).toEqual([]);
});
