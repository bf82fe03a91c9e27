import { describe, expect, test } from "vitest";
import {
  formatMachine,
  formatProcess,
  type LabMachine,
  parseMachine,
  parseProcess,
} from "../../../src/lab/machine-file.ts";
import { failure } from "../../builders/linux-machines.ts";

const machine: LabMachine = {
  name: "debian",
  image: "oci:images:v1",
  manifestDigest: `sha256:${"0".repeat(64)}`,
  baseDisk: "0123.raw",
  architecture: "x86_64",
  memoryMegabytes: 2048,
  processors: 2,
  sshPort: 2022,
  registryPort: 5000,
};
const bytes = (text: string) => new TextEncoder().encode(text);

describe("machine.json", () => {
  test("comes back as it was written", () => {
    expect(parseMachine(bytes(formatMachine(machine)), "machine.json")).toEqual(machine);
    const other = { ...machine, architecture: "aarch64" } as const;
    expect(parseMachine(bytes(formatMachine(other)), "machine.json")).toEqual(other);
  });

  test.each(Object.keys(machine))("is refused without %s", (key) => {
    const text = JSON.stringify({ ...machine, [key]: undefined });
    expect(failure(() => parseMachine(bytes(text), "machine.json"))).toMatchObject({
      code: "bad-format",
      message: `Cannot read machine.json: it has no "${key}"`,
    });
  });

  test("is refused with an architecture that the lab does not know", () => {
    const text = JSON.stringify({ ...machine, architecture: "vax" });
    expect(failure(() => parseMachine(bytes(text), "machine.json")).message).toBe(
      "Cannot read machine.json: architecture is not an architecture of the lab",
    );
  });
});

test("process.json: comes back as it was written; is refused when it is something else", () => {
  const process = { pid: 7, startTicks: 12345 };
  expect(parseProcess(bytes(formatProcess(process)), "process.json")).toEqual(process);
  expect(failure(() => parseProcess(bytes("{}"), "process.json"))).toMatchObject({ code: "bad-format" });
});
