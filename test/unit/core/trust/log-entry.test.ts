import { expect, test } from "vitest";
import { parsePublicKey } from "../../../../src/core/digest/public-key.ts";
import { checkLogEntry } from "../../../../src/core/trust/log-entry.ts";
import { makeKey } from "../../../builders/signatures.ts";

test("checkLogEntry: an entry that the log neither promises nor proves is none", () => {
  const key = parsePublicKey(Buffer.from(makeKey().pem), "k.pub");
  const nothing = new Uint8Array(0);
  const logged = { signedBytes: nothing, signature: nothing, payload: undefined, key, certificate: undefined };
  const entry = { body: nothing, promise: undefined, proof: undefined };
  expect(() => checkLogEntry(entry, [key], logged)).toThrow("the log neither promises nor proves its entry");
});

test("checkLogEntry: a body of any bytes is one that no log has promised", () => {
  const key = parsePublicKey(Buffer.from(makeKey().pem), "k.pub");
  const nothing = new Uint8Array(0);
  const logged = { signedBytes: nothing, signature: nothing, payload: undefined, key, certificate: undefined };
  const promise = { signature: nothing, integratedTime: 1, logIndex: 1, logId: "" };
  const entry = { body: Uint8Array.from({ length: 256 }, (_, byte) => byte), promise, proof: undefined };
  expect(() => checkLogEntry(entry, [key], logged)).toThrow("no log that the policy knows has promised its entry");
});
