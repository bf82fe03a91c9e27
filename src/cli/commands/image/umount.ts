import type { ByteString } from "../../../core/bytes/byte-string.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import { parsePath } from "../../options.ts";
import { printable } from "../../output/plain-text.ts";

/** `osdeploy image umount` */
export const define: DefineCommand = (command, frame) => {
  command
    .description("Takes a mounted image away from a directory. What is mounted there and is no image stays.")
    .argument("<directory>", "where it is mounted", parsePath)
    .action((target: ByteString) =>
      frame.write(
        async (system) => {
          const { unmountImage } = await import("../../../operations/unmount-image.ts");
          return unmountImage(system, { target });
        },
        { text: (result) => `Unmounted ${printable(result.target)}\n` },
      ),
    );
  addExamples(command, [["osdeploy image umount /mnt", "after image mount"]]);
};
