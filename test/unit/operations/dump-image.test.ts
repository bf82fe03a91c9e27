import { expect, test } from "vitest";
import { type ByteString, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { verityDigest } from "../../../src/core/digest/fs-verity.ts";
import { writeErofs } from "../../../src/core/erofs/writer.ts";
import { parseDump } from "../../../src/core/tree/dump-parser.ts";
import { dumpImage } from "../../../src/operations/dump-image.ts";
import { imageDigest } from "../../../src/operations/image-digest.ts";
import { layoutReference, repoOfSysroot, systemOn } from "../../builders/operation-machine.ts";
import { storeOs } from "../../builders/stored-os.ts";

const { linux } = await storeOs();

async function dump(bootable: boolean): Promise<ByteString> {
  const { lines } = await dumpImage(systemOn(linux), { repo: repoOfSysroot, image: layoutReference("v1"), bootable });
  return [...lines].join("") as ByteString;
}

test("dumpImage: is the text from which the same root image is made again", async () => {
  for (const bootable of [false, true]) {
    const text = await dump(bootable);
    const image = writeErofs(parseDump(toBytes(text), { algorithm: "sha512" }), { version: 1 });
    const { rootImage } = await imageDigest(systemOn(linux), {
      repo: repoOfSysroot,
      image: layoutReference("v1"),
      bootable,
    });
    expect(verityDigest("sha512", image)).toBe(rootImage);
  }
});

test("dumpImage: has a line for each name", async () => {
  const names = (await dump(false)).split("\n").map((line) => line.split(" ")[0]);
  expect(names).toContain("/usr/bin/dash");
  expect(names).toContain("/var/lib/state");
  expect(names.at(-1)).toBe("");
});
