import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { labPaths, machinePaths } from "../../../src/lab/lab-paths.ts";
import { failure } from "../../builders/linux-machines.ts";

test("labPaths: with the longest root and name, the sockets' paths are as long as a socket's may be, and no longer", () => {
  const lab = labPaths(fromText(`/${"x".repeat(49)}`));
  const { consoleSocket, monitorSocket } = machinePaths(lab, "n".repeat(32));
  expect(consoleSocket.length).toBe(107);
  expect(monitorSocket.length).toBeLessThanOrEqual(107);
  expect(failure(() => labPaths(fromText(`/${"x".repeat(50)}`)))).toMatchObject({ code: "usage" });
  const long = `/${"ö".repeat(25)}`;
  expect(failure(() => labPaths(fromText(long)))).toMatchObject({
    message: expect.stringContaining(`Cannot keep a lab in ${long}: `),
  });
  const facts = { hint: "Name a shorter one with --lab DIR" };
  expect(() => labPaths(fromText(long))).toThrow(expect.objectContaining({ facts }));
});

test("machinePaths: names lead nowhere else", () => {
  const lab = labPaths(fromText("/lab"));
  expect(machinePaths(lab, "debian-v1").disk).toBe("/lab/machines/debian-v1/disk.qcow2");
  for (const name of ["", ".", "..", "a/b", "-a", "a-", "A", "a b", "ü", "a,b", "x".repeat(33)]) {
    expect(
      failure(() => machinePaths(lab, name)),
      name,
    ).toMatchObject({ code: "usage" });
  }
});
