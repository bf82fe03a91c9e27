import { gunzipSync, gzipSync } from "node:zlib";
import { extract, pack } from "tar-stream";
import { type ByteString, fromText, toText } from "../../src/core/bytes/byte-string.ts";
import type { LinuxFiles, Path } from "../../src/linux/linux.ts";
import { childPath } from "../../src/linux/path.ts";
import type { FakeLinux } from "../fakes/fake-linux.ts";
import { syncAll } from "./running-machine.ts";

/** What of a machine's disk is kept: the sysroot and the boot partition. */
const kept = ["/sysroot", "/boot"];

/** The disk of a machine as a compressed tar, as any tar program reads it. Names are text, as all of these tests are. */
export async function freezeDisk(linux: FakeLinux): Promise<Uint8Array> {
  const tar = pack();
  for (const top of kept) addToTar(tar, linux.files, fromText(top));
  tar.finalize();
  const pieces: Uint8Array[] = [];
  for await (const piece of tar) pieces.push(piece as Uint8Array);
  return gzipSync(Buffer.concat(pieces), { level: 9 });
}

function addToTar(tar: ReturnType<typeof pack>, files: LinuxFiles, path: Path): void {
  const { kind, permissions: mode, uid, gid, mtimeSeconds } = files.lstat(path);
  const header = { name: toText(path).slice(1), mode, uid, gid, mtime: new Date(Number(mtimeSeconds) * 1000) };
  if (files.xattrs(path).size > 0) throw new Error(`${path} has extended attributes, which these tars do not keep`);
  if (kind === "directory") {
    tar.entry({ ...header, type: "directory" });
    for (const name of files.readDirectory(path)) addToTar(tar, files, childPath(path, name));
  } else if (kind === "symlink") {
    tar.entry({ ...header, type: "symlink", linkname: toText(files.readLink(path)) });
  } else if (kind === "regular") {
    tar.entry(header, Buffer.from(files.readFile(path, 2 ** 30)));
  } else throw new Error(`${path} is a ${kind}, which these tars do not keep`);
}

/** Puts a disk that was frozen into a machine with empty file systems, its objects sealed again. */
export async function thawDisk(linux: FakeLinux, frozen: Uint8Array): Promise<void> {
  const { files } = linux;
  const entries = extract();
  entries.end(gunzipSync(frozen));
  for await (const entry of entries) {
    const pieces: Uint8Array[] = [];
    for await (const piece of entry) pieces.push(piece as Uint8Array);
    const { name, type, linkname = "", mode = 0, uid = 0, gid = 0, mtime } = entry.header;
    const path = fromText(`/${name.replace(/\/$/, "")}`);
    if (type === "symlink") files.symlink(fromText(linkname), path);
    else if (type !== "directory") files.writeNewFile(path, Buffer.concat(pieces), mode);
    else if (files.lstatIfExists(path) === undefined) files.makeDirectory(path, mode);
    files.setOwner(path, uid, gid);
    files.setTime(path, BigInt(Math.floor((mtime?.getTime() ?? 0) / 1000)), 0);
    if (isSealed(path)) files.enableVerity(path, "sha512");
  }
  syncAll(linux);
}

function isSealed(path: ByteString): boolean {
  return /^\/sysroot\/composefs\/(objects\/..\/|meta\.json$)/.test(path);
}
