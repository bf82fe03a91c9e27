import { expect, test } from "vitest";
import { type ByteString, fromText } from "../../../src/core/bytes/byte-string.ts";
import type { LinuxFiles } from "../../../src/linux/linux.ts";
import { makeInode, type NewInode, setMetadata, setModificationTime } from "../../../src/linux/new-inode.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const path = fromText("/new");
const stat = { permissions: 0o4755, uid: 7, gid: 8, mtimeSeconds: 5n, mtimeNanoseconds: 1_000_000_009 };
const bytes = Uint8Array.of(1, 2);

test.each<[NewInode, number]>([
  [{ kind: "directory" }, 0o700],
  [{ kind: "symlink", target: fromText("to") }, 0o777],
  [{ kind: "regular", source: { kind: "bytes", bytes } }, 0o600],
  [{ kind: "character-device", rdev: 0x105 }, 0o600],
  [{ kind: "fifo", rdev: 0 }, 0o600],
])("makeInode: what is made is its maker's alone: %j", (inode, permissions) => {
  const { files } = new FakeLinux();
  makeInode(files, path, inode);
  expect(files.lstat(path)).toMatchObject({ kind: inode.kind, permissions });
  if (inode.kind === "regular") expect(files.readFile(path, 10)).toEqual(bytes);
  if (inode.kind === "symlink") expect(files.readLink(path)).toBe("to");
});

test("setMetadata: the owner comes first, because it clears what permissions and attributes say", () => {
  const { files } = new FakeLinux();
  makeInode(files, path, { kind: "regular", source: { kind: "bytes", bytes } });
  const order: string[] = [];
  const noted = <A extends readonly unknown[]>(name: string, call: (...given: A) => void) => {
    return (...given: A): void => {
      order.push(name);
      call(...given);
    };
  };
  const seen: LinuxFiles = {
    ...files,
    setOwner: noted("owner", files.setOwner),
    setPermissions: noted("permissions", files.setPermissions),
    setXattr: noted("xattr", files.setXattr),
  };
  const xattrs = new Map([["user.a", "b"]] as [ByteString, ByteString][]);
  setMetadata(seen, path, { kind: "regular", stat, xattrs });
  setModificationTime(seen, path, stat);
  expect(order).toEqual(["owner", "permissions", "xattr"]);
  expect(files.lstat(path)).toMatchObject({
    permissions: 0o4755,
    uid: 7,
    gid: 8,
    mtimeSeconds: 5n,
    mtimeNanoseconds: 9,
  });
  expect(files.xattrs(path)).toEqual(xattrs);
});
