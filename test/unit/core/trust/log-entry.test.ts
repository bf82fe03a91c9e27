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
