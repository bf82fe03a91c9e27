import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { systemCallError } from "../../../src/linux/errno.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { switchImage } from "../../../src/operations/switch.ts";
import {
  layoutReference,
  linuxAmd64,
  machineWith,
  noLogin,
  switchTo,
  sysrootPath,
  systemOn,
} from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";

/** Both have the same kernel. */
const images = {
  v1: await buildOsImage("v1"),
  next: await buildOsImage("v1", [{ path: "usr/lib/next", content: "next" }]),
};

test("a kernel on the boot partition that the disk cannot read is written anew, and a switch goes on", async () => {
  const linux = machineWith(images);
  await switchTo(linux, "v1");
  const store = fromText("/target/boot/osdeploy");
  const [bootDigest] = linux.files.readDirectory(store);
  const path = fromText(`${store}/${bootDigest}/vmlinuz`);
  const before = linux.files.readFile(path, 100_000);
  const seen: string[] = [];
  const files: LinuxFiles = {
    ...linux.files,
    open: (wanted, mode, permissions) => {
      if (wanted === path && mode === "read" && !seen.includes("replaced")) {
        seen.push("unreadable");
        throw systemCallError({ verb: "open", path }, "EIO");
      }
      return linux.files.open(wanted, mode, permissions);
    },
    rename: (from, to, options) => {
      linux.files.rename(from, to, options);
      if (to === path) seen.push("replaced");
    },
  };
  const system = systemOn({ ...linux, files });
  const switched = await switchImage(system, {
    ...{ sysroot: sysrootPath, platform: linuxAmd64, source: noLogin, kernelArguments: [] },
    image: parseImageReference(layoutReference("next")),
    targetReference: undefined,
  });
  expect(switched).toMatchObject({ kind: "deployed" });
  expect(seen).toEqual(["unreadable", "replaced"]);
  expect(linux.files.readDirectory(store)).toEqual([bootDigest]);
  expect(linux.files.readFile(path, 100_000)).toEqual(before);
});
