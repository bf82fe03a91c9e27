import { request as plainRequest } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openssl, selfSigned } from "../builders/certificates.ts";
import type { Guest } from "./guest-machine.ts";
import { GuestRegistry } from "./guest-registry.ts";
import type { Step } from "./guest-shell.ts";
import { findMachineRoom, needs } from "./os-disk.ts";
import { bootedGuest, digestsByRole, releaseOf, statusOf } from "./os-guest.ts";

const trixie = findMachineRoom();

/** What stands between a machine and its upgrade is told in one message, and nothing that boots is touched. */
describe.skipIf(trixie === undefined)(`an upgrade that cannot be ${needs}`, () => {
  let guest: Guest;
  let registry: GuestRegistry;
  let v1: string;
  let v2: string;
  beforeAll(async () => {
    if (trixie === undefined) return;
    registry = await GuestRegistry.start("v1");
    v1 = await registry.offer("v1");
    v2 = await registry.offer("v2");
    guest = await bootedGuest(trixie, "limits", registry);
  });
  afterAll(async () => {
    await guest?.cutPower();
    await registry?.stop();
  });

  test.skipIf(openssl === undefined)("a clock that is wrong: the message says that it may be the clock", async () => {
    const certificate = selfSigned("10.0.2.2");
    const { server, port: tlsPort } = await tlsInFront(certificate, registry.port);
    const directory = `/etc/containers/certs.d/10.0.2.2:${tlsPort}`;
    await guest.output(`mkdir -p ${directory} && cat >${directory}/ca.crt <<'C'\n${certificate.cert}\nC`);
    const image = `10.0.2.2:${tlsPort}/os:latest`;
    const failed = await guest.run(
      `now=$(date +%s); date -s 2001-01-01 >/dev/null; osdeploy switch ${image}; status=$?; date -s @$now >/dev/null; exit $status`,
    );
    expectOneMessage(failed, 14, /clock/);
    await expectUntouched();
    server.closeAllConnections();
    server.close();
  });

  test("no space on the root file system: refused; with space again the machine is as before", async () => {
    // ext4 keeps 16 MB to itself, so 8 MB are left: it begins well.
    await guest.output("set -- $(stat -f -c '%f %S' /var) && fallocate -l $(($1 * $2 - 24000000)) /var/filler");
    expectOneMessage(await guest.run("osdeploy upgrade"), 12, /space/);
    await expectUntouched();
    await guest.output("rm /var/filler && sync");
  });

  test("a registry that goes away in the middle: the next run goes on where that one stopped", async () => {
    await registry.offer("v2", { goneAfterBytes: 12_000_000 });
    expectOneMessage(await guest.run("osdeploy upgrade"), 14, /./);
    await expectUntouched();
    await registry.offer("v2");
    expect(await guest.json("osdeploy --json upgrade")).toMatchObject({ kind: "staged" });
    expect(digestsByRole(await statusOf(guest))).toMatchObject({ booted: v1, default: v1, staged: v2 });
  });

  test("no room on the boot partition for another kernel: refused; the machine still boots", async () => {
    const kernel = (await guest.output("ls -d /usr/lib/modules/*")).trim().slice(1);
    const initramfs = Buffer.alloc(8_000_000, "another initramfs ");
    await registry.offerWith("v2", [{ path: `${kernel}/initramfs.img`, content: initramfs }]);
    await guest.output("dd if=/dev/zero of=/boot/filler bs=1M 2>/dev/null; truncate -s -4M /boot/filler; sync");
    expectOneMessage(await guest.run("osdeploy upgrade"), 12, /boot/);
    expect(await guest.output("ls -d /boot/osdeploy/*/ | wc -l")).toBe("1\n");
    await guest.output("rm /boot/filler");
    await guest.reboot();
    expect(await guest.booted()).toBe("running");
    expect(["v1", "v2"]).toContain(await releaseOf(guest));
    expect(await guest.json("osdeploy --json repo fsck --metadata-only")).toMatchObject({ ok: true });
  });

  async function expectUntouched(): Promise<void> {
    const status = await statusOf(guest);
    expect(digestsByRole(status)).toMatchObject({ booted: v1, default: v1 });
    expect(status).toMatchObject({ staged: null, problems: [] });
    expect(status.deployments).toHaveLength(1);
  }
});

/** One line says what is wrong; a hint may follow. Lines before it are progress. */
function expectOneMessage({ status, stdout, stderr }: Step, wanted: number, words: RegExp): void {
  expect(status, `${stdout}${stderr}`).toBe(wanted);
  const messages = stderr.split("\n").filter((line) => line.startsWith("osdeploy: "));
  expect(messages).toHaveLength(1);
  expect(messages[0]).toMatch(/^osdeploy: Cannot /);
  expect(stderr.slice(stderr.indexOf("osdeploy: "))).toMatch(words);
}

/** The registry once more, behind TLS. */
async function tlsInFront(
  certificate: { readonly key: string; readonly cert: string },
  plainPort: number,
): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer(certificate, (request, response) => {
    const { method, url: path, headers } = request;
    const onward = { port: plainPort, method, path, headers };
    plainRequest(onward, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    }).end();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return { server, port: (server.address() as AddressInfo).port };
}
