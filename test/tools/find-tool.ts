import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";

/** The project's own folder, absolute. */
export const projectDir = resolve(import.meta.dirname, "../..");

const { OSDEPLOY_TOOLS = ".cache/tools", OSDEPLOY_IMAGES = ".cache/images", PATH = "" } = process.env;

/** Where `test/setup.sh` puts programs that this Debian release does not have. */
const ownTools = resolve(projectDir, OSDEPLOY_TOOLS, "bin");

/**
 * The path of a program that judges what we make, or undefined where this machine has none: then the test that needs it is
 * skipped by name. What `test/setup.sh` got comes first: the machine's own, where it has one, may be too old.
 */
export function findTool(name: string): string | undefined {
  const places = [ownTools, ...PATH.split(delimiter), "/usr/sbin", "/sbin"];
  return places.map((place) => join(place, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Whether this process is root: mounts, owners and devices need that. */
export const isRoot = process.getuid?.() === 0;

/**
 * The OCI layout of the real OS image, if it was built (`sh images/build.sh`). With the tags v1 and v2. Tests that need it
 * are skipped by name where it is absent; `.ci/run` always builds it first.
 */
export function findOsImage(): string | undefined {
  const layout = resolve(projectDir, OSDEPLOY_IMAGES, "debian-small-zstd");
  return existsSync(`${layout}.recipe`) ? layout : undefined;
}
