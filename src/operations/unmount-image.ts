import { toText } from "../core/bytes/byte-string.ts";
import type { Path } from "../linux/linux.ts";
import type { System } from "./system.ts";

export interface UnmountImageRequest {
  readonly target: Path;
}

/** Takes a mounted image away from a directory. @throws OsdeployError `busy` when somebody uses a file in it. */
export async function unmountImage(system: System, request: UnmountImageRequest): Promise<{ readonly target: string }> {
  system.linux.mounts.unmount(request.target);
  return { target: toText(request.target) };
}
