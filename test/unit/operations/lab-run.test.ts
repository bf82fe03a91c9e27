import { createServer, Server } from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { decodeText } from "../../../src/core/bytes/utf8.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { parsePlatform } from "../../../src/core/oci/platform.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { Lab } from "../../../src/lab/lab.ts";
import { pathBelow } from "../../../src/linux/path.ts";
import { runLabMachine, startLabMachine } from "../../../src/operations/lab-run.ts";
import { labHost as host, labDiskOf, labRunRequest as request } from "../../builders/lab-host.ts";
import { addMachine, labPath, place } from "../../builders/lab-machines.ts";
import { noLogin, systemOn } from "../../builders/operation-machine.ts";
import { placeLayout } from "../../builders/os-images.ts";
import { FakeRegistry } from "../../fakes/fake-registry.ts";

describe("runLabMachine", () => {
  test("makes a machine that begins with the image's disk, and switches it on", async () => {
    const { linux, image, ran, started } = await host();
    const result = await runLabMachine(systemOn(linux), request);
    expect(result).toMatchObject({ name: "layout-v1", image: "oci:/layout:v1", acceleration: "tcg", diskReused: true });
    const base = `/lab/disks/${labDiskOf(image, "key of the lab\n")}`;
    const overlay = "/lab/machines/layout-v1/disk.qcow2";
    expect(ran).toContainEqual(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, overlay]);
    expect(started).toHaveLength(1);
    expect(started[0]?.join(" ")).toMatch(
      new RegExp(`^qemu-system-x86_64 .*hostfwd=tcp:127.0.0.1:${result.sshPort}-:22`),
    );
    const { machine, running } = new Lab(linux, labPath).get("layout-v1");
    expect(machine).toMatchObject({
      manifestDigest: image.manifestDigest,
      memoryMegabytes: 2048,
      sshPort: result.sshPort,
    });
    expect(machine.registryPort).not.toBe(machine.sshPort);
    const variables = linux.files.readFile(fromText("/lab/machines/layout-v1/variables.fd"), 100);
    expect(decodeText(variables)).toBe("OVMF_VARS_4M.fd");
    expect(running).toBeDefined();
    expect(linux.files.readDirectory(fromText("/lab"))).toEqual(["disks", "machines", "ssh-key", "ssh-key.pub"]);
    expect(linux.openPaths).toEqual([]);
  });

  test("a second one gets another name and the same key; a name that is taken is refused", async () => {
    const { linux, ran } = await host();
    await runLabMachine(systemOn(linux), request);
    expect((await runLabMachine(systemOn(linux), request)).name).toBe("layout-v1-2");
    expect(ran.filter(([program]) => program === "ssh-keygen")).toHaveLength(1);
    await expect(runLabMachine(systemOn(linux), { ...request, name: "layout-v1" })).rejects.toMatchObject({
      code: "already-exists",
    });
  });

  test("its key asks for no passphrase; a missing ssh-keygen is told of by its package", async () => {
    const { linux, ran } = await host();
    await runLabMachine(systemOn(linux), request);
    const kind = ["-q", "-t", "ed25519", "-N", "", "-C", "osdeploy-lab"];
    expect(ran).toContainEqual(["ssh-keygen", ...kind, "-f", "/lab/ssh-key.new"]);
    const failing = async (code: "not-found" | "system") => {
      const made = await host({
        "ssh-keygen": () => {
          throw new OsdeployError(code, "Cannot run ssh-keygen: as the kernel says");
        },
      });
      return await runLabMachine(systemOn(made.linux), request);
    };
    await expect(failing("not-found")).rejects.toMatchObject({
      code: "unsupported",
      message: "Cannot run ssh-keygen: openssh-client is not installed",
    });
    await expect(failing("system")).rejects.toThrow("as the kernel says");
  });

  test("an image of a registry that wants a login", async () => {
    const registry = await FakeRegistry.start({ auth: "basic", user: { name: "ann", password: "secret" } });
    const { linux, image } = await host();
    registry.add(image, "v1");
    const reference = `docker://${registry.host}/os:v1`;
    place(linux, `/lab/disks/${labDiskOf(image, "key of the lab\n", reference)}`, "");
    const source = { ...noLogin, credentials: { user: "ann", password: "secret" } };
    const running = runLabMachine(systemOn(linux), { ...request, image: parseImageReference(reference), source });
    expect(await running).toMatchObject({ name: "os-v1", image: reference, diskReused: true });
    await registry.stop();
  });

  test("a key that was half made is made anew, and is whole once it is there", async () => {
    let calls = 0;
    const { linux } = await host({
      "ssh-keygen": (words) => {
        place(linux, `${words.at(-1)}`, "private");
        if (++calls === 1) return { status: 1, stderr: "no space\n" };
        place(linux, `${words.at(-1)}.pub`, "key of the lab\n");
        return {};
      },
    });
    await expect(runLabMachine(systemOn(linux), request)).rejects.toThrow("Cannot make a key for ssh: no space");
    await runLabMachine(systemOn(linux), request);
    const after = linux.crash({ keepUnsynced: false, names: "kept" });
    expect(decodeText(after.files.readFile(fromText("/lab/ssh-key"), 100))).toBe("private");
    expect(decodeText(after.files.readFile(fromText("/lab/ssh-key.pub"), 100))).toBe("key of the lab\n");
  });

  test("a key whose public half alone got its name is made anew", async () => {
    const { linux } = await host({
      "ssh-keygen": (words) => {
        for (const path of [`${words.at(-1)}`, `${words.at(-1)}.pub`]) place(linux, path, "key of the lab\n");
        return {};
      },
    });
    const { rename } = linux.files;
    let renames = 0;
    Object.assign(linux.files, {
      rename: (...words: Parameters<typeof rename>) => {
        if (++renames === 2) throw new OsdeployError("system", "the disk is gone");
        return rename(...words);
      },
    });
    await expect(runLabMachine(systemOn(linux), request)).rejects.toThrow("the disk is gone");
    expect(await runLabMachine(systemOn(linux), request)).toMatchObject({ diskReused: true });
  });

  test("its ports are none of other machines, though those are switched off, and two", async () => {
    const { linux } = await host();
    addMachine(linux, { name: "off", sshPort: 4001, registryPort: 4002 });
    const found = [4001, 4002, 4003, 4001, 4003, 4002, 4004].map((port) => ({ port, address: "", family: "" }));
    const address = vi.spyOn(Server.prototype, "address").mockImplementation(() => found.shift() ?? null);
    onTestFinished(() => address.mockRestore());
    await runLabMachine(systemOn(linux), request);
    const { machine } = new Lab(linux, labPath).get("layout-v1");
    expect([machine.sshPort, machine.registryPort]).toEqual([4003, 4004]);
  });

  test("in a lab whose path is not ASCII", async () => {
    const { linux, image } = await host();
    const path = fromText("/läb");
    const { paths } = new Lab(linux, path);
    new Lab(linux, path).makeDirectory(paths.disks);
    linux.files.writeNewFile(pathBelow(paths.disks, labDiskOf(image, "key of the lab\n")), new Uint8Array(), 0o600);
    const result = await runLabMachine(systemOn(linux), { ...request, lab: path });
    expect(result.consoleLog).toBe("/läb/machines/layout-v1/console.log");
    expect(new Lab(linux, path).list()).toHaveLength(1);
  });

  test("further keys make another disk", async () => {
    const { linux, image } = await host();
    place(linux, "/keys", "key of ann\n");
    linux.files.symlink(fromText("/keys"), fromText("/link"));
    const name = labDiskOf(image, "key of the lab\nkey of ann\n");
    place(linux, `/lab/disks/${name}`, "");
    await runLabMachine(systemOn(linux), { ...request, name: "mine", sshKeys: fromText("/link") });
    expect(new Lab(linux, labPath).get("mine").machine.baseDisk).toBe(name);
  });

  test.each([
    ["-----BEGIN OPENSSH PRIVATE KEY-----\n", "it holds a private key, which would be on every machine"],
    ["# none\n", "there is none in it"],
  ])("further keys that are none are refused by the name of their file: %j", async (text, state) => {
    const { linux } = await host();
    place(linux, "/keys", text);
    await expect(runLabMachine(systemOn(linux), { ...request, sshKeys: fromText("/keys") })).rejects.toMatchObject({
      code: "bad-format",
      message: `Cannot use the keys in "/keys": ${state}`,
    });
  });

  test("the name of a machine that is damaged is taken", async () => {
    const { linux } = await host();
    const { name } = await runLabMachine(systemOn(linux), request);
    const { machineFile } = new Lab(linux, labPath).get(name).paths;
    linux.files.unlink(machineFile);
    place(linux, machineFile, "");
    expect((await runLabMachine(systemOn(linux), request)).name).toBe("layout-v1-2");
  });

  test("another name of the same image makes another disk, because its system follows that", async () => {
    const { linux, image } = await host();
    placeLayout(linux.files, fromText("/other"), { v1: image });
    const other = { ...request, image: parseImageReference("oci:/other:v1") };
    await expect(runLabMachine(systemOn(linux), other)).rejects.toThrow("Cannot install");
    expect(await runLabMachine(systemOn(linux), request)).toMatchObject({ diskReused: true });
  });

  test("a disk that is not there is installed: asks for the tools that this takes", async () => {
    const { linux } = await host();
    await expect(runLabMachine(systemOn(linux), { ...request, diskBytes: 2 ** 34 })).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("Cannot install"),
      facts: { hint: expect.stringContaining("on Debian") },
    });
    expect(linux.files.readDirectory(fromText("/lab"))).not.toContain("scratch");
    expect(new Lab(linux, labPath).list()).toEqual([]);
  });

  const diskTools = Object.fromEntries(
    ["mkfs.ext4", "debugfs", "e2fsck", "mkfs.vfat", "mmd", "mcopy", "wipefs"].map((tool) => [tool, () => ({})]),
  );

  test("a disk that a killed run had made, but not named, is in nobody's way", async () => {
    const { linux } = await host(diskTools);
    place(linux, "/lab/disks/new.raw", "made");
    linux.files.makeDirectory(fromText("/lab/scratch"), 0o700);
    place(linux, "/lab/scratch/keys", "its keys");
    // An image with nothing in it cannot boot; to find that out takes all that comes before.
    await expect(runLabMachine(systemOn(linux), { ...request, diskBytes: 2 ** 34 })).rejects.toMatchObject({
      code: "not-bootable",
    });
  });

  test("a disk that is too small: names the lab's own option", async () => {
    const { linux } = await host(diskTools);
    await expect(runLabMachine(systemOn(linux), { ...request, diskBytes: 2 ** 27 })).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("the disk has 134217728 bytes"),
      facts: { hint: "Say with --disk-size how large it is to be", neededBytes: expect.any(Number) },
    });
  });

  test("starts nothing more once it was asked to stop", async () => {
    const stop = new AbortController();
    const { linux, started } = await host({
      "qemu-img": (words) => {
        if (words.includes("create")) stop.abort();
        return {};
      },
    });
    const system = systemOn(linux, { signal: stop.signal });
    await expect(runLabMachine(system, request)).rejects.toMatchObject({ code: "interrupted" });
    await expect(runLabMachine(system, request)).rejects.toMatchObject({ code: "interrupted" });
    expect([started, new Lab(linux, labPath).list()]).toEqual([[], []]);
  });

  test("a machine that cannot be switched on is none: its name is free, its disk stays for the next", async () => {
    const { linux, ran } = await host({}, undefined, (_, { output }) => {
      place(linux, output, "qemu: cannot set up guest memory\n");
      setImmediate(() => linux.programs.signal({ pid: 1001, startTicks: 1 }, "SIGKILL"));
    });
    const named = { ...request, name: "os" };
    await expect(runLabMachine(systemOn(linux), named)).rejects.toMatchObject({
      message: "Cannot switch the machine on: qemu: cannot set up guest memory",
    });
    expect(linux.files.readDirectory(fromText("/lab/machines"))).toEqual([]);
    expect(await runLabMachine(systemOn(linux), named)).toMatchObject({ name: "os", diskReused: true });
    expect(ran.filter(([, word]) => word === "create")).toHaveLength(2);
  });

  test("failures of the tools are told in their words", async () => {
    const failing = { status: 1, stderr: "no space\n" };
    const image = await host({ "qemu-img": (words) => (words.includes("create") ? failing : {}) });
    await expect(runLabMachine(systemOn(image.linux), request)).rejects.toThrow(
      "Cannot make the machine's disk: no space",
    );
    const key = await host({ "ssh-keygen": () => failing });
    await expect(runLabMachine(systemOn(key.linux), request)).rejects.toThrow("Cannot make a key for ssh: no space");
  });

  test("a directory is no image", async () => {
    const { linux } = await host();
    const image = parseImageReference("rootfs:/usr");
    await expect(runLabMachine(systemOn(linux), { ...request, image })).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringMatching(/^Cannot run a directory: /),
    });
  });

  test("an image for another processor is refused", async () => {
    const { linux, ran } = await host();
    const foreign = runLabMachine(systemOn(linux), { ...request, platform: parsePlatform("linux/arm64") });
    await expect(foreign).rejects.toMatchObject({
      code: "unsupported",
      message: "Cannot run an image for linux/arm64 here: machines of the lab are linux/amd64",
    });
    expect(ran.some(([program]) => program === "ssh-keygen")).toBe(false);
  });

  test("names come from images", async () => {
    const named = async (tag: string) => {
      const { linux, image } = await host();
      linux.files.makeDirectory(fromText("/images"), 0o755);
      placeLayout(linux.files, fromText(`/${tag}`), { latest: image });
      const reference = `oci:/${tag}:latest`;
      place(linux, `/lab/disks/${labDiskOf(image, "key of the lab\n", reference)}`, "");
      return (await runLabMachine(systemOn(linux), { ...request, image: parseImageReference(reference) })).name;
    };
    expect(await named("Debian_OS")).toBe("debian-os");
    expect(await named("images/debian")).toBe("debian");
    expect(await named("-")).toBe("machine");
    expect(await named("a-very-long-name-of-an-image-indeed")).toBe("a-very-long-name-of-an-i");
  });
});

describe("startLabMachine", () => {
  test("switches a machine on again; refuses one that runs and one that is not there", async () => {
    const { linux, started } = await host();
    const { name } = await runLabMachine(systemOn(linux), request);
    const again = { ...request, name };
    await expect(startLabMachine(systemOn(linux), again)).rejects.toMatchObject({ code: "busy" });
    linux.programs.signal(new Lab(linux, labPath).getRunning(name).running, "SIGKILL");
    expect(await startLabMachine(systemOn(linux), again)).toMatchObject({ name, diskReused: true });
    expect(started[1]).toEqual(started[0]);
    linux.programs.signal(new Lab(linux, labPath).getRunning(name).running, "SIGKILL");
    const stopped = systemOn(linux, { signal: AbortSignal.abort() });
    await expect(startLabMachine(stopped, again)).rejects.toMatchObject({ code: "interrupted" });
    expect(started).toHaveLength(2);
    const lab = fromText("/typo");
    for (const wrong of [{ name: "x" }, { lab }]) {
      const started = startLabMachine(systemOn(linux), { ...again, ...wrong });
      await expect(started).rejects.toMatchObject({ code: "not-found" });
    }
    expect(linux.files.lstatIfExists(lab)).toBeUndefined();
  });

  test("a port that somebody took while the machine was off is another one", async () => {
    const { linux, started } = await host();
    const { name, sshPort } = await runLabMachine(systemOn(linux), request);
    const lab = new Lab(linux, labPath);
    const { machine, running } = lab.getRunning(name);
    linux.programs.signal(running, "SIGKILL");
    const other = createServer();
    await new Promise<void>((done) => other.listen(sshPort, "127.0.0.1", done));
    const again = await startLabMachine(systemOn(linux), { ...request, name });
    other.close();
    expect(again.sshPort).not.toBe(sshPort);
    expect(lab.get(name).machine).toEqual({ ...machine, sshPort: again.sshPort });
    expect(started[1]?.join(" ")).toContain(`hostfwd=tcp:127.0.0.1:${again.sshPort}-:22`);
  });
});
