import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { installToDisk } from "../../src/operations/install-to-disk.ts";
import { buildInstallImage } from "../builders/install-images.ts";
import { linuxAmd64, systemOn } from "../builders/operation-machine.ts";
import { placeLayout } from "../builders/os-images.ts";
import { findTool, isRoot } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";

const mebibyte = 1024 * 1024;
const tools = ["mkfs.ext4", "debugfs", "e2fsck", "mkfs.vfat", "mmd", "mcopy", "wipefs"];
const missing = tools.filter((name) => findTool(name) === undefined);

describe.skipIf(missing.length > 0 || !isRoot)(
  `install of an image with an overlay on /etc (needs root${missing.length > 0 ? `; missing: ${missing.join(", ")}` : ""})`,
  () => {
    let top: string;
    const linux = openLinux();
    const at = (name: string) => join(top, name);
    beforeAll(async () => {
      top = mkdtempSync(join(tmpdir(), "osdeploy-install-"));
      const config = { path: "usr/lib/composefs/setup-root-conf.toml", content: '[etc]\nmount = "overlay"\n' };
      placeLayout(linux.files, fromText(at("layout")), {
        os: await buildInstallImage({
          changes: [{ path: "usr/lib/composefs" }, config, { path: "etc/ssh/sshd_config", content: "of the image\n" }],
        }),
      });
    });
    afterAll(() => {
      run("umount", [at("seen")]);
      rmSync(top, { recursive: true });
    });

    test("the keys for root are in the upper directory, and seen through the kernel's overlay", async () => {
      writeFileSync(at("keys"), "ssh-ed25519 AAAA me\n");
      const { rootImage } = await installToDisk(systemOn(linux), {
        ...{ image: parseImageReference(`oci:${at("layout")}:os`), platform: linuxAmd64, targetImage: undefined },
        ...{ source: { environment: { variables: {}, userId: 0 } }, kernelArguments: [], bootloader: "systemd-boot" },
        ...{ rootKeys: fromText(at("keys")), allowMissingVerity: false, target: fromText(at("disk")), wipe: false },
        ...{ format: "raw", diskBytes: 300 * mebibyte, bootBytes: 40 * mebibyte, rootBytes: undefined },
        randomUuids: false,
      });
      const root = `${at("disk")}?offset=${41 * mebibyte}`;
      const state = `/state/deploy/${rootImage}`;
      run(findTool("debugfs") ?? "", ["-R", `rdump ${state}/etc ${top}`, root]);
      expect([readdirSync(at("etc")), readdirSync(at("etc/upper"))]).toEqual([["upper", "work"], ["ssh"]]);
      for (const name of ["lower", "lower/ssh", "lower/ssh/sshd_config.d", "seen"]) mkdirSync(at(name));
      writeFileSync(at("lower/ssh/sshd_config"), "of the image\n");
      const layers = `lowerdir=${at("lower")},upperdir=${at("etc/upper")},workdir=${at("etc/work")}`;
      expect(run("mount", ["-t", "overlay", "-o", layers, "overlay", at("seen")])).toMatchObject({ status: 0 });
      expect(readdirSync(at("seen/ssh"))).toEqual(["authorized_keys.d", "sshd_config", "sshd_config.d"]);
      expect(readFileSync(at("seen/ssh/authorized_keys.d/root"), "utf8")).toBe("ssh-ed25519 AAAA me\n");
      expect(readFileSync(at("seen/ssh/sshd_config.d/10-osdeploy-keys.conf"), "utf8")).toContain("AuthorizedKeysFile");
      expect(readFileSync(at("seen/ssh/sshd_config"), "utf8")).toBe("of the image\n");
    });
  },
);
