import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { onSameFileSystem } from "../../../src/linux/file-system.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

test("onSameFileSystem: two files of one, and not the root of what is mounted there", () => {
  const { files } = new FakeLinux({ mountPoints: [{ path: "/boot" }, { path: "/boot/efi" }] });
  for (const name of ["/a", "/b", "/boot/a"]) files.writeNewFile(fromText(name), new Uint8Array(), 0o600);
  const same = (a: string, b: string) => onSameFileSystem(files.lstat(fromText(a)), files.lstat(fromText(b)));
  expect([same("/a", "/b"), same("/", "/a"), same("/boot", "/boot/a")]).toEqual([true, true, true]);
  expect([same("/", "/boot"), same("/a", "/boot/a"), same("/boot", "/boot/efi")]).toEqual([false, false, false]);
});
