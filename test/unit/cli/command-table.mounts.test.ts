import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { runMain } from "../../../src/cli/run-main.ts";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { layoutReference, repoOfSysroot } from "../../builders/operation-machine.ts";
import { storeOs } from "../../builders/stored-os.ts";
import { FakeCliIo } from "../../fakes/fake-cli-io.ts";
import { schemaErrors } from "../../tools/json-schema.ts";

/** A machine that holds an image, and writes down what the kernel is asked to mount. */
async function machine() {
  const { linux } = await storeOs({ verity: true });
  for (const path of ["/mnt", "/proc", "/proc/self"]) linux.files.makeDirectory(fromText(path), 0o755);
  const mountComposefs = ({ name }: { readonly name: string }): void => {
    const line = `30 22 0:40 / /mnt ro,relatime - overlay ${name} ro,lowerdir+=/\n`;
    linux.files.writeNewFile(fromText("/proc/self/mountinfo"), new TextEncoder().encode(line), 0o444);
  };
  return { ...linux, mounts: { ...linux.mounts, mountComposefs, unmount: () => {} } };
}

/** Runs a command with --json, and gives the document with what its schema finds wrong. */
async function json(linux: Awaited<ReturnType<typeof machine>>, name: string, ...argv: readonly string[]) {
  const io = new FakeCliIo({ linux });
  expect(await runMain(["--json", ...argv], io), io.stderr.text).toBe(0);
  const value: unknown = JSON.parse(io.stdout.text);
  const url = new URL(`../../../docs/reference/schema/${name}.json`, import.meta.url);
  return { value, errors: schemaErrors(value, JSON.parse(readFileSync(url, "utf8"))) };
}

test("image mount and image umount: what --json prints follows the schemas", async () => {
  const linux = await machine();
  const words = ["--repo", repoOfSysroot, "--bootable", layoutReference("v1"), "/mnt"];
  expect(await json(linux, "image-mount", "image", "mount", ...words)).toEqual({
    value: { rootImage: expect.stringMatching(/^[0-9a-f]{128}$/), target: "/mnt", verity: true },
    errors: [],
  });
  expect(await json(linux, "image-umount", "image", "umount", "/mnt")).toEqual({
    value: { target: "/mnt" },
    errors: [],
  });
});
