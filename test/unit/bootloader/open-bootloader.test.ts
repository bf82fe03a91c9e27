import { describe, expect, test } from "vitest";
import { detectBootloader, openBootloader } from "../../../src/bootloader/open-bootloader.ts";
import { fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const boot = fromText("/boot");

/** A boot partition with these files, by path; a path that ends with a slash is a directory. */
function machine(contents: Readonly<Record<string, string>>): FakeLinux {
  const linux = new FakeLinux({ mountPoints: [{ path: "/boot" }] });
  for (const [path, text] of Object.entries(contents)) {
    const names = path.split("/");
    for (let length = 1; length < names.length; length++) {
      const directory = fromText(`/boot/${names.slice(0, length).join("/")}`);
      if (linux.files.lstatIfExists(directory) === undefined) linux.files.makeDirectory(directory, 0o755);
    }
    if (!path.endsWith("/")) linux.files.writeNewFile(fromText(`/boot/${path}`), toBytes(fromText(text)), 0o644);
  }
  return linux;
}

describe("detectBootloader", () => {
  test.each<[string, string, Readonly<Record<string, string>>]>([
    ["none", "an empty partition", {}],
    ["none", "entries of bootc's", { "loader/entries/bootc_x.conf": "title x\n" }],
    ["systemd-boot", "what bootctl install leaves on an ESP", { "EFI/systemd/systemd-bootx64.efi": "" }],
    ["systemd-boot", "what bootctl install leaves on an extended boot partition", { "loader/entries.srel": "type1\n" }],
    ["systemd-boot", "a configuration of systemd-boot", { "loader/loader.conf": "timeout 3\n" }],
    ["grub", "what grub-install leaves", { "grub/grubenv": "# GRUB Environment Block\n", "grub/x86_64-efi/": "" }],
    ["grub", "Fedora's GRUB", { "grub2/grub.cfg": "blscfg\n", "loader/entries/fedora.conf": "title Fedora\n" }],
    ["none", "an empty directory of GRUB's", { "grub/": "" }],
    ["grub", "the note, whatever else is there", { "osdeploy/bootloader": "grub\n", "loader/loader.conf": "" }],
    ["none", "a note that says so", { "osdeploy/bootloader": "none", "grub/grub.cfg": "" }],
    ["systemd-boot", "a note that nobody understands", { "osdeploy/bootloader": "lilo\n", "EFI/systemd/": "" }],
    ["none", "a note that is a directory", { "osdeploy/bootloader/": "" }],
  ])("is %s for %s", (kind, _, contents) => {
    const linux = machine(contents);
    expect(detectBootloader(linux.files, boot)).toBe(kind);
    expect(openBootloader(linux.files, { boot }).kind).toBe(kind);
  });

  test("does not take a missing permission for a note that is not there", () => {
    const refuse = () => {
      throw new OsdeployError("permission-denied", "Cannot read: permission denied (EACCES)");
    };
    expect(() => detectBootloader({ ...machine({}).files, readFile: refuse }, boot)).toThrow("permission denied");
  });
});

test("openBootloader: takes the kind that it is given", () => {
  const linux = machine({ "osdeploy/bootloader": "grub" });
  expect(openBootloader(linux.files, { boot, kind: "systemd-boot" }).kind).toBe("systemd-boot");
});

test.each<[boolean, string, Readonly<Record<string, string>>]>([
  [true, "sources our menu", { "grub/grub.cfg": 'source "$config_directory/osdeploy.cfg"\n' }],
  [
    true,
    "sources it from custom.cfg, as Debian's can",
    { "grub/grub.cfg": "", "grub/custom.cfg": "source $prefix/osdeploy.cfg" },
  ],
  [false, "does not know it", { "grub2/grub.cfg": "blscfg\n" }],
  [false, "has no configuration", { "grub/grubenv": "" }],
])("openBootloader: countsTries is %s for a GRUB that %s", (counts, _, contents) => {
  expect(openBootloader(machine(contents).files, { boot, kind: "grub" }).countsTries).toBe(counts);
});
