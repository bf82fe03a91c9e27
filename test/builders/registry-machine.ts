import { createHash } from "node:crypto";
import { expect } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parseDiffId } from "../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../src/core/errors.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import type { SourceOptions } from "../../src/image-source/open-image-source.ts";
import { checkRepo } from "../../src/operations/check-repo.ts";
import { type PullResult, pull } from "../../src/operations/pull.ts";
import { openRepo } from "../../src/repo/repo.ts";
import { findStream, layerStreamName } from "../../src/repo/streams.ts";
import type { FakeLinux } from "../fakes/fake-linux.ts";
import { registryUser } from "../tools/docker-registry.ts";
import type { BuiltImage } from "./oci-image.ts";
import { linuxAmd64, machineWithRepo, repoOfSysroot, systemOn } from "./operation-machine.ts";

/** Content that compression makes little smaller. */
export function noise(length: number, seed: number): string {
  let text = "";
  for (let at = 0; text.length < length; at++) text += createHash("sha512").update(`${seed} ${at}`).digest("base64");
  return text.slice(0, length);
}

/** A machine that trusts the registry at `host` by its certificate, and has a login for it. */
export async function machineFor(host: string, certificate: string): Promise<FakeLinux> {
  const linux = await machineWithRepo({});
  const auth = Buffer.from(`${registryUser.user}:${registryUser.password}`).toString("base64");
  for (const path of [
    "/etc",
    "/etc/osdeploy",
    "/etc/containers",
    "/etc/containers/certs.d",
    `/etc/containers/certs.d/${host}`,
  ]) {
    if (linux.files.lstatIfExists(fromText(path)) === undefined) linux.files.makeDirectory(fromText(path), 0o755);
  }
  const write = (path: string, text: string) => linux.files.writeNewFile(fromText(path), Buffer.from(text), 0o600);
  write(`/etc/containers/certs.d/${host}/ca.crt`, certificate);
  write("/etc/osdeploy/auth.json", JSON.stringify({ auths: { [host]: { auth } } }));
  return linux;
}

/** Pulls `lab/os:v1`, losing patience after three tries and half a second of silence if nothing else is said. */
export function pullOn(
  linux: FakeLinux,
  host: string,
  patience: Pick<SourceOptions, "retry" | "timeouts"> & { readonly tag?: string } = {},
): Promise<PullResult> {
  const { tag = "v1", ...source } = patience;
  return pull(systemOn(linux), {
    image: parseImageReference(`${host}/lab/os:${tag}`),
    repo: repoOfSysroot,
    platform: linuxAmd64,
    source: {
      environment: { variables: {}, userId: 0 },
      retry: { tries: 3, delayMs: 1 },
      timeouts: { connectMs: 5_000, headersMs: 5_000, idleMs: 500 },
      ...source,
    },
    bootable: false,
  });
}

/** How a pull ended: `done`, or the code of an error that says clearly what could not be done, and no secret. */
export async function endOf(pulling: Promise<unknown>): Promise<{ readonly code: string; readonly message: string }> {
  try {
    await pulling;
    return { code: "done", message: "" };
  } catch (error) {
    if (!(error instanceof OsdeployError)) throw error;
    expect(error.message).toMatch(/^Cannot /);
    expect(error.message).not.toMatch(/s3cret|YW5u/);
    return { code: error.code, message: error.message };
  }
}

/** The bytes of an image's layers that the machine has: in layers that are imported, or in files that wait. */
export function bytesHere(linux: FakeLinux, image: BuiltImage): number {
  const repo = openRepo(linux, repoOfSysroot, { access: "read", wait: false });
  const bytes = image.layers.map(({ digest, diffId, blob }) => {
    if (findStream(repo, layerStreamName(parseDiffId(diffId))) !== undefined) return blob.length;
    const path = fromText(`${repoOfSysroot}/staging/layer-${digest.replace(":", "-")}`);
    return linux.files.lstatIfExists(path)?.sizeBytes ?? 0;
  });
  repo.close();
  return bytes.reduce((sum, each) => sum + each, 0);
}

/** That whatever happened left the repo in order. */
export async function expectInOrder(linux: FakeLinux): Promise<void> {
  const { problems } = await checkRepo(systemOn(linux), { repo: repoOfSysroot, metadataOnly: false });
  expect(problems.filter(({ kind }) => kind !== "leftover")).toEqual([]);
}
