import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { freePort } from "../../../src/lab/ssh.ts";
import { upgradeLabMachine } from "../../../src/operations/lab-upgrade.ts";
import { addMachine, labLinux, labPath } from "../../builders/lab-machines.ts";
import { buildImage } from "../../builders/oci-image.ts";
import { layoutPath, layoutReference, linuxAmd64, noLogin, systemOn } from "../../builders/operation-machine.ts";
import { placeLayout } from "../../builders/os-images.ts";
import { FakeRegistry } from "../../fakes/fake-registry.ts";

describe("upgradeLabMachine", () => {
  let guestSsh: Server;
  let sshPort: number;
  let registryPort: number;
  beforeEach(async () => {
    [sshPort, registryPort] = [await freePort(), await freePort()];
    guestSsh = createServer((socket) => socket.end("SSH-2.0-x\r\n"));
    await new Promise<void>((done) => guestSsh.listen(sshPort, "127.0.0.1", done));
  });
  afterEach(() => guestSsh.close());

  /** A running machine whose guest does this for each command. */
  async function machine(guest: (command: string) => number | Promise<number>) {
    const image = await buildImage({ layers: [[{ path: "usr" }]] });
    const linux = labLinux({
      startProgram: () => {},
      attachProgram: (words, how) => {
        expect(how).toEqual({ output: "stderr", signal: expect.any(AbortSignal) });
        // What calls osdeploy in a loop over lines keeps them.
        expect(words.slice(0, 4)).toEqual(["ssh", "-n", "-o", "BatchMode=yes"]);
        return guest(words.at(-1) ?? "");
      },
    });
    placeLayout(linux.files, layoutPath, { v2: image });
    const lab = addMachine(linux, { sshPort, registryPort });
    lab.setRunning(lab.get("one").paths, linux.programs.start(["qemu"], { output: fromText("/log") }));
    const request = {
      ...{ lab: labPath, name: "one", image: parseImageReference(layoutReference("v2")) },
      ...{ platform: linuxAmd64, source: noLogin },
    };
    return { system: systemOn(linux), request, image };
  }

  test("lets the guest switch to the offered image; the port is free again afterwards", async () => {
    const commands: string[] = [];
    const { system, request, image } = await machine((command) => commands.push(command) * 0);
    const result = await upgradeLabMachine(system, { ...request, apply: true });
    expect(result).toEqual({
      name: "one",
      image: "oci:/layout:v2",
      manifestDigest: image.manifestDigest,
      guestImage: `10.0.2.2:${registryPort}/one:latest`,
      rebooting: true,
    });
    expect(commands).toEqual([
      "systemctl is-system-running --wait --quiet",
      `osdeploy switch --tls-verify=false 10.0.2.2:${registryPort}/one:latest`,
      "systemctl --no-block reboot",
    ]);
    await expect(fetch(`http://127.0.0.1:${registryPort}/v2/`)).rejects.toThrow();
  });

  test("starts nothing more in the guest once it was asked to stop", async () => {
    const stop = new AbortController();
    const commands: string[] = [];
    const { system, request } = await machine((command) => {
      commands.push(command);
      stop.abort();
      return 1;
    });
    const stopped = upgradeLabMachine({ ...system, signal: stop.signal }, { ...request, apply: true });
    await expect(stopped).rejects.toMatchObject({ code: "interrupted" });
    expect(commands).toEqual(["systemctl is-system-running --wait --quiet"]);
    await expect(fetch(`http://127.0.0.1:${registryPort}/v2/`)).rejects.toThrow();
  });

  test("the registry answers while the guest's osdeploy runs", async () => {
    const seen: unknown[] = [];
    const { system, request, image } = await machine(async (command) => {
      if (!command.startsWith("osdeploy")) return 0;
      const answer = await fetch(`http://127.0.0.1:${registryPort}/v2/one/manifests/latest`);
      seen.push(answer.headers.get("docker-content-digest"));
      return answer.ok ? 0 : 1;
    });
    await upgradeLabMachine(system, { ...request, apply: false });
    expect(seen).toEqual([image.manifestDigest]);
  });

  test("a failure in the guest is told with its status, and nothing reboots", async () => {
    const { system, request } = await machine(() => 12);
    await expect(upgradeLabMachine(system, { ...request, apply: true })).rejects.toMatchObject({
      code: "system",
      message: "Cannot upgrade machine one: osdeploy in it ended with 12",
    });
  });

  test("a reboot that the guest refuses is no success; one that takes the connection with it is none to tell of", async () => {
    const rebooting = async (status: number) => {
      const { system, request } = await machine((command) => (command.endsWith("reboot") ? status : 0));
      return await upgradeLabMachine(system, { ...request, apply: true });
    };
    expect(await rebooting(255)).toMatchObject({ rebooting: true });
    await expect(rebooting(1)).rejects.toMatchObject({
      code: "system",
      message: "Cannot reboot machine one: systemctl in it ended with 1",
    });
  });

  test("an image of a registry that wants a login", async () => {
    const registry = await FakeRegistry.start({ auth: "basic", user: { name: "ann", password: "secret" } });
    const seen: unknown[] = [];
    const { system, request, image } = await machine(async (command) => {
      if (!command.startsWith("osdeploy")) return 0;
      for (const { digest } of image.layers) {
        const answer = await fetch(`http://127.0.0.1:${registryPort}/v2/one/blobs/${digest}`);
        seen.push(Buffer.from(await answer.arrayBuffer()).equals(image.blobs.get(digest) ?? new Uint8Array()));
      }
      return 0;
    });
    registry.add(image, "v1");
    const source = { ...noLogin, credentials: { user: "ann", password: "secret" } };
    const named = { ...request, source, image: parseImageReference(`docker://${registry.host}/os:v1`) };
    expect(await upgradeLabMachine(system, { ...named, apply: false })).toMatchObject({
      image: `docker://${registry.host}/os:v1`,
      rebooting: false,
    });
    expect(seen).toEqual(image.layers.map(() => true));
    await registry.stop();
  });
});
