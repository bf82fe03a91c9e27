import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { Lab } from "../../src/lab/lab.ts";
import type { Linux } from "../../src/linux/linux.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { ensureLabDisk, labDiskName } from "../../src/operations/lab-disk.ts";
import { buildInstallImage } from "../builders/install-images.ts";
import { linuxAmd64, SeenProgress, systemOn } from "../builders/operation-machine.ts";
import { placeLayout } from "../builders/os-images.ts";
import { findTool } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";

const tools = ["mkfs.ext4", "debugfs", "mkfs.vfat", "mmd", "mcopy", "mtype", "sgdisk", "wipefs", "ssh-keygen"];
const missing = tools.filter((name) => findTool(name) === undefined);

describe.skipIf(missing.length > 0)(
  `the disk of a lab machine${missing.length > 0 ? ` (missing: ${missing.join(", ")})` : ""}`,
  () => {
    let top: string;
    const live = openLinux();
    beforeAll(() => {
      top = mkdtempSync(join(tmpdir(), "osdeploy-lab-"));
    });
    afterAll(() => rmSync(top, { recursive: true }));

    test("is named by the image that is on it, when its tag moves after it was looked up", async () => {
      const first = await buildInstallImage();
      const second = await buildInstallImage({ changes: [{ path: "usr/lib/second", content: "second" }] });
      placeLayout(live.files, fromText(join(top, "layout")), { os: first });
      const move = () => {
        rmSync(join(top, "layout"), { recursive: true });
        placeLayout(live.files, fromText(join(top, "layout")), { os: second });
      };
      // The key is made once the tag was looked up.
      const programs: Linux["programs"] = {
        ...live.programs,
        run: (words, options) => {
          if (words[0] === "ssh-keygen") move();
          return live.programs.run(words, options);
        },
      };
      const linux: Linux = { ...live, programs };
      const lab = new Lab(linux, fromText(join(top, "lab")));
      lab.makeDirectory(lab.paths.root);
      const followed = `oci:${join(top, "layout")}:os`;
      const request = {
        ...{ image: parseImageReference(followed), platform: linuxAmd64 },
        ...{ source: { environment: { variables: {}, userId: 0 } }, bootloader: "systemd-boot" as const },
        ...{ kernelArguments: [], diskBytes: 900 * 2 ** 20, sshKeys: undefined },
      };
      const progress = new SeenProgress();
      const disk = await ensureLabDisk(systemOn(linux, { progress: progress.report }), lab, request);
      const keys = `${run("cat", [`${lab.paths.sshKey}.pub`]).stdout.trimEnd()}\n`;
      expect(disk).toEqual({
        name: labDiskName({ manifestDigest: second.manifestDigest, followed, keys }, request),
        manifestDigest: second.manifestDigest,
        reused: false,
      });
      expect(progress.warnings).toEqual([]);
      expect(readdirSync(join(top, "lab/disks"))).toEqual([disk.name]);
      expect(run(findTool("sgdisk") ?? "", ["-v", join(top, "lab/disks", disk.name)]).stdout).toContain(
        "No problems found",
      );
      const again = await ensureLabDisk(systemOn(linux), lab, request);
      expect(again).toEqual({ ...disk, reused: true });
    });
  },
);
