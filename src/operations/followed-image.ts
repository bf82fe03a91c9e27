import { checkInstalledReference, formatFollowedReference } from "../core/oci/followed-reference.ts";
import type { ImageReference } from "../core/oci/reference.ts";
import type { Path } from "../linux/linux.ts";
import type { System } from "./system.ts";

/** What a deployment is to remember as what it follows: the same place in whatever directory an upgrade runs. */
export function followedText({ linux }: Pick<System, "linux">, reference: ImageReference): string {
  return formatFollowedReference(reference, () => linux.files.realPath("." as Path));
}

/**
 * Checks what a machine that is to be installed will follow: what `--target-imgref` says, else the source. A path of this
 * machine is most likely none of that one, and a warning says so before the work begins.
 *
 * @throws OsdeployError `usage` for a relative path that is meant for that machine.
 */
export function checkFollowed(
  system: Pick<System, "linux" | "progress">,
  { image, targetImage }: { readonly image: ImageReference; readonly targetImage: ImageReference | undefined },
): void {
  if (targetImage !== undefined) {
    checkInstalledReference(targetImage);
  } else if ("path" in image) {
    const state = `follows ${followedText(system, image)}, which is a path of this machine`;
    const message = `The installed system ${state}: say with --target-imgref where that one finds its upgrades`;
    system.progress({ kind: "warning", message });
  }
}
