import { decodeBase64 } from "../core/bytes/base64.ts";
import { fromBytes, fromText } from "../core/bytes/byte-string.ts";
import { joinBytes } from "../core/bytes/join-bytes.ts";
import { OsdeployError } from "../core/errors.ts";
import type { OpenedMessage } from "../core/trust/judge-image.ts";
import type { Linux, Path } from "../linux/linux.ts";
import { childPath } from "../linux/path.ts";
import { removeTree } from "../linux/remove-tree.ts";

/** The first bytes of what simple signing calls a signature: a signed, perhaps compressed, OpenPGP message in binary. */
const messageStarts = [0xa0, 0xa1, 0xa2, 0xa3, 0xc8, 0x90, 0x91, 0x92, 0xc4, 0x88, 0x89, 0x8a, 0x8b, 0xc2];

/**
 * Checks an OpenPGP message with gpgv, GnuPG's own checker, which every distribution that verifies its packages has. It gets
 * nothing but the keyrings of the policy, in a directory of its own.
 *
 * @throws OsdeployError as `JudgingMeans.openMessage`; `interrupted`.
 */
export async function openPgpMessage(
  { files, programs, clock }: Linux,
  { message, keyrings }: { readonly message: Uint8Array; readonly keyrings: readonly Uint8Array[] },
  signal: AbortSignal | undefined,
): Promise<OpenedMessage> {
  if (!messageStarts.includes(message[0] ?? 0)) throw wrong("it is no OpenPGP message in binary form");
  const directory: Path = fromText(`/tmp/osdeploy-${clock.randomName()}`);
  files.makeDirectory(directory, 0o700);
  try {
    const words = keyrings.flatMap((bytes, index) => {
      const path = childPath(directory, fromText(`keyring-${index}`));
      files.writeNewFile(path, withoutArmor(bytes), 0o600);
      return ["--keyring", path as string];
    });
    const { status, stdout, stderr } = await programs.runAside(
      ["gpgv", "--quiet", "--status-fd", "2", "--homedir", directory, ...words, "--output", "-", "-"],
      { input: message, signal },
    );
    // A signal to all of us ended it before we learn of the signal: that says nothing about the signature.
    if (status > 128) throw new OsdeployError("interrupted", "Cannot check an OpenPGP signature: gpgv was stopped");
    const fingerprint = signerIn(stderr);
    if (status !== 0) throw wrong("gpgv does not accept it");
    return { payload: stdout, fingerprint };
  } catch (error) {
    if (!(error instanceof OsdeployError && error.code === "not-found")) throw error;
    throw new OsdeployError("not-found", "Cannot check OpenPGP signatures: there is no program gpgv", {
      facts: { hint: "Install the Debian package gpgv, or gnupg2 elsewhere" },
      cause: error,
    });
  } finally {
    removeTree(files, directory);
  }
}

/**
 * The primary key's fingerprint of the one good signature that gpgv reports.
 *
 * @see https://github.com/gpg/gnupg/blob/master/doc/DETAILS (VALIDSIG: the last field; it may be missing for old keys)
 */
function signerIn(status: string): string {
  const lines = status.split("\n").flatMap((line) => {
    const [mark, keyword = "", ...rest] = line.split(" ");
    return mark === "[GNUPG:]" ? [{ keyword, rest }] : [];
  });
  const bad = lines.find(({ keyword }) => badKeywords.has(keyword));
  if (bad !== undefined) throw wrong(badKeywords.get(bad.keyword) ?? "it is bad");
  const valid = lines.filter(({ keyword }) => keyword === "VALIDSIG");
  const good = lines.filter(({ keyword }) => keyword === "GOODSIG");
  const fingerprint = valid[0]?.rest[9] ?? valid[0]?.rest[0];
  if (valid.length !== 1 || good.length !== 1 || fingerprint === undefined) throw wrong("it is not one good signature");
  return fingerprint;
}

const badKeywords: ReadonlyMap<string, string> = new Map([
  ["BADSIG", "it does not fit what it signs"],
  ["NO_PUBKEY", "no key of the policy made it"],
  ["ERRSIG", "no key of the policy made it"],
  ["EXPSIG", "it has expired"],
  ["EXPKEYSIG", "its key has expired"],
  ["REVKEYSIG", "its key was revoked"],
  ["KEYREVOKED", "its key was revoked"],
]);

/**
 * A key as text: lines with headers, of which each may be empty, an empty line, base64, and perhaps a checksum. Blanks at the
 * end of a line count for nothing.
 *
 * @see https://www.rfc-editor.org/rfc/rfc4880#section-6.2
 */
const armorForm =
  /-----BEGIN PGP PUBLIC KEY BLOCK-----[ \t]*\r?\n(?:[^\r\n:]+:[^\r\n]*\r?\n)*[ \t]*\r?\n([A-Za-z0-9+/=\s]+?)(?:\n=[A-Za-z0-9+/]{4}\s*)?\n-----END/g;

/** gpgv wants keys in binary; administrators have them as text, too. */
function withoutArmor(bytes: Uint8Array): Uint8Array {
  const text = fromBytes(bytes);
  const blocks = [...text.matchAll(armorForm)].flatMap(
    ([, body = ""]) => decodeBase64(body.replaceAll(/\s/g, "")) ?? [],
  );
  return blocks.length === 0 ? bytes : joinBytes(blocks);
}

function wrong(state: string): OsdeployError {
  return new OsdeployError("digest-mismatch", `Cannot accept the OpenPGP signature: ${state}`);
}
