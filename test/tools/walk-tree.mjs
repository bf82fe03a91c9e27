// Mounts root images with the kernel and tells what a user sees there.
//
//   unshare --mount --propagation private node walk-tree.mjs JOBS.json
//
// JOBS.json: an array of { directory, mountWith? } or { image, objects?, work }. The program `mountWith` mounts something on
// `directory`. With `image` the EROFS file is mounted on `work`/erofs by mount(8), and with `objects` an overlay of it over that
// data-only layer on `work`/root. In a mount namespace of its own, so that
// no mount outlives this process. Prints per job one line of JSON: an array of entries, or { error }.
// Names, targets and attributes are bytes, given as latin1 strings. The file content is given by its sha256.
// Plain JavaScript: it runs outside of vitest.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  writeSync,
} from "node:fs";

/** Reading a sparse file of terabytes would not end. */
const READ_LIMIT = 1n << 26n;
const chunk = Buffer.allocUnsafe(1 << 20);
const kinds = [
  ["directory", "isDirectory"],
  ["regular", "isFile"],
  ["symlink", "isSymbolicLink"],
  ["character-device", "isCharacterDevice"],
  ["block-device", "isBlockDevice"],
  ["fifo", "isFIFO"],
  ["socket", "isSocket"],
];

for (const job of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  writeLine(JSON.stringify(perform(job)));
}

function writeLine(text) {
  const bytes = Buffer.from(`${text}\n`);
  for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
}

function perform(job) {
  const mounted = [];
  try {
    return walk(job.image === undefined ? mountWith(job, mounted) : mountImage(job, mounted));
  } catch (error) {
    return { error: String(error.stderr ?? error.stack) };
  } finally {
    for (const place of mounted.reverse()) execFileSync("umount", [place]);
  }
}

function mountWith({ directory, mountWith: command }, mounted) {
  if (command === undefined) return directory;
  mkdirSync(directory, { recursive: true });
  execFileSync(command[0], command.slice(1), { stdio: "pipe" });
  mounted.push(directory);
  return directory;
}

function mountImage({ image, objects, work }, mounted) {
  const [erofs, root] = [`${work}/erofs`, `${work}/root`];
  for (const place of [erofs, root]) mkdirSync(place, { recursive: true });
  execFileSync("mount", ["-t", "erofs", "-o", "loop,ro", image, erofs], { stdio: "pipe" });
  mounted.push(erofs);
  if (objects === undefined) return erofs;
  const options = `ro,metacopy=on,redirect_dir=on,lowerdir=${erofs}::${objects}`;
  execFileSync("mount", ["-t", "overlay", "-o", options, "overlay", root], { stdio: "pipe" });
  mounted.push(root);
  return root;
}

function walk(directory) {
  const xattrs = readXattrs(directory);
  const firstNames = new Map();
  const entries = [];
  const visit = (path) => {
    const entry = see(directory, path, firstNames);
    entries.push({ ...entry, xattrs: xattrs.get(path) ?? [] });
    if (entry.kind !== "directory") return;
    const found = readdirSync(place(directory, path), { encoding: "buffer" });
    const names = found.map((name) => name.toString("latin1"));
    for (const name of names.sort()) visit(path === "" ? name : `${path}/${name}`);
  };
  visit("");
  return entries;
}

function place(directory, path) {
  return Buffer.concat([Buffer.from(`${directory}/`), Buffer.from(path, "latin1")]);
}

function see(directory, path, firstNames) {
  const file = place(directory, path);
  const stat = attempt(() => lstatSync(file, { bigint: true }));
  if (typeof stat === "string") return { path, kind: stat }; // metadata of a file whose object is not there
  const kind = kinds.find(([, is]) => stat[is]())[0];
  const isDirectory = kind === "directory";
  if (!isDirectory && !firstNames.has(stat.ino)) firstNames.set(stat.ino, path);
  return {
    path,
    kind,
    permissions: Number(stat.mode & 0o7777n),
    owner: `${stat.uid}:${stat.gid}`,
    size: kind === "regular" ? String(stat.size) : undefined,
    mtime: String(stat.mtimeNs),
    rdev: kind.endsWith("device") ? Number(stat.rdev) : undefined,
    nlink: isDirectory ? undefined : Number(stat.nlink),
    sameAs: isDirectory ? undefined : firstNames.get(stat.ino),
    target: kind === "symlink" ? readlinkSync(file, { encoding: "buffer" }).toString("latin1") : undefined,
    content: kind === "regular" && stat.size <= READ_LIMIT ? digest(file) : undefined,
  };
}

/** The value, or the error code of the system call. */
function attempt(call) {
  try {
    return call();
  } catch (error) {
    return error.code;
  }
}

function digest(file) {
  const hash = createHash("sha256");
  let descriptor;
  try {
    descriptor = openSync(file, "r");
    for (let n = readSync(descriptor, chunk); n > 0; n = readSync(descriptor, chunk)) hash.update(chunk.subarray(0, n));
    return hash.digest("hex");
  } catch (error) {
    return error.code; // an object that is not there is part of what is seen
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Path to sorted `name=hex` strings, as getfattr finds them. A file whose object is not there has none to be read. */
function readXattrs(directory) {
  const { stdout: text } = spawnSync("getfattr", ["-R", "-P", "-h", "-d", "-m", "-", "-e", "hex", "."], {
    cwd: directory,
    encoding: "latin1",
    maxBuffer: 1 << 30,
  });
  const found = new Map();
  for (const paragraph of text.split("\n\n")) {
    const [head, ...lines] = paragraph.split("\n").filter((line) => line !== "");
    if (head === undefined) continue;
    const path = unescapeOctal(head.replace("# file: ", "")).replace(/^\.(\/|$)/, "");
    found.set(path, lines.map(unescapeOctal).sort());
  }
  return found;
}

function unescapeOctal(text) {
  return text.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(Number.parseInt(digits, 8)));
}
