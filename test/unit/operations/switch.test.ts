import { beforeEach, describe, expect, test } from "vitest";
import { readBootEntries } from "../../../src/bootloader/bls-directory.ts";
import { blsField, blsOptions } from "../../../src/core/boot/bls-entry.ts";
import { type ByteString, fromBytes, fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { assert } from "../../../src/core/errors.ts";
import type { SwitchResult } from "../../../src/operations/switch.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { buildImage } from "../../builders/oci-image.ts";
import type { LayerFile } from "../../builders/oci-layer.ts";
import {
  failureOf,
  layoutReference,
  machineWith,
  machineWithRepo,
  namesInRepo,
  pullTag,
  SeenProgress,
  switchTo,
  sysrootPath,
} from "../../builders/operation-machine.ts";
import { buildOsImage, content, placeRootDirectory } from "../../builders/os-images.ts";
import { idOf } from "../../builders/repos.ts";
import { putFile } from "../../builders/tool-runs.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const boot = fromText("/target/boot");

const images = {
  v1: await buildOsImage("v1"),
  v2: await buildOsImage("v2", [
    { path: "etc/hostname", content: "from the image\n" },
    { path: "etc/new.conf", content: "new\n" },
    { path: "var/lib/more", content: "more\n" },
  ]),
  sameKernel: await buildOsImage("v1", [{ path: "usr/lib/extra", content: content("extra") }]),
};

let linux: FakeLinux;
beforeEach(() => {
  linux = machineWith(images);
});

function deployed(result: SwitchResult): Extract<SwitchResult, { kind: "deployed" }> {
  assert(result.kind === "deployed", "the switch deployed");
  return result;
}

function text(path: string): string {
  return fromBytes(linux.files.readFile(fromText(path), 100_000));
}

function etcOf(result: SwitchResult): string {
  return `/target/state/deploy/${result.rootImage}/etc`;
}

function write(path: string, words: string): void {
  if (linux.files.lstatIfExists(fromText(path)) !== undefined) linux.files.unlink(fromText(path));
  linux.files.writeNewFile(fromText(path), toBytes(fromText(words)), 0o600);
}

function menu() {
  return readBootEntries(linux.files, boot).entries;
}

describe("switchImage", () => {
  test("makes a deployment with kernel, /etc, /var, origin and boot entry", async () => {
    const result = deployed(await switchTo(linux, "v1", { kernelArguments: ["console=ttyS0", "quiet"] }));
    expect(result).toMatchObject({
      image: layoutReference("v1"),
      bootEntry: "osdeploy-000001.conf",
      kernel: "6.1-v1",
      etcConflicts: [],
    });
    const [entry] = menu();
    assert(entry !== undefined, "there is a boot entry");
    expect(entry.entry.fields.map(({ key }) => key)).toEqual([
      "title",
      "version",
      "sort-key",
      "linux",
      "initrd",
      "options",
    ]);
    expect(blsField(entry.entry, "title")).toBe("Test OS");
    expect(blsField(entry.entry, "version")).toBe("1-v1");
    expect(blsOptions(entry.entry)).toBe(
      `rw console=ttyS0 quiet panic=30 composefs=${result.rootImage} osdeploy.entry=osdeploy-000001`,
    );
    expect(text(`/target${blsField(entry.entry, "linux")}`)).toBe(content("kernel v1", 3000));
    expect(text(`/target${blsField(entry.entry, "initrd")}`)).toBe(content("initramfs v1", 5000));
    expect(text(`${etcOf(result)}/motd`)).toBe(content("welcome to v1 "));
    expect(text(`/target/state/deploy/${result.rootImage}/var/lib/state`)).toBe(content("state"));
    expect(linux.openPaths).toEqual([]);
  });

  test("names boot files from the top of a boot partition that is one of its own", async () => {
    linux = machineWith(images, { mountPoints: [{ path: "/target/boot" }] });
    const result = deployed(await switchTo(linux, "v1"));
    const [entry] = menu();
    expect(entry && blsField(entry.entry, "linux")).toMatch(/^\/osdeploy\/[0-9a-f]{64}\/vmlinuz$/);
    expect(entry?.rootImage).toBe(result.rootImage);
  });

  test("keeps everything as it is when the default is this image already", async () => {
    const first = await switchTo(linux, "v1");
    const before = describeFiles(linux.files, sysrootPath);
    const calls = linux.trace.length;
    expect(await switchTo(linux, "v1")).toEqual({
      kind: "kept",
      image: layoutReference("v1"),
      rootImage: first.rootImage,
    });
    expect(describeFiles(linux.files, sysrootPath)).toEqual(before);
    expect(linux.trace.slice(calls).filter(({ path }) => !path.startsWith("/target/composefs"))).toEqual([]);
  });

  test("a second version merges /etc, tells conflicts, and keeps kernel arguments and /var", async () => {
    const first = await switchTo(linux, "v1", { kernelArguments: ["console=ttyS0"] });
    write(`${etcOf(first)}/hostname`, "mine\n");
    write(`${etcOf(first)}/local.conf`, content("local"));
    linux.files.unlink(fromText(`${etcOf(first)}/passwd`));
    write("/target/state/os/default/var/lib/state", "changed by the host");
    const second = deployed(await switchTo(linux, "v2", { kernelArguments: ["console=ttyS0"] }));
    expect(second.etcConflicts).toEqual([{ path: "hostname", reason: "both-changed" }]);
    expect(linux.files.readDirectory(fromText(etcOf(second)))).toEqual(["hostname", "local.conf", "motd", "new.conf"]);
    expect(text(`${etcOf(second)}/hostname`)).toBe("mine\n");
    expect(text(`${etcOf(second)}/local.conf`)).toBe(content("local"));
    expect(linux.files.lstat(fromText(`${etcOf(second)}/local.conf`)).permissions).toBe(0o600);
    expect(text(`${etcOf(second)}/motd`)).toBe(content("welcome to v2 "));
    expect(linux.files.readDirectory(fromText("/target/state/os/default/var/lib"))).toEqual(["state"]);
    expect(text("/target/state/os/default/var/lib/state")).toBe("changed by the host");
    const [entry, older] = menu();
    expect(entry && blsOptions(entry.entry)).toBe(
      `rw console=ttyS0 panic=30 composefs=${second.rootImage} osdeploy.entry=osdeploy-000002`,
    );
    expect([entry?.fileName, older?.fileName]).toEqual(["osdeploy-000002.conf", "osdeploy-000001.conf"]);
    expect(older?.rootImage).toBe(first.rootImage);
  });

  test("kernel arguments that later deployments would not get are refused before anything is fetched", async () => {
    await switchTo(linux, "v1", { kernelArguments: ["console=ttyS0 quiet"] });
    const before = describeFiles(linux.files, sysrootPath);
    const message = /^Cannot add kernel argument foo=bar x: there is a deployment, and a new one has the arguments of/;
    const error = await failureOf(switchTo(linux, "v2", { kernelArguments: ["quiet", "foo=bar x"] }));
    expect(error).toMatchObject({ code: "usage", message: expect.stringMatching(message) });
    expect(describeFiles(linux.files, sysrootPath)).toEqual(before);
  });

  test("the /etc that is running is only read", async () => {
    const first = await switchTo(linux, "v1");
    write(`${etcOf(first)}/hostname`, "mine\n");
    const before = describeFiles(linux.files, fromText(etcOf(first)));
    await switchTo(linux, "v2");
    expect(describeFiles(linux.files, fromText(etcOf(first)))).toEqual(before);
  });

  test("a kernel that another deployment has is stored once", async () => {
    await switchTo(linux, "v1");
    const calls = linux.trace.length;
    await switchTo(linux, "sameKernel");
    const written = linux.trace.slice(calls).filter(({ path }) => path.startsWith("/target/boot/osdeploy"));
    expect(written).toEqual([]);
    expect(linux.files.readDirectory(fromText("/target/boot/osdeploy"))).toHaveLength(1);
    const [entry, older] = menu().map((each) => blsField(each.entry, "linux"));
    expect(entry).toBe(older);
  });

  test("back to an image whose deployment is there: its /etc stays, a new entry comes first", async () => {
    const first = await switchTo(linux, "v1");
    write(`${etcOf(first)}/hostname`, "mine\n");
    await switchTo(linux, "v2");
    const again = deployed(await switchTo(linux, "v1"));
    expect(again.rootImage).toBe(first.rootImage);
    expect(again.etcConflicts).toEqual([]);
    expect(text(`${etcOf(first)}/hostname`)).toBe("mine\n");
    expect(menu().map(({ rootImage }) => rootImage === first.rootImage)).toEqual([true, false, true]);
    expect(await switchTo(linux, "v1")).toMatchObject({ kind: "kept" });
  });

  test("the same image by another name changes the origin, and is then kept", async () => {
    linux = machineWith({ v1: images.v1, stable: images.v1 });
    await switchTo(linux, "v1");
    const second = deployed(await switchTo(linux, "stable"));
    expect(second.pulled.layers.every(({ known }) => known)).toBe(true);
    expect(second.bootEntry).toBe("osdeploy-000001.conf");
    expect(await switchTo(linux, "stable")).toMatchObject({ kind: "kept", image: layoutReference("stable") });
    expect(menu()).toHaveLength(1);
  });

  test("tells its phases in order", async () => {
    const seen = new SeenProgress();
    await switchTo(linux, "v1", { system: { progress: seen.report } });
    const phases = seen.events.flatMap((event) => (event.kind === "phase" ? [event.phase] : []));
    expect(phases.filter((phase, index) => phases.indexOf(phase) === index)).toEqual([
      "resolve",
      "layers",
      "merge",
      "root-image",
      "publish",
      "boot-files",
      "deployment",
    ]);
    expect(seen.events[0]).toEqual({ kind: "start", task: "switch", subject: layoutReference("v1") });
    expect(seen.events.at(-1)).toEqual({ kind: "done" });
  });
});

describe("what is left alone", () => {
  test("a sysroot of somebody who may not give files to root, but for files that are theirs", async () => {
    putFile(linux.files, "/proc/self/status", "CapEff:\t0000000000000000\n");
    const failure = await failureOf(switchTo(linux, "v1"));
    expect(failure).toMatchObject({ code: "permission-denied", facts: { hint: "Run it as root" } });
    expect(linux.files.lstatIfExists(fromText("/target/composefs"))).toBeUndefined();
    placeRootDirectory(linux.files, fromText("/own"));
    expect(await switchTo(linux, "", { image: "rootfs:/own" })).toMatchObject({ kind: "deployed" });
  });

  test("foreign and damaged boot entries", async () => {
    const entries = fromText("/target/boot/loader/entries");
    for (const path of ["/target/boot", "/target/boot/loader", entries])
      linux.files.makeDirectory(fromText(path), 0o755);
    write(`${entries}/windows.conf`, "title Windows\nefi /EFI/boot.efi\n");
    write(`${entries}/osdeploy-000005.conf`, "\0\0\0");
    await switchTo(linux, "v1");
    expect(linux.files.readDirectory(entries)).toEqual([
      "osdeploy-000005.conf",
      "osdeploy-000006.conf",
      "windows.conf",
    ]);
    expect(text(`${entries}/windows.conf`)).toBe("title Windows\nefi /EFI/boot.efi\n");
    expect(text(`${entries}/osdeploy-000005.conf`)).toBe("\0\0\0");
  });

  test("a sysroot that is something else", async () => {
    linux.files.makeDirectory(fromText("/target/home"), 0o755);
    const before = describeFiles(linux.files, sysrootPath);
    expect(await failureOf(switchTo(linux, "v1"))).toMatchObject({ code: "already-exists" });
    expect(describeFiles(linux.files, sysrootPath)).toEqual(before);
  });

  test("a sysroot that another osdeploy is changing", async () => {
    await switchTo(linux, "v1");
    const fd = linux.files.open(fromText("/target/state"), "directory");
    linux.files.lock(fd, "exclusive", { wait: false });
    const before = describeFiles(linux.files, sysrootPath);
    expect(await failureOf(switchTo(linux, "v2"))).toMatchObject({ code: "busy" });
    expect(describeFiles(linux.files, sysrootPath)).toEqual(before);
    linux.files.close(fd);
  });
});

const kernelFiles = (version: string): readonly LayerFile[] => [
  { path: `usr/lib/modules/${version}` },
  { path: `usr/lib/modules/${version}/vmlinuz`, content: content("kernel", 3000) },
  { path: `usr/lib/modules/${version}/initramfs.img`, content: content("initramfs", 3000) },
];
const top: readonly LayerFile[] = ["boot", "etc", "run", "sysroot", "usr", "usr/lib", "usr/lib/modules", "var"].map(
  (path) => ({
    path,
  }),
);

describe("images that do not boot", () => {
  test.each<[string, readonly LayerFile[], RegExp]>([
    ["no kernel", top, /it has no kernel: there is no \/usr\/lib\/modules\/VERSION\/vmlinuz/],
    ["two kernels", [...top, ...kernelFiles("6.1"), ...kernelFiles("6.2")], /it has 2 kernels \(6\.1, 6\.2\)/],
    ["no initramfs", [...top, ...kernelFiles("6.1").slice(0, 2)], /kernel 6\.1 has no initramfs/],
    ["no /usr", [{ path: "etc" }], /^Cannot make a root image of oci:.layout:bad: it has no .usr$/],
  ])("switchImage: refuses an image with %s, and names nothing of it", async (_, files, message) => {
    linux = machineWith({ bad: await buildImage({ layers: [files] }) });
    expect(await failureOf(switchTo(linux, "bad"))).toMatchObject({
      code: "not-bootable",
      message: expect.stringMatching(message),
    });
    expect(namesInRepo(linux)).toEqual([]);
    expect(linux.files.readDirectory(fromText("/target/composefs/staging"))).toEqual([]);
    expect(linux.files.lstatIfExists(boot)).toBeUndefined();
    expect(linux.openPaths).toEqual([]);
  });

  test("switchImage: refuses one that was pulled before only to be looked at", async () => {
    const bad = await buildImage({ layers: [top] });
    linux = await machineWithRepo({ bad });
    await pullTag(linux, "bad", { bootable: false });
    const before = namesInRepo(linux);
    expect(await failureOf(switchTo(linux, "bad"))).toMatchObject({ code: "not-bootable" });
    expect(namesInRepo(linux)).toEqual(before);
  });
});

describe("the boot partition", () => {
  test("switchImage: refuses before the first byte when it has no room for the kernel", async () => {
    linux = machineWith(images, { mountPoints: [{ path: "/target/boot", totalBytes: 327_679 }] });
    const error = await failureOf(switchTo(linux, "v1"));
    expect(error).toMatchObject({
      code: "no-space",
      message: expect.stringMatching(
        /^Cannot store the kernel: 327680 bytes \(328 kB\) are needed on the boot partition, \d+ bytes.* are free, and 0 bytes more at most/,
      ),
      facts: { neededBytes: 327_680 },
    });
    expect(linux.files.readDirectory(boot)).toEqual([]);
    expect(linux.files.readDirectory(fromText("/target/state/deploy"))).toEqual([]);
  });

  test("switchImage: needs none for a kernel that is there", async () => {
    linux = machineWith(images, { mountPoints: [{ path: "/target/boot", totalBytes: 400_000 }] });
    await switchTo(linux, "v1");
    write("/target/boot/filler", "x".repeat(400_000 - 262_144 - 4096 * 10));
    expect(await switchTo(linux, "sameKernel")).toMatchObject({ kind: "deployed" });
    expect(await failureOf(switchTo(linux, "v2"))).toMatchObject({ code: "no-space" });
  });

  test("switchImage: a damaged kernel file is written again", async () => {
    await switchTo(linux, "v1");
    const directory = `/target/boot/osdeploy/${linux.files.readDirectory(fromText("/target/boot/osdeploy"))[0]}`;
    write(`${directory}/vmlinuz`, "x".repeat(3000));
    await switchTo(linux, "sameKernel");
    expect(text(`${directory}/vmlinuz`)).toBe(content("kernel v1", 3000));
  });
});

test("switchImage: a kernel so small that it lies in the image itself is stored like any other", async () => {
  const image = await buildImage({
    layers: [
      [
        ...top,
        { path: "usr/lib/modules/1" },
        { path: "usr/lib/modules/1/vmlinuz", content: "tiny" },
        { path: "usr/lib/modules/1/initramfs.img", content: "" },
      ],
    ],
  });
  linux = machineWith({ tiny: image });
  await switchTo(linux, "tiny");
  const [entry] = menu();
  expect(text(`/target${entry && blsField(entry.entry, "linux")}`)).toBe("tiny");
  expect(text(`/target${entry && blsField(entry.entry, "initrd")}`)).toBe("");
});

test("switchImage: an image without /etc and /var gets empty ones", async () => {
  const bare = top.filter(({ path }) => path !== "etc" && path !== "var");
  linux = machineWith({ bare: await buildImage({ layers: [[...bare, ...kernelFiles("6.1")]] }) });
  const result = await switchTo(linux, "bare");
  expect(linux.files.readDirectory(fromText(etcOf(result)))).toEqual([]);
  expect(linux.files.readDirectory(fromText("/target/state/os/default/var"))).toEqual([]);
});

test("switchImage: an image without os-release boots as Linux", async () => {
  linux = machineWith({ plain: await buildImage({ layers: [[...top, ...kernelFiles("6.1")]] }) });
  await switchTo(linux, "plain");
  const [entry] = menu();
  expect([entry && blsField(entry.entry, "title"), entry && blsField(entry.entry, "version")]).toEqual(["Linux", "1"]);
});

test("switchImage: os-release and /etc files of any size come whole", async () => {
  const long = content("VERSION_ID=7\n", 13 * 100);
  const image = await buildImage({
    layers: [
      [
        ...top,
        ...kernelFiles("6.1"),
        { path: "etc/os-release", content: `ID=x\nPRETTY_NAME="From etc"\n${long}` },
        { path: "etc/large", content: content("large", 3_000_000) },
      ],
    ],
  });
  linux = machineWith({ plain: image }, { clone: true });
  const result = await switchTo(linux, "plain");
  const [entry] = menu();
  expect([entry && blsField(entry.entry, "title"), entry && blsField(entry.entry, "version")]).toEqual([
    "From etc",
    "1-7",
  ]);
  const copy = linux.files.readFile(`${etcOf(result)}/large` as ByteString, 4_000_000);
  expect(fromBytes(copy) === content("large", 3_000_000)).toBe(true);
});

test("switchImage: refuses to copy a damaged kernel to the boot directory, and adds no boot entry", async () => {
  const machine = await machineWithRepo(images, { verity: false });
  await pullTag(machine, "v1");
  const kernel = idOf(toBytes(fromText(content("kernel v1", 3000))));
  machine.damage(fromText(`/target/composefs/objects/${kernel.slice(0, 2)}/${kernel.slice(2)}`), 1000);
  expect(await failureOf(switchTo(machine, "v1"))).toMatchObject({ code: "damaged", facts: { object: kernel } });
  expect(readBootEntries(machine.files, boot).entries).toEqual([]);
});
