import { afterEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { copyImage } from "../../../src/operations/copy-image.ts";
import { machineWithFiles } from "../../builders/configuration.ts";
import { buildImage } from "../../builders/oci-image.ts";
import { linuxAmd64, systemOn } from "../../builders/operation-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";
import { FakeRegistry, type Fault } from "../../fakes/fake-registry.ts";

const image = await buildImage({ layers: [[{ path: "a", content: "one" }]] });
const folder = `os@${image.manifestDigest.replace(":", "=")}`;
const registries: FakeRegistry[] = [];

afterEach(async () => {
  for (const registry of registries.splice(0)) await registry.stop();
});

async function newRegistry(faults: Fault[] = []): Promise<FakeRegistry> {
  const registry = await FakeRegistry.start({ faults });
  registries.push(registry);
  registry.add(image, "v1");
  return registry;
}

/** Copies an image with a simple signature, on a machine with a lookaside store for each of the two registries. */
async function copySigned(from: FakeRegistry, to: FakeRegistry): Promise<FakeLinux> {
  const linux = machineWithFiles({
    [`/from/${folder}/signature-1`]: "signed",
    "/to/x": "",
    "/tmp/x": "",
    "/etc/containers/registries.d/a.yaml": `docker:\n  "${from.host}": {lookaside: "file:///from"}\n  "${to.host}": {lookaside: "http://127.0.0.1:1", lookaside-staging: "file:///to"}\n`,
  });
  const environment = { variables: { TMPDIR: "/tmp" }, userId: 0 };
  const options = { environment, retry: { tries: 1, delayMs: 1 } };
  await copyImage(systemOn(linux), {
    ...{ image: parseImageReference(`docker://${from.host}/os:v1`), platform: linuxAmd64, source: options },
    ...{ destination: parseImageReference(`docker://${to.host}/os:v2`), destinationOptions: options },
    ...{ format: undefined, level: undefined, removeSignatures: false },
  });
  return linux;
}

test("a simple signature goes from the lookaside store of one registry to that where those of the other are written", async () => {
  const { files } = await copySigned(await newRegistry(), await newRegistry());
  expect(Buffer.from(files.readFile(fromText(`/to/${folder}/signature-1`), 100)).toString()).toBe("signed");
});

test("a registry that fails to tell what refers to an image, and may tell the next time, ends the copy", async () => {
  const to = await newRegistry();
  const copying = copySigned(await newRegistry([{ path: /referrers/, times: 9, status: 500 }]), to);
  await expect(copying).rejects.toMatchObject({ code: "network", facts: { status: 500 } });
  expect(to.requests.map(({ method }) => method)).not.toContain("PUT");
});
