import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import type { Requirement } from "../../../src/core/trust/policy.ts";
import { judgingMeans } from "../../../src/image-source/opened-messages.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const key = Uint8Array.of(0x99, 1);
const message = Uint8Array.of(0x90, 1);
const other = Uint8Array.of(0x90, 2);
const signatures = [message, other].map((each) => ({ kind: "simple-signing", message: each }) as const);
const signedBy = (...paths: readonly string[]): Requirement => ({
  ...{ kind: "signed-by", keyrings: paths.map((path) => ({ kind: "file", path })), identity: { kind: "exact" } },
});

/** A machine with one key, where gpgv takes what ends in 1. */
function machine(answer: "answers" | "was stopped" = "answers") {
  const opened: number[] = [];
  const linux = new FakeLinux({
    runProgram: (_words, options) => {
      const end = options?.input?.at(-1) ?? 0;
      opened.push(end);
      if (answer === "was stopped") return { status: 143, stdout: new Uint8Array(0), stderr: "" };
      const said = end === 1 ? `[GNUPG:] GOODSIG A a\n[GNUPG:] VALIDSIG ${"F".repeat(40)}\n` : "[GNUPG:] BADSIG A a\n";
      return { status: end === 1 ? 0 : 1, stdout: Uint8Array.of(end), stderr: said };
    },
  });
  for (const path of ["/tmp", "/keys"]) linux.files.makeDirectory(fromText(path), 0o777);
  linux.files.writeNewFile(fromText("/keys/a"), key, 0o644);
  return { linux, opened };
}

describe("judgingMeans", () => {
  test("each message was opened once with the keys of each requirement; what failed fails when it is asked for", async () => {
    const { linux, opened } = machine();
    const requirements = [signedBy("/keys/a"), { kind: "accept-anything" } as const];
    const means = await judgingMeans(linux, { requirements, signatures }, undefined);
    expect(opened).toEqual([1, 2]);
    const keyrings = [means.readKey("/keys/a")];
    expect(keyrings).toEqual([key]);
    expect(means.openMessage(message, keyrings)).toEqual({ payload: Uint8Array.of(1), fingerprint: "F".repeat(40) });
    expect(() => means.openMessage(other, keyrings)).toThrow("it does not fit what it signs");
    expect(() => means.openMessage(Uint8Array.of(0x90, 1), keyrings)).toThrow("messages are opened before");
    expect(opened).toEqual([1, 2]);
  });

  test("what the keys of one requirement open counts for no other, also where that has those keys and more", async () => {
    const { linux } = machine();
    linux.files.writeNewFile(fromText("/keys/b"), Uint8Array.of(0x99, 2), 0o644);
    const policies = [["/keys/a"], ["/keys/b"], ["/keys/a", "/keys/b"]];
    const requirements = policies.map((paths) => signedBy(...paths));
    const means = await judgingMeans(linux, { requirements: requirements.slice(0, 1), signatures }, undefined);
    for (const paths of policies.slice(1)) {
      const keyrings = paths.map((path) => means.readKey(path));
      expect(() => means.openMessage(message, keyrings)).toThrow("messages are opened before");
    }
    const all = await judgingMeans(linux, { requirements, signatures }, undefined);
    const opened = policies.map((paths) => all.openMessage(message, paths.map(all.readKey)));
    expect(new Set(opened).size).toBe(3);
  });

  test("a key that cannot be read fails when it is asked for, and nothing is opened with it", async () => {
    const { linux, opened } = machine();
    const means = await judgingMeans(linux, { requirements: [signedBy("/keys/gone")], signatures }, undefined);
    expect(opened).toEqual([]);
    expect(() => means.readKey("/keys/gone")).toThrow(
      'Cannot read the key "/keys/gone" of the signature policy: there is no such file',
    );
  });

  test("who is interrupted judges nothing", async () => {
    const { linux } = machine("was stopped");
    const judging = judgingMeans(linux, { requirements: [signedBy("/keys/a")], signatures }, undefined);
    await expect(judging).rejects.toMatchObject({ code: "interrupted" });
  });
});
