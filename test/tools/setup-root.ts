import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeLayout } from "../builders/oci-layout.ts";
import { buildOsImage } from "../builders/os-images.ts";
import { findTool, projectDir } from "./find-tool.ts";
import { type Ended, osdeploy, run } from "./run-cli.ts";

/** A mount below the new root, as the kernel tells it. */
export interface SeenMount {
  /** Below the root: `/`, `/etc`. */
  readonly at: string;
  /** The directory of its file system that it shows. */
  readonly shows: string;
  readonly type: string;
  readonly source: string;
  /** Of the mount and of the file system, as `/proc/self/mountinfo` has them. */
  readonly options: readonly string[];
}

/** What one run of `boot/setup-root` did. */
export interface SetUp extends Ended {
  readonly mounts: readonly SeenMount[];
  /** What it wrote for the kernel's console. */
  readonly console: string;
  readonly rebooted: boolean;
  /** What the shell commands in `look` printed, which ran in the new root. */
  readonly seen: string;
  /** Files that the run left on the disk, by their paths below the disk's root. */
  readonly disk: ReadonlyMap<string, string>;
}

export interface SetUpOptions {
  readonly arguments: string;
  /** Shell commands that run before, in the disk's root. */
  readonly prepare?: string;
  /** Shell commands that run after, in what is mounted at the sysroot then. */
  readonly look?: string;
  /** The text of setup-root-conf.toml. */
  readonly config?: string;
  /** Whether the firmware's variables say that systemd-boot counted this boot; the name of the entry's file, where that matters. */
  readonly counted?: boolean | string;
  /** Whether the kernel says of root images what it says of sealed ones. This machine's may have no fs-verity. */
  readonly sealed?: boolean;
}

/** A disk's root file system with one deployment, made by `osdeploy switch`, on which `boot/setup-root` can be run. */
export class Sysroot {
  readonly #scratch: string;
  /** The deployment's root image. */
  readonly id: string;

  private constructor(scratch: string, id: string) {
    this.#scratch = scratch;
    this.id = id;
  }

  static async make(): Promise<Sysroot> {
    const scratch = mkdtempSync(join(tmpdir(), "osdeploy-setup-root-"));
    writeLayout(join(scratch, "image"), [{ image: await buildOsImage("1"), tag: "v1" }]);
    mkdirSync(join(scratch, "disk"));
    osdeploy("switch", `oci:${join(scratch, "image")}:v1`, "--sysroot", join(scratch, "disk"));
    const [id = ""] = readdirSync(join(scratch, "disk/state/deploy"));
    return new Sysroot(scratch, id);
  }

  remove(): void {
    rmSync(this.#scratch, { recursive: true });
  }

  /** Runs `boot/setup-root` in a mount namespace of its own, on a copy of the disk. */
  setUp(options: SetUpOptions): SetUp {
    const place = mkdtempSync(join(this.#scratch, "run-"));
    for (const name of ["at", "efi", "programs", "result", "run"]) mkdirSync(join(place, name));
    writeFileSync(join(place, "cmdline"), `${options.arguments}\n`);
    writeFileSync(join(place, "prepare"), options.prepare ?? "");
    writeFileSync(join(place, "look"), options.look ?? "");
    writeFileSync(join(place, "console"), "");
    if (options.config !== undefined) writeFileSync(join(place, "config"), options.config);
    if (options.counted === true) writeFileSync(join(place, "efi", countPath), "");
    if (typeof options.counted === "string") {
      writeFileSync(join(place, "efi", countPath), Buffer.from(`\\loader\\entries\\${options.counted}\0`, "utf16le"));
    }
    writeProgram(join(place, "reboot"), `echo >${place}/rebooted`);
    const fsverity = findTool("fsverity") ?? "fsverity";
    const measure = options.sealed === true ? sealedMeasure(fsverity) : `exec ${fsverity} "$@"`;
    writeProgram(join(place, "programs/fsverity"), measure);
    const words = ["--mount", "--propagation", "private", "sh", "-ec", script, "sh", place, this.#scratch, projectDir];
    const ended = run("unshare", words);
    return { ...ended, ...readResults(place) };
  }
}

const countPath = "LoaderBootCountPath-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/** What the kernel would measure, had it fs-verity. */
function sealedMeasure(fsverity: string): string {
  return `[ "$1" = measure ] || exec ${fsverity} "$@"\nexec ${fsverity} digest --hash-alg=sha512 "$2"`;
}

function writeProgram(file: string, text: string): void {
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
}

/** Its arguments: the place of this run, that of all runs, the project. The disk is a tmpfs, so that its mounts can be tried out. */
const script = `
  place=$1 scratch=$2 project=$3
  mount -t tmpfs disk "$place/at"
  cp -a "$scratch/disk/." "$place/at/"
  (cd "$place/at" && sh -eu "$place/prepare")
  status=0
  sh "$project/boot/setup-root" --sysroot "$place/at" --run "$place/run/setup" --config "$place/config" --cmdline "$place/cmdline" \\
    --kmsg "$place/console" --efi-variables "$place/efi" --reboot-program "$place/reboot" --programs "$place/programs" || status=$?
  grep " $place/" /proc/self/mountinfo | sed "s# $place/at# #" >"$place/result/mounts"
  (cd "$place/at" && sh -u "$place/look") >"$place/result/seen" 2>&1 || :
  mkdir "$place/result/disk"
  for directory in "$place/at" "$place/at/sysroot"; do
    [ -d "$directory/state/osdeploy" ] || [ -d "$directory/boot/loader" ] || continue
    (cd "$directory" && cp -a --parents state/osdeploy boot/loader boot/grub "$place/result/disk/" 2>/dev/null) || :
  done
  exit $status
`;

function readResults(place: string): Omit<SetUp, keyof Ended> {
  const files = readdirSync(place);
  const disk = new Map<string, string>();
  const top = join(place, "result/disk");
  for (const entry of readdirSync(top, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    disk.set(path.slice(top.length + 1), readFileSync(path, "latin1"));
  }
  return {
    mounts: readFileSync(join(place, "result/mounts"), "utf8").split("\n").filter(Boolean).map(parseMount),
    console: readFileSync(join(place, "console"), "utf8"),
    rebooted: files.includes("rebooted"),
    seen: readFileSync(join(place, "result/seen"), "utf8"),
    disk,
  };
}

/** A line of `/proc/self/mountinfo`: numbers, root, mount point, options, optional fields, `-`, type, source, options. */
function parseMount(line: string): SeenMount {
  const [before = "", after = ""] = line.split(" - ");
  const [, , , shows = "", at = "", mountOptions = ""] = before.split(" ");
  const [type = "", source = "", fileSystemOptions = ""] = after.split(" ");
  return { at: at || "/", shows, type, source, options: [...mountOptions.split(","), ...fileSystemOptions.split(",")] };
}
