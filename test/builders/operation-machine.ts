import { fromText } from "../../src/core/bytes/byte-string.ts";
import type { Platform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { Linux, Path } from "../../src/linux/linux.ts";
import { initRepo } from "../../src/operations/init-repo.ts";
import type { ProgressEvent } from "../../src/operations/progress.ts";
import { type PullResult, pull } from "../../src/operations/pull.ts";
import { type SwitchResult, switchImage } from "../../src/operations/switch.ts";
import type { System } from "../../src/operations/system.ts";
import { FakeLinux, type FakeLinuxOptions } from "../fakes/fake-linux.ts";
import type { BuiltImage } from "./oci-image.ts";
import { placeLayout } from "./os-images.ts";

/** Where things lie on the machines that operations are tested on. */
export const sysrootPath: Path = fromText("/target");
export const repoOfSysroot: Path = fromText("/target/composefs");
export const layoutPath: Path = fromText("/layout");

export const linuxAmd64: Platform = { os: "linux", architecture: "amd64", variant: undefined };

/** A process without login files and proxies. */
export const noLogin = { environment: { variables: {}, userId: 0 } };

/** What an operation gets; the import runs on this thread. */
export function systemOn(linux: Linux, changes: Partial<System> = {}): System {
  return { linux, progress: () => {}, signal: new AbortController().signal, importThreads: 0, ...changes };
}

/** A fake machine with an empty directory for a sysroot, and `images` in an OCI layout by their tags. */
export function machineWith(images: Readonly<Record<string, BuiltImage>>, options: FakeLinuxOptions = {}): FakeLinux {
  const linux = new FakeLinux(options);
  if (linux.files.lstatIfExists(sysrootPath) === undefined) linux.files.makeDirectory(sysrootPath, 0o755);
  placeLayout(linux.files, layoutPath, images);
  return linux;
}

/** A fake machine whose sysroot has a repo, and nothing else. */
export async function machineWithRepo(
  images: Readonly<Record<string, BuiltImage>>,
  options: FakeLinuxOptions & { readonly algorithm?: "sha256" | "sha512" } = {},
): Promise<FakeLinux> {
  const linux = machineWith(images, options);
  await initRepo(systemOn(linux), {
    repo: repoOfSysroot,
    algorithm: options.algorithm ?? "sha512",
    insecure: options.verity === false,
  });
  return linux;
}

/** The reference of the image with this tag in the layout. */
export function layoutReference(tag: string): string {
  return `oci:${layoutPath}:${tag}`;
}

/** Pulls the image with this tag from the layout; bootable unless said otherwise. */
export async function pullTag(
  linux: Linux,
  tag: string,
  options: { readonly bootable?: boolean; readonly repair?: boolean; readonly system?: Partial<System> } = {},
): Promise<PullResult> {
  return await pull(systemOn(linux, options.system), {
    image: parseImageReference(layoutReference(tag)),
    repo: repoOfSysroot,
    platform: linuxAmd64,
    source: noLogin,
    bootable: options.bootable ?? true,
    repair: options.repair ?? false,
  });
}

/** Switches the sysroot to the image with this tag in the layout. */
export async function switchTo(
  linux: Linux,
  tag: string,
  options: {
    readonly kernelArguments?: readonly string[];
    readonly system?: Partial<System>;
    readonly image?: string;
  } = {},
): Promise<SwitchResult> {
  return await switchImage(systemOn(linux, options.system), {
    image: parseImageReference(options.image ?? layoutReference(tag)),
    sysroot: sysrootPath,
    platform: linuxAmd64,
    source: noLogin,
    kernelArguments: options.kernelArguments ?? [],
  });
}

/** Collects what an operation tells. */
export class SeenProgress {
  readonly events: ProgressEvent[] = [];
  readonly report = (event: ProgressEvent): void => void this.events.push(event);

  get warnings(): readonly string[] {
    return this.events.flatMap((event) => (event.kind === "warning" ? [event.message] : []));
  }
}

/** The error that `promise` fails with; undefined when it does not. */
export function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** Streams, root images and tags: what others can see of the repo in the sysroot. */
export function namesInRepo(linux: Linux): readonly string[] {
  const below = (path: string): readonly string[] => {
    if (linux.files.lstatIfExists(fromText(path)) === undefined) return [];
    return linux.files.readDirectory(fromText(path)).flatMap((name) => {
      const inside = `${path}/${name}`;
      return linux.files.lstat(fromText(inside)).kind === "directory" ? below(inside) : [inside];
    });
  };
  return ["streams", "images"].flatMap((folder) => below(`${repoOfSysroot}/${folder}`));
}

/** The ids of all objects in the repo in the sysroot. */
export function objectsInRepo(linux: Linux): readonly string[] {
  const objects = `${repoOfSysroot}/objects`;
  return linux.files
    .readDirectory(fromText(objects))
    .flatMap((prefix) => linux.files.readDirectory(fromText(`${objects}/${prefix}`)).map((name) => `${prefix}${name}`));
}
