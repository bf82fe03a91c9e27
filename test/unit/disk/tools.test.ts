import { expect, test } from "vitest";
import { fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { requireTools, runTool } from "../../../src/disk/tools.ts";
import type { LinuxPrograms } from "../../../src/linux/linux.ts";
import { toolsThatSay } from "../../builders/tool-runs.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

function programs(run: LinuxPrograms["run"]): LinuxPrograms {
  return new FakeLinux({ runProgram: run }).programs;
}

function ending(status: number, stdout: string, stderr: string): LinuxPrograms {
  return programs(() => ({ status, stdout: toBytes(fromText(stdout)), stderr }));
}

test("runTool: gives what the tool printed", () => {
  expect(runTool(ending(0, "out", "err"), ["wipefs", "-n"])).toEqual({
    stdout: toBytes(fromText("out")),
    stderr: "err",
  });
});

test("runTool: hands a tool what it reads, and gives it an hour, for disks are slow", () => {
  const seen: unknown[] = [];
  const run: LinuxPrograms["run"] = (words, options) => {
    seen.push({ words, options });
    return { status: 0, stdout: new Uint8Array(), stderr: "" };
  };
  runTool(programs(run), ["mkfs.ext4", "x"], { environment: { TZ: "UTC" } });
  expect(seen).toEqual([{ words: ["mkfs.ext4", "x"], options: { limitSeconds: 3600, environment: { TZ: "UTC" } } }]);
});

test("runTool: looks where users without rights have no PATH to", () => {
  const seen: string[] = [];
  const run = toolsThatSay((words) => {
    seen.push(words.join(" "));
    return words[0]?.startsWith("/usr/sbin/") ? "" : undefined;
  });
  runTool(programs(run), ["mkfs.ext4", "x"]);
  expect(seen).toEqual(["mkfs.ext4 x", "/usr/sbin/mkfs.ext4 x"]);
});

test("runTool: what a tool may not do, its user may not", () => {
  const refused = ending(2, "", "blkid: error: /dev/sda: Permission denied\n");
  expect(() => runTool(refused, ["blkid"])).toThrow(
    expect.objectContaining({ code: "permission-denied", facts: { tool: "blkid", status: 2, errno: "EACCES" } }),
  );
});

test.each([
  ["qemu-img", "qemu-img: error while writing at byte 0: No space left on device"],
  [
    "mcopy",
    "plain_io: No space left on device\nbuffer_flush: short write\nerror in fat_write: No space left on device",
  ],
] as const)("runTool: where the disk of this machine is full, %s says so, and the user is told where", (tool, said) => {
  expect(() => runTool(ending(1, "", `${said}\n`), [tool])).toThrow(
    expect.objectContaining({
      code: "no-space",
      facts: { tool, status: 1, hint: expect.stringContaining("/var/tmp") },
    }),
  );
});

test("runTool: a FAT partition in which no room is left is told without where this machine needs any", () => {
  expect(() => runTool(ending(1, "", "Disk full\n"), ["mcopy"])).toThrow(
    expect.objectContaining({ code: "no-space", facts: { tool: "mcopy", status: 1 } }),
  );
});

test("runTool: a failure tells the last words of the tool, in one line", () => {
  const noisy = ending(4, "", "one\ntwo\n\nthree\u001b[0m\nfour\n");
  expect(() => runTool(noisy, ["e2fsck"])).toThrow(
    expect.objectContaining({
      code: "system",
      message: "Cannot install: e2fsck failed with status 4: two; three [0m; four",
      facts: { tool: "e2fsck", status: 4 },
    }),
  );
  expect(() => runTool(ending(1, "only here", ""), ["mmd"])).toThrow("mmd failed with status 1: only here");
  expect(() => runTool(ending(1, "", ""), ["mmd"])).toThrow("mmd failed with status 1: it says nothing");
});

test("requireTools: names the package of what is missing", () => {
  const machine = programs(toolsThatSay((words) => (words[0]?.endsWith("mcopy") ? undefined : "")));
  requireTools(machine, ["mkfs.ext4", "mmd"]);
  try {
    requireTools(machine, ["mkfs.ext4", "mcopy"]);
    expect.unreachable("mcopy is missing");
  } catch (error) {
    expect(error).toMatchObject({
      code: "unsupported",
      message: "Cannot install: the program mcopy is missing",
      facts: { hint: "Install it; on Debian it is in the package mtools" },
    });
  }
});

test("runTool: what is wrong with the machine is told as it is", () => {
  const broken = programs(() => {
    throw new OsdeployError("system", "Cannot run wipefs: it did not end within 3600 s");
  });
  expect(() => runTool(broken, ["wipefs"])).toThrow("it did not end within 3600 s");
});

test("requireTools: all that is missing is named at once, and each package once", () => {
  const none = programs(toolsThatSay(() => undefined));
  expect(() => requireTools(none, ["mkfs.vfat", "mmd", "mcopy"])).toThrow(
    expect.objectContaining({
      code: "unsupported",
      message: "Cannot install: the programs mkfs.vfat, mmd, mcopy are missing",
      facts: {
        tool: "mkfs.vfat, mmd, mcopy",
        hint: "Install them; on Debian they are in the packages dosfstools, mtools",
      },
    }),
  );
});
