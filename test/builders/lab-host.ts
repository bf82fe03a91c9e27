import { parseImageReference } from "../../src/core/oci/reference.ts";
import { Lab } from "../../src/lab/lab.ts";
import { labDiskName } from "../../src/operations/lab-disk.ts";
import type { LabRunRequest } from "../../src/operations/lab-run.ts";
import type { FakeLinux, FakeLinuxOptions } from "../fakes/fake-linux.ts";
import { type FakePrograms, labLinux, labPath, labPrograms, place, runOf } from "./lab-machines.ts";
import { type BuiltImage, buildImage } from "./oci-image.ts";
import { layoutPath, layoutReference, linuxAmd64, noLogin } from "./operation-machine.ts";
import { placeLayout } from "./os-images.ts";

/** A machine of the image in the layout. */
export const labRunRequest: LabRunRequest = {
  ...{ lab: labPath, dataDirectories: ["/usr/share"], architecture: "x64" },
  ...{ image: parseImageReference(layoutReference("v1")), platform: linuxAmd64, source: noLogin },
  ...{ name: undefined, memoryBytes: 2 ** 31, processors: 2, bootloader: "systemd-boot", diskBytes: 2 ** 33 },
  ...{ kernelArguments: ["debug"], sshKeys: undefined },
};

/** The disk of that image for a translated guest, with these keys. */
export function labDiskOf(image: BuiltImage, keys: string, followed = layoutReference("v1")): string {
  const kernelArguments = ["console=ttyS0", "no_timer_check", "debug"];
  const content = { manifestDigest: image.manifestDigest, followed, keys };
  return labDiskName(content, { ...labRunRequest, kernelArguments });
}

/** A machine that has a lab. */
export interface LabHost {
  readonly linux: FakeLinux;
  readonly image: BuiltImage;
  /** The programs that were run to their ends. */
  readonly ran: string[][];
  /** And those that go on. */
  readonly started: string[][];
}

/** A machine with the image in a layout, its disk already made, and QEMU. */
export async function labHost(
  more: FakePrograms = {},
  attachProgram?: FakeLinuxOptions["attachProgram"],
  startProgram?: FakeLinuxOptions["startProgram"],
): Promise<LabHost> {
  const ran: string[][] = [];
  const started: string[][] = [];
  const image = await buildImage({ layers: [[{ path: "usr" }]] });
  const linux: FakeLinux = labLinux({
    ...(attachProgram && { attachProgram }),
    startProgram: (words, how) => {
      started.push([...words]);
      startProgram?.(words, how);
    },
    runProgram: (words, options) => {
      ran.push([...words]);
      return runOf({ ...labPrograms, "ssh-keygen": (keygen) => makeKey(linux, keygen), ...more })(words, options);
    },
  });
  placeLayout(linux.files, layoutPath, { v1: image });
  const lab = new Lab(linux, labPath);
  lab.makeDirectory(lab.paths.disks);
  place(linux, `${lab.paths.disks}/${labDiskOf(image, "key of the lab\n")}`, "");
  return { linux, image, ran, started };
}

function makeKey(linux: FakeLinux, words: readonly string[]) {
  place(linux, `${words.at(-1)}`, "private");
  place(linux, `${words.at(-1)}.pub`, "key of the lab\n");
  return {};
}
