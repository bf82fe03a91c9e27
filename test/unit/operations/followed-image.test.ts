import { beforeEach, describe, expect, test } from "vitest";
import { fromBytes, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { checkUpgrade } from "../../../src/operations/check-upgrade.ts";
import { installToRoot } from "../../../src/operations/install-to-root.ts";
import { planSwitchImage } from "../../../src/operations/plan-switch-image.ts";
import { status } from "../../../src/operations/status.ts";
import { switchImage } from "../../../src/operations/switch.ts";
import { upgrade } from "../../../src/operations/upgrade.ts";
import { buildInstallImage } from "../../builders/install-images.ts";
import {
  failureOf,
  layoutReference,
  linuxAmd64,
  machineWith,
  noLogin,
  SeenProgress,
  switchTo,
  sysrootPath,
  systemOn,
} from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import { putMounts, toolsThatSay } from "../../builders/tool-runs.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const images = { v1: await buildOsImage("v1"), v2: await buildOsImage("v2") };
const common = { sysroot: sysrootPath, platform: linuxAmd64, source: noLogin };

let linux: FakeLinux;
beforeEach(() => {
  linux = machineWith(images);
});

const switchRelative = (image: string, target?: string) =>
  switchImage(systemOn(linux), {
    ...{ ...common, image: parseImageReference(image), kernelArguments: [] },
    targetReference: target === undefined ? undefined : parseImageReference(target),
  });

/** The origin of the only deployment, with `from` in it replaced. */
function changeOrigin(rootImage: string, from: string, to: string): void {
  const path = fromText(`/target/state/deploy/${rootImage}/${rootImage}.origin`);
  const text = fromBytes(linux.files.readFile(path, 10_000));
  expect(text).toContain(from);
  linux.files.unlink(path);
  linux.files.writeNewFile(path, toBytes(fromText(text.replace(from, to))), 0o644);
}

// Relative paths begin at the root in the fake: that is its working directory.
describe("an image with a relative path", () => {
  test("is followed by its whole path, whatever directory an upgrade runs in", async () => {
    expect(await switchRelative("oci:layout:v1")).toMatchObject({ kind: "deployed", image: layoutReference("v1") });
    expect(await switchTo(linux, "v1")).toMatchObject({ kind: "kept" });
    const plan = { ...common, image: parseImageReference("oci:./layout:v1") };
    expect(await planSwitchImage(systemOn(linux), plan)).toMatchObject({ kind: "kept" });
    const upgraded = await upgrade(systemOn(linux), { ...common, apply: false, ignoreQuarantine: false });
    expect(upgraded).toMatchObject({ kind: "kept", image: layoutReference("v1") });
  });

  test("so is one that is only to be followed", async () => {
    const made = await switchRelative(layoutReference("v1"), "oci-archive:next.tar");
    expect(made).toMatchObject({ kind: "deployed", image: "oci-archive:/next.tar" });
  });

  describe("at an installation", () => {
    async function installed(image: string, target?: string) {
      const [root, boot] = ["/dev/sda2", "/dev/sda1"];
      linux = machineWith(
        { install: await buildInstallImage() },
        {
          mountPoints: [{ path: "/target" }, { path: "/target/boot" }],
          runProgram: toolsThatSay((words) => (words.at(-1) === root ? "root-uuid\n" : "B007-0001\n")),
        },
      );
      putMounts(linux, [
        { at: "/target", type: "ext4", source: root },
        { at: "/target/boot", type: "vfat", source: boot },
      ]);
      const progress = new SeenProgress();
      const { image: followed } = await installToRoot(systemOn(linux, { progress: progress.report }), {
        ...{ image: parseImageReference(image), platform: linuxAmd64, source: noLogin, kernelArguments: [] },
        ...{ root: sysrootPath, isExisting: false, rootSpec: undefined, rootKeys: undefined },
        ...{ bootloader: "systemd-boot", allowMissingVerity: false },
        targetImage: target === undefined ? undefined : parseImageReference(target),
      });
      const { deployments } = await status(systemOn(linux), { sysroot: sysrootPath });
      expect(deployments.map(({ imageReference }) => imageReference)).toEqual([followed]);
      return { followed, warnings: progress.warnings };
    }

    test.each(["oci:layout:install", layoutReference("install")])(
      "%s is followed by its whole path, and a warning says whose path that is",
      async (image) => {
        expect(await installed(image)).toEqual({
          followed: layoutReference("install"),
          warnings: [
            "The installed system follows oci:/layout:install, which is a path of this machine: say with --target-imgref where that one finds its upgrades",
          ],
        });
      },
    );

    test.each(["oci:/srv/images:stable", "docker://registry.example/os:latest"])(
      "what is said to be followed is taken as it is: %s",
      async (target) => {
        expect(await installed("oci:layout:install", target)).toEqual({ followed: target, warnings: [] });
      },
    );

    test("but not with a relative path, which is refused before anything is looked at", async () => {
      expect(await failureOf(installed(layoutReference("install"), "oci:next:stable"))).toMatchObject({
        code: "usage",
        message: "Cannot let a machine follow oci:next:stable: its path does not begin with a slash",
        facts: { hint: expect.stringContaining("as the installed machine has it") },
      });
      expect(linux.files.readDirectory(sysrootPath)).toEqual(["boot"]);
    });
  });

  test("that is stored already is followed by no upgrade, but a switch to the same image mends it", async () => {
    const { rootImage } = await switchTo(linux, "v1");
    changeOrigin(rootImage, "oci:/layout:v1", "oci:layout:v1");
    const refused = {
      code: "usage",
      message: "Cannot follow oci:layout:v1: its path does not begin with a slash",
      facts: { hint: expect.stringContaining("osdeploy switch IMAGE") },
    };
    const request = { ...common, ignoreQuarantine: false };
    expect(await failureOf(upgrade(systemOn(linux), { ...request, apply: false }))).toMatchObject(refused);
    expect(await failureOf(checkUpgrade(systemOn(linux), request))).toMatchObject(refused);
    await switchRelative("oci:layout:v1");
    expect(await checkUpgrade(systemOn(linux), request)).toMatchObject({
      kind: "up-to-date",
      image: layoutReference("v1"),
    });
    expect(linux.openPaths).toEqual([]);
  });
});
