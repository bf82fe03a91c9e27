import { rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { findTool } from "../tools/find-tool.ts";
import type { Ended } from "../tools/run-cli.ts";
import { findMachineRoom, needs, osdeploy, osLayout, vmPlace } from "./os-disk.ts";

const trixie = findMachineRoom();
const ssh = findTool("ssh");

/** What users do, with the commands that they use. */
describe.skipIf(trixie === undefined || ssh === undefined)(`osdeploy lab ${needs} or without ssh`, () => {
  const place = join(vmPlace, "lab");
  beforeAll(() => {
    if (trixie === undefined) return;
    rmSync(place, { recursive: true, force: true });
    const { PATH } = process.env;
    vi.stubEnv("PATH", `${trixie.path("path")}:${PATH}`);
    vi.stubEnv("XDG_DATA_DIRS", trixie.path("usr/share"));
  });
  afterAll(() => void lab("rm", "--force", "os"));

  function lab(command: string, ...words: readonly string[]): Ended {
    return osdeploy("--json", "lab", command, "--lab", place, ...words);
  }

  function json({ status, stdout, stderr }: Ended): unknown {
    expect(status, stderr).toBe(0);
    return JSON.parse(stdout);
  }

  function inGuest(...words: readonly string[]): string {
    const { status, stdout, stderr } = lab("ssh", "os", "--", ...words);
    expect(status, stderr).toBe(0);
    return stdout;
  }

  test("run: a machine that boots v1; list, ssh and the console's log show it", () => {
    const made = json(lab("run", "--name", "os", "--memory", "1G", "--cpus", "1", `oci:${osLayout}:v1`));
    expect(made).toMatchObject({ name: "os", diskReused: false });
    expect(json(lab("list"))).toMatchObject([{ name: "os", running: true, memoryMegabytes: 1024 }]);
    expect(inGuest("sed", "-n", "s/^IMAGE_VERSION=//p", "/usr/lib/os-release")).toBe("v1\n");
    expect(lab("ssh", "os", "--", "exit", "7").status).toBe(7);
    // As in a guest whose /etc is new at each boot.
    inGuest("sh", "-c", "rm /etc/ssh/ssh_host_* && ssh-keygen -A && systemctl restart ssh");
    inGuest("sh", "-c", "echo mine >~/note");
    expect(lab("console", "--log", "os").stdout).toContain("login:");
  });

  test("upgrade: v2 comes over a registry, and boots", async () => {
    const upgraded = json(lab("upgrade", "--apply", "os", `oci:${osLayout}:v2`));
    expect(upgraded).toMatchObject({ name: "os", guestImage: expect.stringMatching(/^10\.0\.2\.2:\d+\/os:latest$/) });
    // Who asks the old system for its version keeps it from going down.
    const starts = () => lab("console", "--log", "os").stdout.match(/BdsDxe: starting/g)?.length ?? 0;
    for (let tries = 0; tries < 300 && starts() < 2; tries++) await pause(2000);
    for (let tries = 0; tries < 300; tries++) {
      await pause(2000);
      const version = lab("ssh", "os", "--", "sed", "-n", "s/^IMAGE_VERSION=//p", "/usr/lib/os-release").stdout;
      if (version === "v2\n") break;
    }
    expect(inGuest("sed", "-n", "s/^IMAGE_VERSION=//p", "/usr/lib/os-release")).toBe("v2\n");
    expect(inGuest("osdeploy", "status")).toContain("/os:latest");
    expect(inGuest("cat", "/root/note")).toBe("mine\n");
  });

  test("stop, run, rm: off, with the power button; on again; gone, with the disk that nothing else needs", () => {
    expect(json(lab("stop", "os"))).toEqual({ stopped: ["os"], wereOff: [] });
    expect(json(lab("run", "--name", "os"))).toMatchObject({ diskReused: true });
    expect(json(lab("rm", "--force", "os"))).toMatchObject({ removed: ["os"], removedDisks: [expect.any(String)] });
    expect(json(lab("list"))).toEqual([]);
  });
});
