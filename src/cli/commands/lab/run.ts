import type { Command } from "commander";
import { OsdeployError } from "../../../core/errors.ts";
import { addExamples } from "../../examples.ts";
import type { DefineCommand } from "../../frame.ts";
import {
  addMachineOptions,
  dataDirectories,
  type LabWords,
  labOf,
  labOption,
  type MachineWords,
  refuseForOldMachine,
} from "../../lab-options.ts";
import { labRunText } from "../../output/lab-text.ts";
import { addSourceOptions, imageHelp, type SourceWords, sourceRequest } from "../../source-options.ts";

type RunOptions = LabWords & MachineWords & SourceWords;

/** `osdeploy lab run` */
export const define: DefineCommand = (command, frame) => {
  addMachineOptions(addSourceOptions(command))
    .description(
      "Makes a virtual machine that boots the image, as a real one would: with firmware, boot loader and a disk whose files are sealed. Without " +
        "an image, switches a machine on that is there. It goes on when the command ends. KVM is used where it works, else QEMU's translator.",
    )
    .argument("[image]", imageHelp)
    .addOption(labOption())
    .action((image: string | undefined, options: RunOptions, words: Command) =>
      frame.write(
        async (system) => {
          const { runLabMachine, startLabMachine } = await import("../../../operations/lab-run.ts");
          const { architecture } = frame.io;
          const place = { lab: labOf(options, frame), dataDirectories: dataDirectories(frame), architecture };
          const { name, karg: kernelArguments, diskSize: diskBytes, sshKey: sshKeys, bootloader } = options;
          const made = { name, kernelArguments, diskBytes, sshKeys, bootloader };
          const size = { memoryBytes: options.memory, processors: options.cpus };
          if (image !== undefined)
            return runLabMachine(system, { ...sourceRequest(image, options, frame), ...place, ...made, ...size });
          if (name === undefined)
            throw new OsdeployError("usage", "Cannot run a machine: name an image, or with --name a machine");
          refuseForOldMachine(words);
          return startLabMachine(system, { ...place, name });
        },
        { text: labRunText },
      ),
    );
  addExamples(command, [
    ["osdeploy lab run quay.io/os:latest", "a machine that boots this image"],
    ["osdeploy lab run --name test --memory 4G oci:images:v1", "one with a name, from an OCI layout"],
  ]);
};
