import { describe, expect, test } from "vitest";
import { parseManifestDigest } from "../../../src/core/digest/oci-digest.ts";
import { formatOrigin, parseOrigin } from "../../../src/sysroot/origin-file.ts";

const manifestDigest = parseManifestDigest(`sha256:${"ab".repeat(32)}`);
const bootDigest = "cd".repeat(32);

describe("origin files", () => {
  test.each([
    "docker://registry.example/os:latest",
    `docker://registry.example/os@sha256:${"ef".repeat(32)}`,
    "oci:/var/images/os:v1",
    "oci:/a path/with spaces:v 1",
    "oci:/with;semicolon#hash=and[brackets]",
    "oci:/with\"quotes'and\\backslash",
  ])("formatOrigin: %s reads back as it was", (imageReference) => {
    const origin = {
      imageReference,
      manifestDigest,
      bootDigest,
      verifiedBy: [`sigstore key ${imageReference}`, "OpenPGP key F"],
      sealedBy: ["annotation composefs.merged.erofs.v1.fsverity-sha512-12 of artifact sha256:ab"],
    };
    expect(parseOrigin(formatOrigin(origin))).toEqual(origin);
  });

  test("formatOrigin: has the sections and keys that bootc reads", () => {
    const text = formatOrigin({
      imageReference: "docker://registry.example/os",
      manifestDigest,
      bootDigest,
      verifiedBy: [],
      sealedBy: [],
    });
    expect(text.split("\n").filter((line) => line !== "")).toEqual([
      "[origin]",
      "container-image-reference=ostree-unverified-image:docker://registry.example/os",
      "[boot]",
      "boot_type=bls",
      `digest=${bootDigest}`,
      "[image]",
      `manifest_digest=${manifestDigest}`,
    ]);
  });

  test("parseOrigin: reads one of bootc's, with keys that osdeploy does not know", () => {
    const text = `[origin]
container-image-reference = ostree-unverified-image:docker://quay.example/os:stream9

[boot]
boot_type = bls
digest = ${bootDigest}
bootloader = systemd

[image]
manifest_digest = ${manifestDigest}
`;
    expect(parseOrigin(text)).toEqual({
      imageReference: "docker://quay.example/os:stream9",
      manifestDigest,
      bootDigest,
      verifiedBy: [],
      sealedBy: [],
    });
  });

  test("formatOrigin: refuses a reference that would read back as another", () => {
    const format = () =>
      formatOrigin({ imageReference: "oci:/with\\;both", manifestDigest, bootDigest, verifiedBy: [], sealedBy: [] });
    expect(format).toThrow(
      expect.objectContaining({
        code: "bad-format",
        message: 'Cannot write the origin file: "oci:/with\\;both" does not survive it',
      }),
    );
  });

  const whole = formatOrigin({
    imageReference: "docker://registry.example/os",
    manifestDigest,
    bootDigest,
    verifiedBy: [],
    sealedBy: [],
  });
  test.each([
    ["an empty file", "", /\[origin\] container-image-reference is missing/],
    ["no reference", whole.replace(/container.*\n/, ""), /container-image-reference is missing/],
    ["a section in place of a key", "[origin.container-image-reference]\na=b\n", /is missing/],
    ["no boot section", whole.replace(/\[boot\][^[]*/, ""), /\[boot\] digest is missing/],
    ["a boot digest that is none", whole.replace(bootDigest, "../../etc"), /"..\/..\/etc" is no boot digest/],
    ["a manifest digest that is none", whole.replace(manifestDigest, "sha256:ab"), /sha256:ab/],
    ["inherited names", "[__proto__]\ndigest=x\n", /is missing/],
  ])("parseOrigin: refuses %s", (_, text, message) => {
    expect(() => parseOrigin(text)).toThrow(expect.objectContaining({ code: "bad-format" }));
    expect(() => parseOrigin(text)).toThrow(message);
  });
});

test.each(["{}", "[1", "7"])("parseOrigin: takes nobody's word for a signature that is written as %s", (text) => {
  const whole = formatOrigin({
    imageReference: "oci:/os:v1",
    manifestDigest,
    bootDigest,
    verifiedBy: [],
    sealedBy: [],
  });
  expect(parseOrigin(`${whole}[osdeploy]\nverified-by=${text}\n`).verifiedBy).toEqual([]);
});
