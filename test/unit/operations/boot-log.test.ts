import { expect, test } from "vitest";
import { fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import type { LinuxPrograms } from "../../../src/linux/linux.ts";
import { bootLogTail } from "../../../src/operations/boot-log.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const id = "0123456789abcdef0123456789abcdef";

/** A journal that answers the search for the boot, and then for its lines. */
function journal(found: string, lines: string, status = 0): { programs: LinuxPrograms; calls: (readonly string[])[] } {
  const calls: (readonly string[])[] = [];
  const run: LinuxPrograms["run"] = (words) => {
    calls.push(words);
    return { status, stdout: toBytes(fromText(calls.length === 1 ? found : lines)), stderr: "" };
  };
  return { programs: { ...new FakeLinux().programs, run }, calls };
}

test("bootLogTail: finds the boot by its kernel command line, and takes the end of its log", () => {
  const { programs, calls } = journal(`{"_BOOT_ID":"${id}","MESSAGE":"Command line: …"}\n`, "one\ntwo\n\n");
  expect(bootLogTail(programs, "osdeploy-000007")).toBe("one\ntwo");
  expect(calls[0]).toContain("--grep=osdeploy\\.entry=osdeploy-000007(\\s|$)");
  expect(calls[1]).toEqual(expect.arrayContaining(["journalctl", `--boot=${id}`, "--lines=3000"]));
});

test("bootLogTail: ends with why osdeploy rebooted, where an orderly shutdown said more after that", () => {
  const told = (by: string) =>
    `${by}: osdeploy: The site is away. Rebooting, because this boot of osdeploy-000007 is a try`;
  const boot = ["site: no answer", told("health-check[9]"), told("kernel")];
  const shutdown = Array.from({ length: 100 }, (_, index) => `systemd[1]: Stopped unit ${index}`);
  const { programs } = journal(`{"_BOOT_ID":"${id}"}`, `${[...boot, ...shutdown].join("\n")}\n`);
  expect(bootLogTail(programs, "osdeploy-000007")).toBe(boot.join("\n"));
});

test("bootLogTail: takes sixty lines at most", () => {
  const lines = Array.from({ length: 100 }, (_, index) => `line ${index}`);
  const { programs } = journal(`{"_BOOT_ID":"${id}"}`, `${lines.join("\n")}\n`);
  expect(bootLogTail(programs, "osdeploy-000007")).toBe(lines.slice(40).join("\n"));
});

test("bootLogTail: a long log is cut at its beginning", () => {
  const { programs } = journal(`{"_BOOT_ID":"${id}"}`, `${"x".repeat(20_000)}end`);
  expect(bootLogTail(programs, "osdeploy-000007")).toMatch(/^x{11997}end$/);
});

test.each([
  ["no such boot", journal("", "")],
  ["a journal that fails", journal(`{"_BOOT_ID":"${id}"}`, "x", 1)],
  ["an answer that is no JSON", journal("garbage\n", "x")],
  ["an answer without boot", journal("{}\n", "x")],
  ["a boot id that is none", journal('{"_BOOT_ID":"--all"}\n', "x")],
])("bootLogTail: is empty with %s", (_, { programs }) => {
  expect(bootLogTail(programs, "osdeploy-000007")).toBe("");
});

test("bootLogTail: is empty without a journal, and hides no bug", () => {
  const { programs } = new FakeLinux();
  expect(bootLogTail(programs, "osdeploy-000007")).toBe("");
  const run = () => {
    throw new TypeError("a bug");
  };
  expect(() => bootLogTail({ ...programs, run }, "osdeploy-000007")).toThrow(TypeError);
});
