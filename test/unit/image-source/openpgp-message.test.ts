import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { openPgpMessage } from "../../../src/image-source/openpgp-message.ts";
import type { ProgramResult } from "../../../src/linux/linux.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const message = Uint8Array.of(0x90, 1, 2);
const primary = "F".repeat(40);
const good = [
  "NEWSIG ann@example.com",
  "GOODSIG AAAA ann",
  `VALIDSIG ${"5".repeat(40)} 2026-11-21 1795300000 0 4 0 22 8 00 ${primary}`,
];

/** What comes of a message when gpgv says this. */
async function open(lines: readonly string[], { keyrings = [Uint8Array.of(0x99)], input = message, status = 0 } = {}) {
  const files: string[] = [];
  const { signal } = new AbortController();
  const linux: FakeLinux = new FakeLinux({
    runProgram: (words, options): ProgramResult => {
      expect(options?.input).toBe(input);
      expect(options && "signal" in options && options.signal).toBe(signal);
      const home = fromText(words[words.indexOf("--homedir") + 1] ?? "");
      expect(linux.files.lstat(home)).toMatchObject({ kind: "directory", permissions: 0o700 });
      for (const [index, word] of words.entries()) {
        if (words[index - 1] === "--keyring") {
          files.push(Buffer.from(linux.files.readFile(fromText(word), 1000)).toString("hex"));
        }
      }
      const stderr = lines.map((line) => `[GNUPG:] ${line}\n`).join("");
      return { status, stdout: Uint8Array.of(7), stderr: `gpgv: words for people\n${stderr}` };
    },
  });
  linux.files.makeDirectory(fromText("/tmp"), 0o777);
  const opened = await openPgpMessage(linux, { message: input, keyrings }, signal);
  expect(linux.files.readDirectory(fromText("/tmp"))).toEqual([]);
  return { ...opened, files };
}

describe("openPgpMessage", () => {
  test("gives what is signed and the primary key, and leaves nothing behind", async () => {
    expect(await open(good)).toEqual({ payload: Uint8Array.of(7), fingerprint: primary, files: ["99"] });
    expect((await open([...good.slice(0, 2), `VALIDSIG ${primary} 2026-11-21`])).fingerprint).toBe(primary);
  });

  test("takes keys out of their text form", async () => {
    const block = (headers: string, body: string) =>
      `-----BEGIN PGP PUBLIC KEY BLOCK-----\n${headers}\n${body}\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n`;
    const text = block("", "AQID\nBAUG") + block("Comment: x\n", "Bw==");
    expect((await open(good, { keyrings: [Buffer.from(text), Uint8Array.of(1)] })).files).toEqual([
      "01020304050607",
      "01",
    ]);
  });

  test.each([
    ["blanks behind lines", "-----BEGIN PGP PUBLIC KEY BLOCK-----  \n\nAQID \t\nBAUG \n=abcd \n-----END PGP"],
    ["an empty header", "-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion:\nComment: a: b\n\nAQIDBAUG\n-----END PGP"],
    ["a separator of blanks", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n \t \nAQIDBAUG\n=abcd\n-----END PGP"],
    ["line ends of other systems", "-----BEGIN PGP PUBLIC KEY BLOCK-----\r\n\r\nAQID\r\nBAUG\r\n=abcd\r\n-----END PGP"],
    ["an empty line before the checksum", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAQIDBAUG\n\n=abcd\n\n-----END PGP"],
  ])("takes keys out of text with %s", async (_name, text) => {
    expect((await open(good, { keyrings: [Buffer.from(text)] })).files).toEqual(["010203040506"]);
  });

  test.each<readonly [string, readonly string[], RegExp]>([
    ["no signature", [], /not one good signature/],
    ["two signatures", [...good, ...good], /not one good signature/],
    ["a bad signature beside a good one", [...good, "BADSIG AAAA eve"], /does not fit/],
    ["an unknown key", ["ERRSIG AAAA", "NO_PUBKEY AAAA"], /no key of the policy/],
    ["a signature that cannot be checked beside a good one", [...good, "ERRSIG AAAA"], /no key of the policy/],
    ["one of an unknown key beside a good one", [...good, "NO_PUBKEY AAAA"], /no key of the policy/],
    ["one of a revoked key beside a good one", [...good, "KEYREVOKED"], /its key was revoked/],
    ["one that is good, and said to be so twice", [...good, ...good.slice(1, 2)], /not one good signature/],
    ["one that is good, and of two keys", [...good, ...good.slice(2)], /not one good signature/],
    ["an expired signature", ["EXPSIG AAAA ann", ...good.slice(2)], /it has expired/],
    ["an expired key", ["EXPKEYSIG AAAA ann", ...good.slice(2)], /its key has expired/],
    ["a revoked key", ["REVKEYSIG AAAA ann", ...good.slice(2)], /its key was revoked/],
  ])("refuses %s", async (_name, lines, expected) => {
    await expect(open(lines)).rejects.toThrow(expected);
  });

  test("believes no line that is for people", async () => {
    const words = good.map((line) => `people ${line}`);
    const linux: FakeLinux = new FakeLinux({
      runProgram: (): ProgramResult => ({ status: 0, stdout: Uint8Array.of(7), stderr: words.join("\n") }),
    });
    linux.files.makeDirectory(fromText("/tmp"), 0o777);
    const keyrings = [Uint8Array.of(0x99)];
    await expect(openPgpMessage(linux, { message, keyrings }, undefined)).rejects.toThrow(/not one good signature/);
  });

  test("refuses what gpgv itself does not accept, whatever else it says", async () => {
    await expect(open(good, { status: 2 })).rejects.toThrow(/gpgv does not accept it/);
    await expect(open(["BADSIG AAAA eve"], { status: 1 })).rejects.toThrow(/does not fit/);
  });

  test("a gpgv that was stopped said nothing of the signature", async () => {
    const code = "interrupted";
    for (const status of [130, 143]) {
      await expect(open(["BADSIG AAAA eve"], { status })).rejects.toThrow(expect.objectContaining({ code }));
    }
  });

  test("asks nobody about what is no binary message", async () => {
    await expect(open(good, { input: Buffer.from("-----BEGIN PGP MESSAGE-----") })).rejects.toThrow(/in binary form/);
    await expect(open(good, { input: Uint8Array.of() })).rejects.toThrow(/in binary form/);
  });

  test("says which program is missing", async () => {
    const linux = new FakeLinux();
    linux.files.makeDirectory(fromText("/tmp"), 0o777);
    await expect(openPgpMessage(linux, { message, keyrings: [] }, undefined)).rejects.toThrow(
      "Cannot check OpenPGP signatures: there is no program gpgv",
    );
  });
});
