import type { BootloaderKind } from "../bootloader/bootloader.ts";
import { toText } from "../core/bytes/byte-string.ts";
import { decodeText, encodeText } from "../core/bytes/utf8.ts";
import { sha256Of } from "../core/digest/blob-hasher.ts";
import { OsdeployError } from "../core/errors.ts";
import { parseImageReference } from "../core/oci/reference.ts";
import { openImageSource } from "../image-source/open-image-source.ts";
import type { Lab } from "../lab/lab.ts";
import { missingPackages } from "../lab/lab-programs.ts";
import { readToEnd, withOpen } from "../linux/file-content.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { pathBelow } from "../linux/path.ts";
import { removeTree } from "../linux/remove-tree.ts";
import { followedText } from "./followed-image.ts";
import { type InstallToDiskRequest, type InstallToDiskResult, installToDisk } from "./install-to-disk.ts";
import { type ImageRequest, resolveTrusted } from "./offered-image.ts";
import { checkRootKeys, keysLimitBytes } from "./root-keys.ts";
import type { System } from "./system.ts";

/** What a machine's disk is made of. */
export interface LabDiskRequest extends ImageRequest {
  readonly bootloader: BootloaderKind;
  readonly kernelArguments: readonly string[];
  readonly diskBytes: number;
  /** A file with further keys that may log in as root. */
  readonly sshKeys: Path | undefined;
}

/** A disk that machines can begin with. */
export interface LabDisk {
  /** Its name in the lab's `disks`. */
  readonly name: string;
  readonly manifestDigest: string;
  /** Whether it was there. */
  readonly reused: boolean;
}

/** Changes when disks are made in another way, so that older ones are not taken for the same. */
const diskGeneration = 1;

/** Finds the disk for an image and options, or makes it. */
export async function ensureLabDisk(system: System, lab: Lab, request: LabDiskRequest): Promise<LabDisk> {
  const { files } = system.linux;
  const resolved = await resolve(system, request);
  const { manifestDigest } = resolved;
  const keys = rootKeys(system, lab, request.sshKeys);
  const content = { ...resolved, keys };
  const name = labDiskName(content, request);
  const isThere = files.lstatIfExists(pathBelow(lab.paths.disks, name)) !== undefined;
  if (isThere) return { name, manifestDigest, reused: true };
  lab.makeDirectory(lab.paths.disks);
  return await withScratchFile(system, lab, keys, async (rootKeysFile) => {
    const target = pathBelow(lab.paths.disks, unnamedDisk);
    const made = await install(system, {
      ...request,
      target,
      rootKeys: rootKeysFile,
      // Said, so that nobody is warned of a path: further images come by `lab upgrade`.
      targetImage: "path" in request.image ? parseImageReference(followedText(system, request.image)) : undefined,
      allowMissingVerity: false,
      wipe: true,
      format: "raw",
      bootBytes,
      rootBytes: undefined,
      randomUuids: false,
    });
    // The tag may have moved since it was looked up: a disk is named by what is on it.
    const installed = made.pulled.manifestDigest;
    const ownName = labDiskName({ ...content, manifestDigest: installed }, request);
    files.rename(target, pathBelow(lab.paths.disks, ownName), { replace: true });
    return { name: ownName, manifestDigest: installed, reused: false };
  });
}

/** The lab has one option for sizes, and decides about the rest. */
async function install(system: System, request: InstallToDiskRequest): Promise<InstallToDiskResult> {
  try {
    return await installToDisk(system, request);
  } catch (error) {
    if (!(error instanceof OsdeployError && error.facts["sizeBytes"] === request.diskBytes)) throw error;
    const facts = { ...error.facts, hint: "Say with --disk-size how large it is to be" };
    throw new OsdeployError(error.code, error.message, { facts, cause: error });
  }
}

/** What a disk is called while it is made. */
const unnamedDisk = "new.raw";

/** What is on a disk. */
export interface LabDiskContent {
  readonly manifestDigest: string;
  /** What the installed system follows: one image may have several names. */
  readonly followed: string;
  readonly keys: string;
}

/** The file of a disk: another for every difference in what it is made of. */
export function labDiskName(
  { manifestDigest, followed, keys }: LabDiskContent,
  { bootloader, kernelArguments, diskBytes }: Pick<LabDiskRequest, "bootloader" | "kernelArguments" | "diskBytes">,
): string {
  const made = [diskGeneration, manifestDigest, bootloader, kernelArguments, diskBytes, keys, followed];
  const [, hex = ""] = sha256Of(encodeText(JSON.stringify(made))).split(":");
  return `${hex.slice(0, 32)}.raw`;
}

/** Room for two kernels of any distribution. */
const bootBytes = 512 * 1024 * 1024;

async function resolve(
  system: System,
  request: ImageRequest,
): Promise<Pick<LabDiskContent, "manifestDigest" | "followed">> {
  if (request.image.kind === "root-directory") {
    throw new OsdeployError(
      "unsupported",
      "Cannot run a directory: make an image of it, with podman build for example",
    );
  }
  const source = openImageSource(request.image, system.linux, { ...request.source, signal: system.signal });
  try {
    const { image } = await resolveTrusted(system, source, request);
    return { manifestDigest: image.manifest.digest, followed: followedText(system, source.reference()) };
  } finally {
    await source.close();
  }
}

/** The lab's own public key, and those that the user brings. */
function rootKeys({ linux }: System, lab: Lab, more: Path | undefined): string {
  const { sshKey } = lab.paths;
  if (linux.files.lstatIfExists(sshKey) === undefined) makeKey({ linux }, sshKey);
  const { files } = linux;
  const text = (path: Path) => {
    const bytes = withOpen(files, path, "input", (fd) => readToEnd(files, fd, keysLimitBytes));
    checkRootKeys(bytes, path);
    return decodeText(bytes).trimEnd();
  };
  return `${[text(publicKey(sshKey)), ...(more === undefined ? [] : [text(more)])].join("\n")}\n`;
}

function publicKey(sshKey: Path): Path {
  return `${sshKey}.pub` as Path;
}

/** Where the private key is, both are whole: what a stop in the middle left is made anew. */
function makeKey({ linux }: Pick<System, "linux">, path: Path): void {
  const { files } = linux;
  const unfinished = `${path}.new` as Path;
  for (const left of [unfinished, publicKey(unfinished)]) removeTree(files, left);
  const kind = ["-q", "-t", "ed25519", "-N", "", "-C", "osdeploy-lab"] as const;
  const { status, stderr } = runOrTell(linux, ["ssh-keygen", ...kind, "-f", toText(unfinished)], "openssh-client");
  if (status !== 0) throw new OsdeployError("system", `Cannot make a key for ssh: ${stderr.trim()}`);
  settle(files, publicKey(unfinished), publicKey(path));
  settle(files, unfinished, path);
}

/** Gives a file the name under which others look for it, and makes both durable. */
function settle(files: LinuxFiles, unfinished: Path, path: Path): void {
  withOpen(files, unfinished, "read", (fd) => {
    files.sync(fd);
    files.rename(unfinished, path);
    files.sync(fd);
  });
}

/** Runs a program; where there is none, says which Debian package has it. */
export function runOrTell(linux: System["linux"], words: readonly [string, ...string[]], debianPackage: string) {
  try {
    return linux.programs.run(words);
  } catch (error) {
    if (error instanceof OsdeployError && error.code === "not-found") {
      throw missingPackages(`Cannot run ${words[0]}`, [debianPackage]);
    }
    throw error;
  }
}

async function withScratchFile<T>(
  { linux: { files } }: System,
  lab: Lab,
  text: string,
  use: (file: Path) => Promise<T>,
): Promise<T> {
  const { scratch } = lab.paths;
  removeTree(files, scratch);
  files.makeDirectory(scratch, 0o700);
  try {
    const file = pathBelow(scratch, "keys");
    files.writeNewFile(file, encodeText(text), 0o600);
    return await use(file);
  } finally {
    removeTree(files, scratch);
  }
}
