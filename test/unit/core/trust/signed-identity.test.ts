import { describe, expect, test } from "vitest";
import { parseRegistryName } from "../../../../src/core/oci/registry-name.ts";
import { matchesIdentity, parseSignedIdentity } from "../../../../src/core/trust/signed-identity.ts";

const identity = (value: unknown) => parseSignedIdentity({ document: "policy", path: "", value });
const digest = `sha256:${"a".repeat(64)}`;
const remap = { type: "remapIdentity", prefix: "mirror.example/os", signedPrefix: "quay.io/team" };

const ofHost = { type: "remapIdentity", prefix: "example.com", signedPrefix: "signed.io" };
const ofPort = { ...ofHost, prefix: "example.com:5000" };

describe("matchesIdentity", () => {
  test.each<readonly [string, object | undefined, string | undefined, string, boolean]>([
    ["default: the same tag", undefined, "quay.io/os:v1", "quay.io/os:v1", true],
    ["default: Docker's short form", undefined, "docker.io/library/busybox:latest", "busybox:latest", true],
    ["default: another tag", undefined, "quay.io/os:v1", "quay.io/os:v2", false],
    ["default: by digest, any tag", undefined, `quay.io/os@${digest}`, "quay.io/os:v2", true],
    ["default: tag and digest, any tag", undefined, `quay.io/os:v1@${digest}`, "quay.io/os:v2", true],
    ["default: by digest, another repository", undefined, `quay.io/os@${digest}`, "quay.io/so:v2", false],
    ["default: a claim without tag", undefined, "quay.io/os:v1", "quay.io/os", false],
    ["default: an image without name", undefined, undefined, "quay.io/os:v1", false],
    ["default: a claim that is no name", undefined, "quay.io/os:v1", "Not A Name", false],
    ["matchExact: equal", { type: "matchExact" }, "quay.io/os:v1", "quay.io/os:v1", true],
    ["matchExact: by digest", { type: "matchExact" }, `quay.io/os@${digest}`, "quay.io/os:v1", false],
    ["matchRepository: without tag", { type: "matchRepository" }, "quay.io/os:v1", "quay.io/os", true],
    ["matchRepository: another", { type: "matchRepository" }, "quay.io/os:v1", "quay.io/os/more:v1", false],
    ["exactReference", { type: "exactReference", dockerReference: "quay.io/x:v1" }, undefined, "quay.io/x:v1", true],
    [
      "exactReference: other tag",
      { type: "exactReference", dockerReference: "quay.io/x:v1" },
      undefined,
      "quay.io/x:v2",
      false,
    ],
    [
      "exactReference: no tag",
      { type: "exactReference", dockerReference: "quay.io/x:v1" },
      undefined,
      "quay.io/x",
      false,
    ],
    ["exactRepository", { type: "exactRepository", dockerRepository: "quay.io/x" }, undefined, "quay.io/x:v2", true],
    [
      "exactRepository: other",
      { type: "exactRepository", dockerRepository: "quay.io/x" },
      undefined,
      "quay.io/y:v2",
      false,
    ],
    ["remapIdentity: renamed", remap, "mirror.example/os/a:v1", "quay.io/team/a:v1", true],
    ["remapIdentity: the prefix itself", remap, "mirror.example/os:v1", "quay.io/team:v1", true],
    ["remapIdentity: only whole components", remap, "mirror.example/osx:v1", "quay.io/teamx:v1", false],
    ["remapIdentity: others stay", remap, "quay.io/os:v1", "quay.io/os:v1", true],
    ["remapIdentity: an image without name", remap, undefined, "quay.io/team:v1", false],
    ["remapIdentity: to no name", { ...remap, signedPrefix: "quay.io" }, "mirror.example/os:v1", "quay.io:v1", false],
    [
      "remapIdentity: to a name without a host, which Docker would complete",
      { ...remap, signedPrefix: "team" },
      "mirror.example/os/a:v1",
      "docker.io/team/a:v1",
      false,
    ],
    [
      "remapIdentity: another port is another registry",
      ofHost,
      "example.com:5000/os:v1",
      "signed.io:5000/os:v1",
      false,
    ],
    [
      "remapIdentity: the name with another port stays",
      ofHost,
      "example.com:5000/os:v1",
      "example.com:5000/os:v1",
      true,
    ],
    ["remapIdentity: a whole host", ofHost, "example.com/os:v1", "signed.io/os:v1", true],
    ["remapIdentity: a host with its port", ofPort, "example.com:5000/os:v1", "signed.io/os:v1", true],
    ["remapIdentity: by digest", ofHost, `example.com/os@${digest}`, "signed.io/os:v7", true],
  ])("%s", (_name, value, image, signed, matches) => {
    const asked = image === undefined ? undefined : parseRegistryName(image);
    expect(matchesIdentity(identity(value ?? { type: "matchRepoDigestOrExact" }), asked, signed)).toBe(matches);
  });
});

describe("parseSignedIdentity", () => {
  test("is the usual rule where nothing is said", () => {
    expect(parseSignedIdentity(undefined)).toEqual({ kind: "repository-digest-or-exact" });
  });

  test.each(["localhost", "[::1]:5000", "QUAY.io/a", "os", "a/b--c/d__e", "quay.io:443/a_b"])(
    "takes the prefix %s",
    (prefix) => {
      expect(identity({ ...remap, prefix })).toMatchObject({ prefix });
    },
  );

  test.each<readonly [string, unknown, RegExp]>([
    ["an unknown type", { type: "matchAll" }, /"matchAll" is not known/],
    ["a key of another type", { type: "matchExact", dockerReference: "quay.io/x:v1" }, /unknown key/],
    ["a reference without tag", { type: "exactReference", dockerReference: "quay.io/x" }, /without tag or digest/],
    ["a repository that is none", { type: "exactRepository", dockerRepository: "X X" }, /no name/],
    ["a prefix with a tag", { ...remap, prefix: "quay.io/x:v1/" }, /wrong prefix/],
    ...["", "quay.io/", "quay..io", "-quay.io", "quay.io/a..b", "quay.io/_a", "quay.io/A", "quay.io/a:v1", "*.io"].map(
      (prefix) => [`the prefix ${prefix}`, { ...remap, prefix }, /wrong prefix/] as const,
    ),
    ["a signedPrefix that is none", { ...remap, signedPrefix: "quay.io:x" }, /wrong prefix/],
    ["a missing prefix", { type: "remapIdentity", prefix: "a" }, /has no "signedPrefix"/],
  ])("refuses %s", (_name, value, message) => {
    expect(() => identity(value)).toThrow(message);
  });
});
