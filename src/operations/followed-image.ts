import { formatFollowedReference } from "../core/oci/followed-reference.ts";
import type { ImageReference } from "../core/oci/reference.ts";
import type { Path } from "../linux/linux.ts";
import type { System } from "./system.ts";

/** What a deployment is to remember as what it follows: the same place in whatever directory an upgrade runs. */
export function followedText({ linux }: Pick<System, "linux">, reference: ImageReference): string {
  return formatFollowedReference(reference, () => linux.files.realPath("." as Path));
}
