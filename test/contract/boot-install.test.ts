import { existsSync, lstatSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findTool, projectDir } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";

const shellcheck = findTool("shellcheck");
const systemdAnalyze = findTool("systemd-analyze");

describe("boot/install.sh", () => {
  let root: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), "osdeploy-install-"));
    const ended = run("sh", [join(projectDir, "boot/install.sh"), root]);
    if (ended.status !== 0) throw new Error(ended.stderr);
  });
  afterAll(() => rmSync(root, { recursive: true }));
  const below = (path: string) => join(root, path);

  test("osdeploy runs from where it is put, with the modules that are put beside it", () => {
    const ended = run(process.execPath, [below("usr/lib/osdeploy/dist/cli/main.js"), "--help"]);
    expect(ended.status).toBe(0);
    expect(ended.stdout).toContain("osdeploy");
    expect(readFileSync(below("usr/bin/osdeploy"), "utf8")).toContain("/usr/lib/osdeploy/dist/cli/main.js");
    expect(readdirSync(below("usr/lib/osdeploy/node_modules"))).not.toContain("vitest");
  });

  test("the programs can be run, and what they source is beside them", () => {
    for (const program of ["setup-root", "health-check", "boot-deadline"]) {
      const file = below(`usr/lib/osdeploy/boot/${program}`);
      expect(statSync(file).mode & 0o777, program).toBe(0o755);
      for (const [, name = ""] of readFileSync(file, "utf8").matchAll(/^\. "\$\{0%\/\*\}\/(\S+)"$/gm)) {
        expect(existsSync(below(`usr/lib/osdeploy/boot/${name}`)), name).toBe(true);
      }
    }
    expect(statSync(below("usr/lib/dracut/modules.d/90osdeploy/module-setup.sh")).mode & 0o111).not.toBe(0);
    expect(statSync(below("usr/share/initramfs-tools/hooks/osdeploy")).mode & 0o111).not.toBe(0);
  });

  test("units are enabled as their preset says: all but the timer that reboots the machine", () => {
    const links = readdirSync(below("etc/systemd/system"), { recursive: true, encoding: "utf8" })
      .filter((path) => lstatSync(below(`etc/systemd/system/${path}`)).isSymbolicLink())
      .sort();
    expect(links).toEqual([
      "basic.target.wants/osdeploy-finalize-staged.service",
      "boot-complete.target.requires/osdeploy-health.service",
      "multi-user.target.wants/osdeploy-boot-complete.service",
      "multi-user.target.wants/osdeploy-gc.service",
      "sysinit.target.wants/osdeploy-boot-deadline.service",
    ]);
    for (const link of links) {
      expect(existsSync(below(readlinkSync(below(`etc/systemd/system/${link}`)))), link).toBe(true);
    }
  });

  test("units send nobody to a manual page that is not installed", () => {
    const folder = below("usr/lib/systemd/system");
    const named = readdirSync(folder).flatMap((name) => [
      ...readFileSync(join(folder, name), "utf8").matchAll(/\bman:(osdeploy[a-z-]*)\(([1-8])\)/g),
    ]);
    const missing = named.filter(
      ([, page, section]) => !existsSync(below(`usr/share/man/man${section}/${page}.${section}`)),
    );
    expect(missing.map(([text]) => text)).toEqual([]);
  });

  test.skipIf(systemdAnalyze === undefined)(
    "systemd-analyze finds nothing wrong with the units (skipped without it)",
    () => {
      const folder = below("usr/lib/systemd/system");
      const units = readdirSync(folder).map((name) => join(folder, name));
      const { stderr } = run(String(systemdAnalyze), ["verify", "--man=no", `--root=${root}`, ...units]);
      expect(
        stderr.split("\n").filter((line) => line.includes("osdeploy-") && !/not executable|not found/.test(line)),
      ).toEqual([]);
    },
  );
});

test.skipIf(shellcheck === undefined)(
  "shellcheck finds nothing wrong with boot/ and images/ (skipped without it)",
  () => {
    const programs = [
      "boot/setup-root",
      "boot/health-check",
      "boot/boot-deadline",
      "boot/boot-entry.sh",
      "boot/boot-partition.sh",
    ];
    const scripts = [
      "boot/install.sh",
      "images/build.sh",
      "images/try.sh",
      "images/debian/broken.sh",
      "images/debian/configure.sh",
    ];
    const inInitramfs = ["hooks/osdeploy", "scripts/init-premount/osdeploy", "scripts/local-bottom/osdeploy"];
    const all = [
      ...[...programs, ...scripts, "images/debian/release.sh", "boot/dracut/90osdeploy/module-setup.sh"],
      ...inInitramfs.map((name) => `boot/initramfs-tools/${name}`),
    ].map((path) => join(projectDir, path));
    const words = ["--external-sources", `--source-path=${projectDir}`, "--severity=warning"];
    expect(run(String(shellcheck), [...words, ...all]).stdout).toBe("");
  },
);
