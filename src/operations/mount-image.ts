import { fromText, toText } from "../core/bytes/byte-string.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { OsdeployError } from "../core/errors.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { tellingDamage } from "../repo/read-object.ts";
import { objectPath, objectsPath } from "../repo/repo-paths.ts";
import { type ImageRequest, withImage } from "./image-tree.ts";
import type { System } from "./system.ts";

export interface MountImageRequest extends ImageRequest {
  readonly target: Path;
}

export interface MountImageResult {
  readonly rootImage: ObjectId;
  readonly target: string;
  /** Whether the kernel checks every file against its digest as it is read. */
  readonly verity: boolean;
}

/**
 * Mounts an image's root image on a directory, read-only, as it is mounted at boot.
 *
 * @throws OsdeployError `not-found` when the repo has no such root image, or the target is no directory; `permission-denied`
 * without root's rights; `unsupported` when the kernel lacks erofs, or overlays with data-only layers; `damaged` when it cannot read the root image.
 */
export async function mountImage(system: System, request: MountImageRequest): Promise<MountImageResult> {
  const { bootable, target } = request;
  checkDirectory(system.linux.files, target);
  return await withImage(system, request, (repo, image) => {
    const rootImage = bootable ? image.bootImage : image.rawImage;
    if (rootImage === undefined) {
      throw new OsdeployError("not-found", `Cannot mount image "${request.image}": the repo has no root image of it`, {
        facts: { hint: `Pull it again${bootable ? " with --bootable" : ""}` },
      });
    }
    tellingDamage(repo, rootImage, () =>
      system.linux.mounts.mountComposefs({
        image: objectPath(repo.path, rootImage),
        objects: objectsPath(repo.path),
        target,
        name: fromText(`composefs:${rootImage}`),
        verity: repo.secure,
      }),
    );
    return { rootImage, target: toText(target), verity: repo.secure };
  });
}

function checkDirectory(files: LinuxFiles, target: Path): void {
  if (files.lstat(files.realPath(target)).kind === "directory") return;
  throw new OsdeployError("not-found", `Cannot mount an image on "${toText(target)}": it is not a directory`);
}
