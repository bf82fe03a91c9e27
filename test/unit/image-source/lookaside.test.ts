import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../../src/core/errors.ts";
import { parseRegistryName } from "../../../src/core/oci/registry-name.ts";
import { addToLookaside, findInLookaside, type ReadAddress } from "../../../src/image-source/lookaside.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const digest = parseManifestDigest(`sha256:${"a".repeat(64)}`);
const name = parseRegistryName("quay.io/team/os:v1");
const folder = `team/os@sha256=${"a".repeat(64)}`;

/** Looks in a lookaside store of the web that has these addresses. */
async function find(base: string, read: ReadAddress) {
  const found = await findInLookaside(new FakeLinux().files, base, { name, digest, read });
  return found.map((signature) => (signature.kind === "simple-signing" ? signature.message.length : 0));
}

describe("findInLookaside", () => {
  test("asks for one signature after the other until one is missing", async () => {
    const asked: string[] = [];
    const read: ReadAddress = async (address, limitBytes) => {
      asked.push(address.href);
      return asked.length > 2 ? undefined : new Uint8Array(limitBytes > 0 ? asked.length : 0);
    };
    expect(await find("https://signatures.example/base/", read)).toEqual([1, 2]);
    expect(asked).toEqual([1, 2, 3].map((n) => `https://signatures.example/base/${folder}/signature-${n}`));
  });

  test("does not take a failure for the end", async () => {
    const broken: ReadAddress = () => Promise.reject(new Error("the server is on fire"));
    await expect(find("https://signatures.example", broken)).rejects.toThrow("on fire");
  });

  test("ends at 128 signatures, and takes no other kind of address", async () => {
    await expect(find("http://signatures.example", async () => new Uint8Array(1))).rejects.toMatchObject({
      code: "limit-exceeded",
    });
    for (const base of ["ftp://signatures.example", "/var/lib/signatures"]) {
      await expect(find(base, async () => undefined)).rejects.toMatchObject({ code: "bad-format" });
    }
  });

  test.each([4 * 1024 * 1024, 4 * 1024 * 1024 + 1])("one signature may have 4 MiB; one has %i bytes", async (size) => {
    const { files } = new FakeLinux();
    for (const path of ["/s", "/s/team", `/s/${folder}`]) files.makeDirectory(fromText(path), 0o755);
    files.writeNewFile(fromText(`/s/${folder}/signature-1`), new Uint8Array(size), 0o644);
    const web: ReadAddress = async ({ pathname }, limitBytes) => {
      if (!pathname.endsWith("-1")) return undefined;
      if (size > limitBytes) throw new OsdeployError("limit-exceeded", "Cannot fetch the signature: it is too large");
      return new Uint8Array(size);
    };
    for (const base of ["https://signatures.example", "file:///s"]) {
      const finding = findInLookaside(files, base, { name, digest, read: web });
      if (size % 2 === 0) expect(await finding).toHaveLength(1);
      else await expect(finding).rejects.toMatchObject({ code: "limit-exceeded" });
    }
  });

  test("reads files of this machine", async () => {
    const { files } = new FakeLinux();
    for (const path of ["/s", "/s/team", `/s/${folder}`]) files.makeDirectory(fromText(path), 0o755);
    files.writeNewFile(fromText(`/s/${folder}/signature-1`), Uint8Array.of(7), 0o644);
    const read: ReadAddress = () => Promise.reject(new Error("no web"));
    expect(await findInLookaside(files, "file:///s", { name, digest, read })).toEqual([
      { kind: "simple-signing", message: Uint8Array.of(7) },
    ]);
  });
});

describe("addToLookaside", () => {
  const message = (byte: number) => Uint8Array.of(byte);
  const namesIn = ({ files }: FakeLinux) => files.readDirectory(fromText(`/new/place/${folder}`));

  test("makes the store, and puts new signatures behind those that are there", async () => {
    const linux = new FakeLinux();
    const add = (...messages: readonly Uint8Array[]) =>
      addToLookaside(linux.files, "file:///new/place", { name, digest, messages });
    add(message(1));
    add(message(1), message(2), message(3));
    add(message(2));
    const read: ReadAddress = () => Promise.reject(new Error("no web"));
    const found = await findInLookaside(linux.files, "file:///new/place", { name, digest, read });
    expect(found).toEqual([1, 2, 3].map((byte) => ({ kind: "simple-signing", message: message(byte) })));
    expect(namesIn(linux)).toEqual(["signature-1", "signature-2", "signature-3"]);
  });

  test("adds none where there would be more than 128, which nobody reads, and leaves those that are there", () => {
    const linux = new FakeLinux();
    const add = (messages: readonly Uint8Array[]) =>
      addToLookaside(linux.files, "file:///new/place", { name, digest, messages });
    const all = Array.from({ length: 128 }, (_, byte) => message(byte));
    expect(() => add([...all, message(200)])).toThrow(expect.objectContaining({ code: "limit-exceeded" }));
    expect(linux.files.lstatIfExists(fromText("/new"))).toBeUndefined();
    add(all);
    add(all.slice(5));
    expect(() => add([message(200)])).toThrow(expect.objectContaining({ code: "limit-exceeded" }));
    expect(namesIn(linux)).toHaveLength(128);
  });

  test("takes no half-written one for a signature, and leaves none", () => {
    const linux = new FakeLinux();
    const add = () => addToLookaside(linux.files, "file:///new/place", { name, digest, messages: [message(1)] });
    add();
    linux.files.unlink(fromText(`/new/place/${folder}/signature-1`));
    linux.files.writeNewFile(fromText(`/new/place/${folder}/signature-1.new`), message(9), 0o644);
    add();
    expect(namesIn(linux)).toEqual(["signature-1"]);
  });

  test.each(["https://signatures.example", "nowhere"])("cannot write to %s", (base) => {
    const add = () => addToLookaside(new FakeLinux().files, base, { name, digest, messages: [message(1)] });
    expect(add).toThrow(expect.objectContaining({ code: "unsupported" }));
  });
});
