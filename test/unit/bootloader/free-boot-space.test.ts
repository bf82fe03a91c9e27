import { expect, test } from "vitest";
import type { BootloaderKind } from "../../../src/bootloader/bootloader.ts";
import { freeBootSpace } from "../../../src/bootloader/free-boot-space.ts";
import { listKernels } from "../../../src/bootloader/kernel-store.ts";
import { openBootloader } from "../../../src/bootloader/open-bootloader.ts";
import { makeBootEntry } from "../../../src/core/boot/boot-menu.ts";
import { bootDigestOfEntry } from "../../../src/core/boot/kernel-files.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseObjectId } from "../../../src/core/digest/object-id.ts";
import { FakeLinux, SimulatedCrash } from "../../fakes/fake-linux.ts";

const boot = fromText("/boot");
const kernelOf = (sequence: number) => `${sequence}`.repeat(64);

const entryOf = (sequence: number) =>
  makeBootEntry({
    sequence,
    rootImage: parseObjectId("ab".repeat(32), "sha256"),
    osRelease: { id: "test", prettyName: "Test OS", version: "9" },
    kernelPath: `/osdeploy/${kernelOf(sequence)}/vmlinuz`,
    initramfsPath: `/osdeploy/${kernelOf(sequence)}/initramfs.img`,
    options: `composefs=${"ab".repeat(32)}`,
  });

function machine(kind: BootloaderKind): FakeLinux {
  const linux = new FakeLinux({ mountPoints: [{ path: "/boot" }] });
  const { files } = linux;
  files.makeDirectory(fromText("/boot/osdeploy"), 0o755);
  for (const sequence of [1, 2, 3]) {
    files.makeDirectory(fromText(`/boot/osdeploy/${kernelOf(sequence)}`), 0o755);
    for (const name of ["vmlinuz", "initramfs.img"]) {
      files.writeNewFile(fromText(`/boot/osdeploy/${kernelOf(sequence)}/${name}`), new Uint8Array(9), 0o600);
    }
    openBootloader(files, { boot, kind }).addEntry(entryOf(sequence));
  }
  return linux;
}

test.each(["systemd-boot", "grub", "none"] as const)(
  "freeBootSpace: at every moment each entry of %s has its kernel",
  (kind) => {
    const base = machine(kind);
    const plan = { removeEntries: [entryOf(1), entryOf(2)], removeKernels: [kernelOf(1), kernelOf(2)] };
    const free = (linux: FakeLinux) =>
      freeBootSpace(linux.files, boot, openBootloader(linux.files, { boot, kind }), plan);
    const uncrashed = base.crash({ keepUnsynced: true });
    free(uncrashed);
    expect(listKernels(uncrashed.files, boot).map(({ bootDigest }) => bootDigest)).toEqual([kernelOf(3)]);
    for (let failAt = 1; failAt <= uncrashed.trace.length; failAt++) {
      const linux = base.crash({ keepUnsynced: true }, { failAt });
      expect(() => free(linux)).toThrow(SimulatedCrash);
      for (const names of ["lost", "kept"] as const) {
        const { files } = linux.crash({ keepUnsynced: false, names });
        const whole = listKernels(files, boot).filter((kernel) => kernel.files.length === 2);
        const named = openBootloader(files, { boot, kind }).readMenu().entries.map(bootDigestOfEntry);
        expect(named).toContain(kernelOf(3));
        expect(named.filter((digest) => !whole.some(({ bootDigest }) => bootDigest === digest))).toEqual([]);
      }
    }
  },
);
