import { fromText, toText } from "../core/bytes/byte-string.ts";
import { decodeText, encodeText } from "../core/bytes/utf8.ts";
import { OsdeployError } from "../core/errors.ts";
import type { FileTree } from "../core/tree/inode.ts";
import { findDirectory, findInode } from "../core/tree/tree-path.ts";
import type { LinuxFiles, Path } from "../linux/linux.ts";
import { changesOfFirstEtc } from "./host-etc.ts";
import type { InstallImage } from "./install-image.ts";
import type { StateAddition } from "./state-additions.ts";
import type { System } from "./system.ts";

/** As many keys as anybody has. */
export const keysLimitBytes: number = 1024 * 1024;

/**
 * The files by which root can log in with the keys of a file: in root's home where the image keeps that in /var, else in
 * /etc/ssh, because a home in the image can only be read. None where no keys are given.
 *
 * @throws OsdeployError as {@link readRootKeys} does; `unsupported` when the image has no place for them; `already-exists` when
 * it has keys of its own there, which stay.
 */
export function rootKeyFiles({ linux }: System, tree: FileTree, keys: Path | undefined): readonly StateAddition[] {
  const bytes = readRootKeys(linux.files, keys);
  if (bytes === undefined) return [];
  const home = homeInVar(tree);
  if (home !== undefined) {
    refuseOthers(tree, `var/${home}/.ssh/authorized_keys`);
    return [
      { below: "var", path: home, permissions: 0o700, bytes: "directory" },
      { below: "var", path: `${home}/.ssh`, permissions: 0o700, bytes: "directory" },
      { below: "var", path: `${home}/.ssh/authorized_keys`, permissions: 0o600, bytes },
    ];
  }
  if (findDirectory(tree, fromText("etc/ssh/sshd_config.d")) === undefined) {
    const state = "root's home is in the image, where it cannot be written, and there is no /etc/ssh/sshd_config.d";
    throw new OsdeployError("unsupported", `Cannot install keys for root: ${state}`);
  }
  refuseOthers(tree, `etc/${keysInEtc}`);
  return sshFiles(bytes);
}

const keysInEtc = "ssh/authorized_keys.d/root";

function refuseOthers(tree: FileTree, path: string): void {
  if (findInode(tree, fromText(path)) === undefined) return;
  throw new OsdeployError("already-exists", `Cannot install keys for root: the image has a /${path} of its own`, {
    facts: { hint: "Install without keys, or use an image without that file" },
  });
}

/**
 * Reads a file of keys; called before an installation as well, so that what is wrong with it is told at once.
 *
 * @throws OsdeployError `not-found`; as {@link checkRootKeys}.
 */
export function readRootKeys(files: LinuxFiles, keys: Path | undefined): Uint8Array | undefined {
  if (keys === undefined) return undefined;
  // In many homes the file is a link.
  const bytes = files.readFile(files.realPath(keys), keysLimitBytes);
  checkRootKeys(bytes, keys);
  return bytes;
}

/** Checks what is in a file of keys. @throws OsdeployError `bad-format` when that is no key, or a secret one. */
export function checkRootKeys(bytes: Uint8Array, path: Path): void {
  const lines = decodeText(bytes).split("\n");
  const isSecret = lines.some((line) => /^-----BEGIN .*PRIVATE KEY/.test(line.trim()));
  if (!isSecret && lines.some((line) => /^[^#]/.test(line.trim()))) return;
  const state = isSecret ? "it holds a private key, which would be on every machine" : "there is none in it";
  throw new OsdeployError("bad-format", `Cannot use the keys in "${toText(path)}": ${state}`, {
    facts: { hint: "Name a file with public keys, such as ~/.ssh/id_ed25519.pub" },
  });
}

/** The keys, and the setting by which the server looks there, below /etc. */
function sshFiles(bytes: Uint8Array): readonly StateAddition[] {
  const setting = "AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/authorized_keys.d/%u\n";
  return [
    { below: "etc", path: "ssh/authorized_keys.d", permissions: 0o755, bytes: "directory" },
    { below: "etc", path: keysInEtc, permissions: 0o600, bytes },
    {
      below: "etc",
      path: "ssh/sshd_config.d/10-osdeploy-keys.conf",
      permissions: 0o644,
      bytes: encodeText(setting),
    },
  ];
}

/**
 * The files of {@link rootKeyFiles}, where they are seen in the first deployment of an image: below an overlay in its upper
 * directory, in directories that look like those of the image which they hide.
 */
export function placeRootKeys(
  system: System,
  { repo, tree }: Pick<InstallImage, "repo" | "tree">,
  keys: Path | undefined,
): readonly StateAddition[] {
  const additions = rootKeyFiles(system, tree, keys);
  const changes = changesOfFirstEtc(repo, tree);
  const inEtc = additions.filter(({ below }) => below === "etc");
  if (changes === "" || inEtc.length === 0) return additions;
  const parents = [...new Set(inEtc.flatMap(({ path }) => parentsOf(path)))].flatMap(
    (path): readonly StateAddition[] => {
      const directory = findDirectory(tree, fromText(`etc/${path}`));
      if (directory === undefined) return [];
      const { stat, xattrs } = directory;
      return [{ below: "etc", path, permissions: stat.permissions, xattrs, bytes: "directory" }];
    },
  );
  return [...parents, ...inEtc].map((addition) => ({ ...addition, path: `${changes}/${addition.path}` }));
}

/** The directories that lead to a path, the outermost first. */
function parentsOf(path: string): readonly string[] {
  const names = path.split("/").slice(0, -1);
  return names.map((_, index) => names.slice(0, index + 1).join("/"));
}

/** Where /root leads to below /var; undefined when it stays in the image. */
function homeInVar(tree: FileTree): string | undefined {
  const root = findInode(tree, fromText("root"));
  return root?.kind === "symlink" ? /^\/?var\/([^/.][^/]*)\/?$/.exec(root.target)?.[1] : undefined;
}
