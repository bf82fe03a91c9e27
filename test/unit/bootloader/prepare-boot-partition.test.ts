import { expect, test } from "vitest";
import { type LoaderSettings, prepareBootPartition } from "../../../src/bootloader/prepare-boot-partition.ts";
import { fromBytes, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const boot = fromText("/boot");
const grub: LoaderSettings = { kind: "grub", fileSystemUuid: "ABCD-1234", directory: "/grub", timeoutSeconds: 2 };

function prepared(settings: LoaderSettings): FakeLinux {
  const linux = new FakeLinux({ mountPoints: [{ path: "/boot" }] });
  expect(prepareBootPartition(linux.files, boot, settings)).toEqual([]);
  return linux.crash({ keepUnsynced: false, names: "lost" });
}

const read = (linux: FakeLinux, path: string) => fromBytes(linux.files.readFile(fromText(`/boot/${path}`), 1 << 20));

test("prepareBootPartition: writes what systemd-boot reads, durable", () => {
  const linux = prepared({ kind: "systemd-boot", timeoutSeconds: 3 });
  expect(read(linux, "loader/loader.conf")).toBe("timeout 3\ndefault osdeploy-*\n");
  expect(read(linux, "loader/entries.srel")).toBe("type1\n");
  expect(read(linux, "osdeploy/bootloader")).toBe("systemd-boot\n");
});

test("prepareBootPartition: writes what GRUB reads, durable", () => {
  const linux = prepared(grub);
  expect(linux.files.readDirectory(fromText("/boot/grub"))).toEqual(["grub.cfg", "grubenv", "osdeploy.cfg"]);
  expect(read(linux, "grub/grubenv")).toBe("# GRUB Environment Block\n".padEnd(1024, "#"));
  expect(read(linux, "grub/grub.cfg")).toContain("set timeout=2\nsearch --no-floppy --set=root --fs-uuid ABCD-1234\n");
  expect(read(linux, "osdeploy/bootloader")).toBe("grub\n");
});

test("prepareBootPartition: writes into the directory that GRUB has, which Fedora calls grub2", () => {
  const linux = prepared({ ...grub, directory: "/boot/grub2" });
  expect(linux.files.readDirectory(fromText("/boot/grub2"))).toEqual(["grub.cfg", "grubenv", "osdeploy.cfg"]);
  expect(linux.files.lstatIfExists(fromText("/boot/grub"))).toBeUndefined();
});

test("prepareBootPartition: writes only the note for no loader", () => {
  const linux = prepared({ kind: "none" });
  expect(linux.files.readDirectory(boot)).toEqual(["osdeploy"]);
  expect(read(linux, "osdeploy/bootloader")).toBe("none\n");
});

test("prepareBootPartition: leaves what is there, and names it", () => {
  const linux = prepared({ kind: "systemd-boot", timeoutSeconds: 3 });
  const loader = fromText("/boot/loader/loader.conf");
  linux.files.unlink(loader);
  linux.files.writeNewFile(loader, toBytes(fromText("timeout 99\n")), 0o644);
  expect(prepareBootPartition(linux.files, boot, { kind: "systemd-boot", timeoutSeconds: 1 })).toEqual([
    "/boot/loader/loader.conf",
    "/boot/loader/entries.srel",
  ]);
  expect(read(linux, "loader/loader.conf")).toBe("timeout 99\n");
  expect(prepareBootPartition(linux.files, boot, grub)).toEqual([]);
  expect(read(linux, "osdeploy/bootloader")).toBe("grub\n");
});
