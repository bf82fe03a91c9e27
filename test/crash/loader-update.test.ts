import { expect, test } from "vitest";
import { loaderBuild } from "../../src/core/boot/loader-binary.ts";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { bootComplete } from "../../src/operations/boot-complete.ts";
import { fakeLoader } from "../builders/loader-binaries.ts";
import { systemOn } from "../builders/operation-machine.ts";
import { buildOsImage } from "../builders/os-images.ts";
import { physicalRoot, runningMachine, syncAll } from "../builders/running-machine.ts";
import { type CrashOptions, type FakeLinux, SimulatedCrash } from "../fakes/fake-linux.ts";

const place = "usr/lib/systemd/boot/efi";
const image = await buildOsImage("v1", [
  ...["usr/lib/systemd", "usr/lib/systemd/boot", place].map((path) => ({ path })),
  { path: `${place}/systemd-bootx64.efi`, content: fakeLoader("257") },
]);
const copies = ["/boot/EFI/systemd/systemd-bootx64.efi", "/boot/EFI/BOOT/BOOTX64.EFI"];

const outcomes: readonly (readonly [string, CrashOptions])[] = [
  ["the process was killed", { keepUnsynced: true }],
  ["the power went, new names are lost", { keepUnsynced: false, names: "lost" }],
  ["the power went, new names are kept without their bytes", { keepUnsynced: false, names: "kept" }],
];

const complete = (linux: FakeLinux) => bootComplete(systemOn(linux), { sysroot: physicalRoot });
const versions = (linux: FakeLinux) =>
  copies.map((path) => loaderBuild(linux.files.readFile(fromText(path), 10_000))?.version);

test("a loader that is replaced survives a stop at every mutating call: whole, old or new, and new the next time", async () => {
  const base = await runningMachine({ v1: image }, "v1");
  await complete(base);
  for (const path of ["/boot/EFI", "/boot/EFI/systemd", "/boot/EFI/BOOT"]) {
    base.files.makeDirectory(fromText(path), 0o755);
  }
  for (const path of copies) base.files.writeNewFile(fromText(path), fakeLoader("256"), 0o644);
  syncAll(base);
  const whole = base.crash({ keepUnsynced: true });
  await complete(whole);
  const calls = whole.trace.length;
  expect(calls).toBeGreaterThan(4);
  for (let failAt = 1; failAt <= calls; failAt++) {
    for (const halfWritten of [false, true]) {
      const linux = base.crash({ keepUnsynced: true }, { failAt, halfWritten });
      await expect(complete(linux)).rejects.toThrow(SimulatedCrash);
      for (const [name, survives] of outcomes) {
        const after = linux.crash(survives);
        const when = `call ${failAt} (${linux.trace.at(-1)?.call}), ${name}`;
        for (const version of versions(after)) expect(["256", "257"], when).toContain(version);
        // The firmware's comes last: it is never new before the other one is.
        expect(versions(after), when).not.toEqual(["256", "257"]);
        const older = fromText("/boot/EFI/osdeploy/older-systemd-bootx64.efi");
        const kept = after.files.lstatIfExists(older) && loaderBuild(after.files.readFile(older, 10_000))?.version;
        // Whole, and not there before both are new: what is there could else be taken for one that somebody put back.
        expect([undefined, "256"], when).toContain(kept);
        if (kept !== undefined) expect(versions(after), when).toEqual(["257", "257"]);
        await complete(after);
        expect({ when, versions: versions(after) }).toEqual({ when, versions: ["257", "257"] });
        expect(after.files.readDirectory(fromText("/boot/EFI/BOOT")), when).toEqual(["BOOTX64.EFI"]);
        expect(after.files.readDirectory(fromText("/boot/EFI/osdeploy")).join(), when).not.toContain(".new");
      }
    }
  }
});
