import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseImageReference } from "../../../src/core/oci/reference.ts";
import { openImageSource } from "../../../src/image-source/open-image-source.ts";
import { status } from "../../../src/operations/status.ts";
import { bring, bundle, expectSound, host, readBytes, switchToBundle, top } from "../../builders/bundles.ts";
import { sha256 } from "../../builders/oci-layer.ts";
import {
  failureOf,
  layoutReference,
  linuxAmd64,
  noLogin,
  sysrootPath,
  systemOn,
} from "../../builders/operation-machine.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

describe("a hostile bundle", () => {
  /** The archive with its document, or what lies behind it, changed. */
  async function changed(change: (text: string) => string, isNamedSo = true): Promise<FakeLinux> {
    const target = await host("v1");
    await bundle(target, { bases: [layoutReference("v1")] });
    const old = Buffer.from(readBytes(target));
    const text = /\{"version":1,"bridgedBytes".*?\]\}(?=\0)/s.exec(old.toString("latin1"))?.[0] ?? "";
    const document = change(text);
    expect(document.length).toBe(text.length);
    const names = (bytes: string) => sha256(Buffer.from(bytes)).slice(7);
    const spoiled = old.toString("latin1").replace(text, document);
    const archive = isNamedSo ? spoiled.replaceAll(names(text), names(document)) : spoiled;
    target.files.unlink(fromText("/b.tar"));
    bring(target, target, Buffer.from(fixChecksums(Buffer.from(archive, "latin1"))));
    return target;
  }

  test.each([
    ["that is cut", (text: string) => text.replace("]}", "] "), "bad-format"],
    ["of another version", (text: string) => text.replace('"version":1', '"version":7'), "unsupported"],
    ["with ranges out of order", (text: string) => text.replace(/"ranges":\[\d/, '"ranges":[-'), "bad-format"],
    [
      "of parts that are not there",
      (text: string) => text.replace(/"blob":"sha256:.{4}/, '"blob":"sha256:0000'),
      "unsupported",
    ],
    [
      "whose ranges are elsewhere",
      (text: string) => text.replace(/("ranges":\[)(\d)/, (_, start, digit) => `${start}${(Number(digit) % 8) + 1}`),
      "unsupported",
    ],
  ])("with a document %s changes nothing", async (_, change, code) => {
    const target = await changed(change);
    const before = await status(systemOn(target), { sysroot: sysrootPath });
    const failure = await failureOf(switchToBundle(target));
    expect(failure).toMatchObject({ code });
    expect(await status(systemOn(target), { sysroot: sysrootPath })).toEqual(before);
    await expectSound(target);
  });

  test("with another document than the one that is named changes nothing", async () => {
    const target = await changed((text) => text.replace(/"bridgedBytes":\d/, '"bridgedBytes":9'), false);
    expect(await failureOf(switchToBundle(target))).toMatchObject({ code: "digest-mismatch" });
    await expectSound(target);
  });

  test.each([
    [-1, 2],
    [0, -1],
    [0.5, 1],
    [Number.NaN, 1],
    [2 ** 53, 1],
    [0, 2 ** 53],
    [1 << 30, 1],
  ])(
    "whose layer has a range at %d of %d bytes that no blob can have: nothing of it is read",
    async (offsetBytes, lengthBytes) => {
      const target = await host("v1");
      await bundle(target, { bases: [layoutReference("v1")] });
      const source = openImageSource(parseImageReference("oci-archive:/b.tar"), target, noLogin);
      const { layers } = await source.resolve(linuxAmd64);
      const layer = layers.find(({ digest }) => source.bundle()?.parts.has(digest));
      if (layer === undefined) throw new Error("a layer is there in parts");
      const read = async () => {
        for await (const _piece of source.readBlobRange(layer, { offsetBytes, lengthBytes }))
          throw new Error("It was read");
      };
      await expect(read()).rejects.toMatchObject({ code: "bad-format" });
    },
  );

  test("with other bytes in its parts changes nothing", async () => {
    const target = await host("v1");
    await bundle(target, { bases: [layoutReference("v1")] });
    const bytes = Buffer.from(readBytes(target));
    const at = bytes.indexOf(
      Buffer.from(top.v2.blob.subarray(top.v2.blob.length - 72 - top.v2.tableBytes - 300).subarray(0, 50)),
    );
    expect(at).toBeGreaterThan(0);
    bytes[at + 20] = (bytes[at + 20] ?? 0) ^ 0xff;
    target.files.unlink(fromText("/b.tar"));
    bring(target, target, bytes);
    expect(await failureOf(switchToBundle(target))).toMatchObject({ code: "unsupported" });
    await expectSound(target);
  });
});

/** Names in headers were changed, so their checksums are, too. */
function fixChecksums(tar: Buffer): Buffer {
  for (let at = 0; tar[at] !== 0; ) {
    const header = tar.subarray(at, at + 512);
    header.fill(" ", 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
    at += 512 + Math.ceil(Number.parseInt(header.subarray(124, 135).toString("latin1"), 8) / 512) * 512;
  }
  return tar;
}
