import { OsdeployError } from "../errors.ts";
import { parseUuid, type Uuid } from "./uuid.ts";

/** What differs between processor architectures on a disk that UEFI boots. */
export interface DiskArchitecture {
  /** The partition type of a root file system. @see https://uapi-group.org/specifications/specs/discoverable_partitions_specification/ */
  readonly rootType: Uuid;
  /** As firmware and loaders have it in file names: `BOOTX64.EFI`, `systemd-bootx64.efi`. */
  readonly efiName: "x64" | "aa64";
}

/** The EFI system partition. */
export const espType = parseUuid("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");

/** A boot partition beside an EFI system partition, which loaders call extended. @see https://uapi-group.org/specifications/specs/boot_loader_specification/ */
export const extendedBootType = parseUuid("bc13c2ff-59e6-4262-a352-b275fd6f7172");

const architectures: Readonly<Record<string, DiskArchitecture>> = {
  amd64: { rootType: parseUuid("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"), efiName: "x64" },
  arm64: { rootType: parseUuid("b921b045-1df0-41c3-af44-4c6f280d3fae"), efiName: "aa64" },
};

/**
 * What a disk for images of this architecture looks like; the name is OCI's.
 *
 * @throws OsdeployError `unsupported` for one that disks are not made for yet.
 */
export function diskArchitecture(architecture: string): DiskArchitecture {
  const found = Object.hasOwn(architectures, architecture) ? architectures[architecture] : undefined;
  if (found !== undefined) return found;
  const known = Object.keys(architectures).join(" and ");
  throw new OsdeployError("unsupported", `Cannot make a disk for "${architecture}": only ${known} are known`);
}
