import { fromText } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import { formatImageReference, type ImageReference } from "../core/oci/reference.ts";
import type { Linux } from "../linux/linux.ts";
import { ArchiveDestination } from "./archive-destination.ts";
import type { ImageDestination } from "./image-destination.ts";
import { LayoutDestination } from "./layout-destination.ts";
import { openRegistryToPush, type SourceOptions } from "./open-image-source.ts";
import { RegistryDestination } from "./registry-destination.ts";

/**
 * Opens the place that `reference` names, to write an image there. Nothing is sent yet.
 *
 * @throws OsdeployError `usage` or `unsupported` for what no image can be written to; `already-exists`.
 */
export async function openImageDestination(
  reference: ImageReference,
  linux: Linux,
  options: SourceOptions,
): Promise<ImageDestination> {
  switch (reference.kind) {
    case "registry": {
      // The same place as other tools of this kind: /tmp is often in memory.
      const { TMPDIR: named } = options.environment.variables;
      const temporary = fromText(named || "/var/tmp");
      const registry = await openRegistryToPush(reference, linux, options);
      return new RegistryDestination(reference, registry, { linux, temporary });
    }
    case "oci-layout":
      return new LayoutDestination(reference, linux);
    case "oci-archive":
      return new ArchiveDestination(reference, linux);
    case "short-name":
      throw new OsdeployError(
        "usage",
        `Cannot write to ${formatImageReference(reference)}: write the registry in front of it, or oci: or oci-archive:`,
      );
    default:
      throw new OsdeployError(
        "unsupported",
        `Cannot write to ${formatImageReference(reference)}: docker://, oci: and oci-archive: can be written to`,
      );
  }
}
