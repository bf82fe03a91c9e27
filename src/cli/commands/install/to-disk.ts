import type { ByteString } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { addDiskOptions, diskRequest, type ToDiskWords } from "../../install-options.ts";
import { parsePath } from "../../options.ts";
import { installToDiskText } from "../../output/install-text.ts";

/** `osdeploy install to-disk` */
export const define: DefineCommand = (command, frame) => {
  addDiskOptions(command)
    .description(
      "Makes a disk from which a machine starts the image, or a file that is such a disk: a GUID partition table, a boot partition with loader, kernel " +
        "and initramfs, and a root file system on which every file of the image is sealed with fs-verity. Nothing is mounted, so a file needs no rights. " +
        "All that can be refused is refused before the target is touched. The same image and options give the same file, UUIDs included: two such disks " +
        "must not be in one machine, unless --random-uuids was given, as it is for real disks.",
    )
    .argument("<target>", "a disk, such as /dev/sda, or a file that becomes one", parsePath)
    .action((target: ByteString, options: ToDiskWords) =>
      frame.write(
        async (system) => {
          const { installToDisk } = await import("../../../operations/install-to-disk.ts");
          return installToDisk(system, diskRequest(target, options, frame));
        },
        { text: installToDiskText },
      ),
    );
  addExamples(command, [
    ["osdeploy install to-disk --source-imgref quay.io/os:latest --wipe /dev/sda", "a machine's disk"],
    ["osdeploy install to-disk --source-imgref oci:images:v1 --format qcow2 os.qcow2", "a disk for a virtual machine"],
  ]);
};
