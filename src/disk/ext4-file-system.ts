import { type ByteString, fromText, toBytes, toText } from "../core/bytes/byte-string.ts";
import { debugfsScripts } from "../core/disk/debugfs-script.ts";
import type { DiskStep } from "../core/disk/disk-step.ts";
import type { Uuid } from "../core/disk/uuid.ts";
import { OsdeployError } from "../core/errors.ts";
import type { Linux, Path } from "../linux/linux.ts";

import type { ScratchFiles } from "./scratch-files.ts";
import { roomHint, runTool, saysNoRoom } from "./tools.ts";

/** An ext4 file system that is to be made, at some place in a file or on a disk. */
export interface NewExt4 {
  readonly target: Path;
  readonly offsetBytes: number;
  /** A multiple of 4096. */
  readonly sizeBytes: number;
  readonly uuid: Uuid;
  readonly label: string;
  /** Seconds since 1970: when it and all in it was made. */
  readonly time: number;
  /** Whether `target` is a file full of holes, where zeros cost nothing. */
  readonly isSparse: boolean;
  readonly steps: readonly DiskStep[];
  readonly scratch: ScratchFiles;
}

/**
 * What mkfs makes must not depend on the /etc/mke2fs.conf of the machine that it runs on. Left out are features that GRUB 2.12
 * and kernels of the last years cannot read, and what makes inodes on its own (orphan_file).
 */
const configuration = `[defaults]
	base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
	default_mntopts = acl,user_xattr
	enable_periodic_fsck = 0
	blocksize = 4096
	inode_size = 256
	inode_ratio = 16384
[fs_types]
	ext4 = {
		features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize,verity
	}
`;

/**
 * Makes an ext4 file system with fs-verity and all inodes of `steps` in it, by mkfs.ext4 and debugfs: without a mount,
 * without rights, and with the same bytes for the same input. e2fsck has found it clean when this returns.
 *
 * @throws OsdeployError `unsupported` where a tool is missing, or a name cannot be told to debugfs; `no-space` when the
 * files do not fit; `system` when a tool fails.
 */
export function makeExt4(linux: Linux, made: NewExt4): void {
  const { programs } = linux;
  const environment = {
    E2FSPROGS_FAKE_TIME: String(made.time),
    SOURCE_DATE_EPOCH: String(made.time),
    MKE2FS_CONFIG: toText(made.scratch.pathOf(fromText(configuration))),
    TZ: "UTC",
  };
  const extended = [
    `offset=${made.offsetBytes}`,
    `hash_seed=${made.uuid}`,
    `lazy_itable_init=${made.isSparse ? 0 : 1}`,
    "root_owner=0:0",
    "nodiscard",
  ];
  const size = `${made.sizeBytes / 1024}k`;
  const inodes = String(Math.max(Math.ceil(made.sizeBytes / 16384), 2 * made.steps.length));
  const options = ["-q", "-F", "-b", "4096", "-N", inodes, "-U", made.uuid, "-L", made.label, "-E", extended.join(",")];
  runTool(programs, ["mkfs.ext4", ...options, toText(made.target), size], { environment });
  const place = `${toText(made.target)}?offset=${made.offsetBytes}`;
  for (const script of debugfsScripts(made.steps, {
    time: made.time,
    valueFile: (value) => made.scratch.pathOf(value),
  })) {
    runScript(linux, place, script, environment);
  }
  runTool(programs, ["e2fsck", "-fn", place], { environment });
}

function runScript({ programs }: Linux, place: string, script: ByteString, environment: Record<string, string>): void {
  const { stderr } = runTool(programs, ["debugfs", "-w", "-f", "-", place], {
    environment,
    input: toBytes(script),
  });
  // debugfs ends with status 0 whatever goes wrong; all it says when nothing does is its version.
  const complaints = stderr.split("\n").filter((line) => line !== "" && !/^debugfs \d/.test(line));
  const [first] = complaints;
  if (first === undefined) return;
  const code = saysNoRoom(first) || /allocate block|no free space/i.test(first) ? "no-space" : "system";
  throw new OsdeployError(code, `Cannot install: debugfs says: ${first.replace(/\p{Cc}+/gu, " ").slice(0, 300)}`, {
    facts: { complaints: complaints.length, ...(saysNoRoom(first) && { hint: roomHint }) },
  });
}
