import { fromText } from "../core/bytes/byte-string.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import { type Uuid, uuidOfSeed } from "../core/disk/uuid.ts";
import type { FileTree } from "../core/tree/inode.ts";
import { findInode } from "../core/tree/tree-path.ts";
import type { LinuxClock } from "../linux/linux.ts";

/** All that is unique about one disk. */
export interface DiskIdentity {
  readonly disk: Uuid;
  readonly bootPartition: Uuid;
  /** Of the EFI system partition and its file system, where the boot partition is another one. */
  readonly espPartition: Uuid;
  readonly esp: Uuid;
  readonly rootPartition: Uuid;
  /** Of the boot partition's file system; FAT keeps the first eight digits. */
  readonly boot: Uuid;
  /** Of the root file system. */
  readonly root: Uuid;
}

/**
 * The UUIDs of a new disk: by chance, or all from what is installed, so that the same disk comes out again. Two disks with
 * the same UUIDs must not be in one machine: it would find one of them.
 */
export function diskIdentity(
  clock: LinuxClock,
  rootImage: ObjectId,
  { random }: { readonly random: boolean },
): DiskIdentity {
  const seed = random ? `${clock.randomName()}${clock.randomName()}` : rootImage;
  const uuid = (what: string) => uuidOfSeed(`osdeploy disk ${what} ${seed}`);
  return {
    disk: uuid("disk"),
    bootPartition: uuid("boot-partition"),
    espPartition: uuid("esp-partition"),
    esp: uuid("esp"),
    rootPartition: uuid("root-partition"),
    boot: uuid("boot"),
    root: uuid("root"),
  };
}

/** FAT knows no time before, ext4's short fields none after. */
const firstTime = 315_619_200;
const lastTime = 2_147_483_647;

/** The time that everything on a new disk gets which has none of its own: that of the image's /usr, in seconds since 1970. */
export function diskTime(tree: FileTree): number {
  const { mtimeSeconds } = (findInode(tree, fromText("usr")) ?? tree.root).stat;
  return Math.min(Math.max(Number(mtimeSeconds), firstTime), lastTime);
}
