import { expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { checkInvariants, checkTransition } from "../../src/core/deployment/invariants.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { removeTree } from "../../src/linux/remove-tree.ts";
import { bundleImage } from "../../src/operations/bundle.ts";
import { checkRepo } from "../../src/operations/check-repo.ts";
import { collectGarbage } from "../../src/operations/collect-garbage.ts";
import { switchImage } from "../../src/operations/switch.ts";
import { buildChunkedImage, buildChunkedLayer, noise } from "../builders/chunked-layer.ts";
import { sha256 } from "../builders/oci-layer.ts";
import {
  layoutReference,
  linuxAmd64,
  machineWith,
  noLogin,
  repoOfSysroot,
  switchTo,
  sysrootPath,
  systemOn,
} from "../builders/operation-machine.ts";
import { takeSnapshot } from "../builders/system-snapshot.ts";
import { type CrashOptions, type FakeLinux, SimulatedCrash } from "../fakes/fake-linux.ts";

/** Two layers of which the second version has the first, and a part of the other. */
async function image(version: number) {
  const folders = ["boot/", "etc/", "run/", "sysroot/", "var/", "usr/", "usr/lib/", "usr/lib/modules/"];
  const kernel = "usr/lib/modules/6.1";
  const base = await buildChunkedLayer([
    ...folders.map((path) => ({ path })),
    { path: "usr/lib/os-release", content: "ID=test\n" },
    { path: `${kernel}/` },
    { path: `${kernel}/vmlinuz`, content: noise(300, 1) },
    { path: `${kernel}/initramfs.img`, content: noise(400, 2) },
  ]);
  const files = [0, 1, 2].map((i) => ({ path: `usr/${i}`, content: noise(40_000, i === 1 ? 10 + version : 20 + i) }));
  return buildChunkedImage([base, await buildChunkedLayer(files)]);
}

const outcomes: readonly CrashOptions[] = [
  { keepUnsynced: true },
  { keepUnsynced: false, names: "lost" },
  { keepUnsynced: false, names: "kept" },
];
const archive = fromText("/bundles/b.tar");

async function bundle(linux: FakeLinux): Promise<void> {
  await bundleImage(systemOn(linux), {
    ...{ image: parseImageReference(layoutReference("v2")), platform: linuxAmd64, source: noLogin },
    ...{ hosts: [], bases: [layoutReference("v1")], repo: undefined, output: archive },
  });
}

async function switchToBundle(linux: FakeLinux) {
  const image = parseImageReference(`oci-archive:${archive}`);
  const request = { image, sysroot: sysrootPath, platform: linuxAmd64, source: noLogin, kernelArguments: [] };
  return (await switchImage(systemOn(linux), request)).rootImage;
}

async function start(): Promise<FakeLinux> {
  const linux = machineWith({ v1: await image(1), v2: await image(2) });
  linux.files.makeDirectory(fromText("/bundles"), 0o755);
  const fd = linux.files.open(fromText("/"), "directory");
  linux.files.syncFileSystem(fd);
  linux.files.close(fd);
  return linux;
}

const digestOf = (linux: FakeLinux) => sha256(linux.files.readFile(archive, 1 << 30));

test("switch to a bundle: stopped at each mutating call it leaves what boots, and run again it comes to the same end", async () => {
  const base = await start();
  await switchTo(base, "v1");
  await bundle(base);
  const before = takeSnapshot(base, sysrootPath);
  const undisturbed = base.crash({ keepUnsynced: true });
  const asked = await switchToBundle(undisturbed);
  const calls = undisturbed.trace.length;
  expect(undisturbed.trace.some(({ path }) => String(path).includes("parts"))).toBe(true);
  for (let failAt = 1; failAt <= calls; failAt++) {
    const linux = base.crash({ keepUnsynced: true }, { failAt, halfWritten: true });
    await expect(switchToBundle(linux)).rejects.toThrow(SimulatedCrash);
    for (const survives of outcomes) {
      const after = linux.crash(survives);
      const snapshot = takeSnapshot(after, sysrootPath);
      const when = `call ${failAt}, ${JSON.stringify(survives)}`;
      const wrong = [...checkInvariants(snapshot), ...checkTransition(before, snapshot, asked)];
      expect({ when, wrong }).toEqual({ when, wrong: [] });
      expect({ when, rootImage: await switchToBundle(after) }).toEqual({ when, rootImage: asked });
      await collectGarbage(systemOn(after), { repo: repoOfSysroot, dryRun: false });
      const { problems } = await checkRepo(systemOn(after), { repo: repoOfSysroot, metadataOnly: false });
      expect({ when, problems, open: after.openPaths }).toEqual({ when, problems: [], open: [] });
    }
  }
}, 600_000);

test("bundle: stopped at each mutating call there is the archive of before or the new one, whole", async () => {
  const base = await start();
  base.files.writeNewFile(archive, new Uint8Array(10), 0o644);
  const fd = base.files.open(fromText("/bundles"), "directory");
  base.files.syncFileSystem(fd);
  base.files.close(fd);
  const old = digestOf(base);
  const undisturbed = base.crash({ keepUnsynced: true });
  await bundle(undisturbed);
  const made = digestOf(undisturbed);
  expect(made).not.toBe(old);
  for (const survives of outcomes) expect(digestOf(undisturbed.crash(survives))).toBe(made);
  const seen = new Set<string>();
  for (let failAt = 1; failAt <= undisturbed.trace.length; failAt++) {
    const linux = base.crash({ keepUnsynced: true }, { failAt, halfWritten: true });
    await expect(bundle(linux)).rejects.toThrow(SimulatedCrash);
    for (const survives of outcomes) {
      const after = linux.crash(survives);
      seen.add(digestOf(after));
      for (const name of after.files.readDirectory(fromText("/bundles"))) {
        expect(name === "b.tar" || name.startsWith(".osdeploy-")).toBe(true);
        if (name !== "b.tar") removeTree(after.files, fromText(`/bundles/${name}`));
      }
      await bundle(after);
      expect(digestOf(after)).toBe(made);
    }
  }
  expect(seen).toEqual(new Set([old, made]));
}, 600_000);
