import { expect, test } from "vitest";
import { parseCertificates } from "../../../../src/core/digest/public-key.ts";
import { checkSigningCertificate } from "../../../../src/core/trust/signing-certificate.ts";
import { trustVector } from "../../../builders/signatures.ts";

const certificate = (name: string) => parseCertificates(Buffer.from(trustVector(`${name}.pem`)), name);
const identity = { issuer: "https://login.example", email: "builder@example.com" };

test("checkSigningCertificate: of a chain eight certificates count, and those behind them do not", () => {
  const [leaf] = certificate("leaf");
  const behind = (count: number) => () => {
    const strangers = Array.from({ length: count }, () => certificate("stranger"));
    const chain = { intermediates: [...strangers.flat(), ...certificate("between")], roots: certificate("root") };
    if (leaf !== undefined) checkSigningCertificate(leaf, chain, { identity, atSeconds: 1_781_525_000 });
  };
  expect(leaf).toBeDefined();
  expect(behind(7)).not.toThrow();
  expect(behind(8)).toThrow(/no authority of the policy stands behind it/);
});
