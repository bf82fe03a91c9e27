import { OsdeployError } from "../core/errors.ts";
import type { Descriptor } from "../core/oci/descriptor.ts";
import { formatImageReference } from "../core/oci/reference.ts";
import type { ImageSource, ResolvedImage } from "../image-source/image-source.ts";
import { openImageSource } from "../image-source/open-image-source.ts";
import { ImageServer, type ServedBlob, type ServedImage } from "../lab/image-server.ts";
import { Lab } from "../lab/lab.ts";
import { sshWordsAside, waitForSsh } from "../lab/ssh.ts";
import { hostSeenByGuest } from "../lab/virtual-machine.ts";
import type { LabMachineRequest } from "./lab-access.ts";
import { type ImageRequest, resolveTrusted } from "./offered-image.ts";
import { checkInterrupted, type System } from "./system.ts";

export interface LabUpgradeRequest extends LabMachineRequest, ImageRequest {
  /** Whether the guest reboots into it. */
  readonly apply: boolean;
}

export interface LabUpgradeResult {
  readonly name: string;
  readonly image: string;
  readonly manifestDigest: string;
  /** What the guest follows from now on. */
  readonly guestImage: string;
  readonly rebooting: boolean;
}

/**
 * Brings an image into a running machine in the way in which real ones get it: offers it to the guest as a registry, and
 * lets the guest's own osdeploy switch to it. What it prints goes to standard error.
 *
 * @throws OsdeployError `system` when osdeploy in the guest failed.
 */
export async function upgradeLabMachine(system: System, request: LabUpgradeRequest): Promise<LabUpgradeResult> {
  const lab = new Lab(system.linux, request.lab);
  const known = lab.getRunning(request.name);
  const { machine } = known;
  return await withServer(system, request, machine.registryPort, async (image) => {
    await waitForSsh(system.linux, known, system.signal);
    const guestImage = `${hostSeenByGuest}:${machine.registryPort}/${machine.name}:latest`;
    const inGuest = async (...words: readonly string[]): Promise<number> => {
      const how = { output: "stderr", signal: system.signal } as const;
      const status = await system.linux.programs.attach(sshWordsAside(lab.paths.sshKey, known, words), how);
      checkInterrupted(system.signal);
      return status;
    };
    // What a boot ends with changes the sysroot, too. That something in the guest has failed is not for us to judge.
    await inGuest("systemctl", "is-system-running", "--wait", "--quiet");
    const status = await inGuest("osdeploy", "switch", "--tls-verify=false", guestImage);
    if (status !== 0) {
      throw new OsdeployError("system", `Cannot upgrade machine ${machine.name}: osdeploy in it ended with ${status}`);
    }
    if (request.apply) checkReboot(machine.name, await inGuest("systemctl", "--no-block", "reboot"));
    const name = formatImageReference(request.image);
    return {
      name: machine.name,
      image: name,
      manifestDigest: image.manifest.digest,
      guestImage,
      rebooting: request.apply,
    };
  });
}

/** The status of ssh itself for a connection that ended with the guest. */
const connectionLost = 255;

function checkReboot(name: string, status: number): void {
  if (status === 0 || status === connectionLost) return;
  throw new OsdeployError("system", `Cannot reboot machine ${name}: systemctl in it ended with ${status}`, {
    facts: { hint: "The image is staged: it boots at the guest's next reboot" },
  });
}

async function withServer<T>(
  system: System,
  request: ImageRequest,
  port: number,
  use: (image: ResolvedImage) => Promise<T>,
): Promise<T> {
  const source = openImageSource(request.image, system.linux, { ...request.source, signal: system.signal });
  try {
    const { image } = await resolveTrusted(system, source, request);
    const server = await ImageServer.start(port, servedImage(source, image));
    try {
      return await use(image);
    } finally {
      await server.stop();
    }
  } finally {
    await source.close();
  }
}

/** An image of a source as the guest may ask for it. */
export function servedImage(source: ImageSource, { manifest, config, layers }: ResolvedImage): ServedImage {
  const document: ServedBlob = {
    sizeBytes: config.bytes.length,
    open: async function* (offset) {
      yield config.bytes.subarray(offset);
    },
  };
  const blob = (layer: Descriptor): ServedBlob => ({
    sizeBytes: layer.sizeBytes,
    open: (offsetBytes) => source.openBlob(layer, { offsetBytes }),
  });
  return {
    manifest,
    blobs: new Map([
      [config.digest as string, document],
      ...layers.map((layer) => [layer.digest, blob(layer)] as const),
    ]),
  };
}
