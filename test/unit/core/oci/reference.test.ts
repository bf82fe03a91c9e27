import { describe, expect, test } from "vitest";
import { fromText } from "../../../../src/core/bytes/byte-string.ts";
import { parseManifestDigest } from "../../../../src/core/digest/oci-digest.ts";
import { OsdeployError } from "../../../../src/core/errors.ts";
import { formatImageReference, type ImageReference, parseImageReference } from "../../../../src/core/oci/reference.ts";

const hex = "0123456789abcdef".repeat(4);

function failure(text: string): { code: string; message: string } {
  try {
    parseImageReference(text);
  } catch (error) {
    if (error instanceof OsdeployError) return { code: error.code, message: error.message };
    throw error;
  }
  throw new Error(`${text} was accepted`);
}

describe("parseImageReference: a name in a registry", () => {
  test.each([
    ["quay.io/os:latest", "docker://quay.io/os:latest"],
    ["docker://quay.io/os", "docker://quay.io/os:latest"],
    ["quay.io/a/b/c:v1.0_x-y", "docker://quay.io/a/b/c:v1.0_x-y"],
    ["docker://debian", "docker://docker.io/library/debian:latest"],
    ["docker://user/os", "docker://docker.io/user/os:latest"],
    ["debian", "debian:latest"],
    ["debian:13", "debian:13"],
    ["user/os", "user/os:latest"],
    [`user/os:v1@sha256:${hex}`, `user/os:v1@sha256:${hex}`],
    [`os@sha256:${hex}`, `os@sha256:${hex}`],
    ["docker.io/debian", "docker://docker.io/library/debian:latest"],
    ["index.docker.io/user/os", "docker://docker.io/user/os:latest"],
    ["localhost/os", "docker://localhost/os:latest"],
    ["localhost:5000/os:x", "docker://localhost:5000/os:x"],
    ["127.0.0.1:5000/os", "docker://127.0.0.1:5000/os:latest"],
    [`quay.io/${hex}`, `docker://quay.io/${hex}:latest`],
    [`docker://library/${hex}`, `docker://docker.io/library/${hex}:latest`],
    ["[::1]:5000/os", "docker://[::1]:5000/os:latest"],
    ["Host/os", "docker://Host/os:latest"],
    [`quay.io/os@sha256:${hex}`, `docker://quay.io/os@sha256:${hex}`],
    [`quay.io/os@sha512:${hex}${hex}`, `docker://quay.io/os@sha512:${hex}${hex}`],
    [`host:5000/os:v1@sha256:${hex}`, `docker://host:5000/os:v1@sha256:${hex}`],
  ])("%s is %s", (text, canonical) => {
    expect(formatImageReference(parseImageReference(text))).toBe(canonical);
    expect(parseImageReference(canonical)).toEqual(parseImageReference(text));
  });

  test("a name without its registry is a short name: only configuration knows what it stands for", () => {
    expect(parseImageReference("user/os")).toEqual({
      ...{ kind: "short-name", repository: "user/os", tag: "latest", digest: undefined },
    });
  });

  test("takes the parts apart", () => {
    expect(parseImageReference(`host:5000/a/os:v1@sha256:${hex}`)).toEqual({
      ...{ kind: "registry", host: "host:5000", repository: "a/os", tag: "v1", digest: `sha256:${hex}` },
    });
    expect(parseImageReference(`host/os@sha256:${hex}`)).toMatchObject({ tag: undefined });
  });

  test.each([
    ["", "it is empty"],
    ["docker://", "the name is missing"],
    ["ocii:dir:v1", '"ocii" is no transport: there are docker://, oci:, oci-archive:, docker-archive: and rootfs:'],
    ["oci-achive:/srv/os.tar", '"oci-achive" is no transport'],
    ["ftp://host/os", '"ftp" is no transport'],
    ["quay.io/OS", "names in registries are lower case"],
    ["quay.io/", "is not a name"],
    ["quay.io/a//b", "is not a name"],
    ["quay.io/os:", "is not a tag"],
    ["quay.io/os:-x", "is not a tag"],
    [`quay.io/os:${"x".repeat(129)}`, "is not a tag"],
    ["quay.io/os@sha256:12", "after @ stands a digest"],
    [`quay.io/os@sha256:${hex.toUpperCase()}`, "after @ stands a digest"],
    ["quay.io/os@", "after @ stands a digest"],
    [hex, "64 hex digits are no name"],
    [`docker://${hex}`, "64 hex digits are no name"],
    [`quay.io/${"a".repeat(256)}`, "longer than 255 characters"],
    ["-x.io/os", "is not a host"],
    ["x.io:99999/os", "is not a host"],
    ["x.io:/os", "is not a host"],
    ["a b.c/os", "is not a host"],
    ["docker:quay.io/os", "write docker://quay.io/os"],
    ["/srv/os", "write oci:/srv/os"],
    ["./os", "looks like a path"],
    ["../os", "looks like a path"],
    ["~/os", "looks like a path"],
  ])("refuses %s: %s", (text, state) => {
    expect(failure(text).code).toBe("usage");
    expect(failure(text).message).toContain(state);
    expect(failure(text).message).toMatch(/^Cannot use ".*" as an image reference: /);
  });

  test("shows only the start of an endless name", () => {
    expect(failure("A".repeat(100_000)).message.length).toBeLessThan(400);
  });
});

describe("parseImageReference: a path", () => {
  const digest256 = parseManifestDigest(`sha256:${hex}`);

  test.each<[string, ImageReference]>([
    ["oci:/srv/os", { kind: "oci-layout", path: fromText("/srv/os"), choice: { kind: "only" } }],
    ["oci:/srv/os:v1", { kind: "oci-layout", path: fromText("/srv/os"), choice: { kind: "tag", tag: "v1" } }],
    ["oci:os:a/b:v1", { kind: "oci-layout", path: fromText("os"), choice: { kind: "tag", tag: "a/b:v1" } }],
    ["oci:é:@3", { kind: "oci-layout", path: fromText("é"), choice: { kind: "position", position: 3 } }],
    [
      `oci:a@b@sha256:${hex}`,
      { kind: "oci-layout", path: fromText("a@b"), choice: { kind: "digest", digest: digest256, tag: undefined } },
    ],
    [
      `oci:os:a/b:v1@sha256:${hex}`,
      { kind: "oci-layout", path: fromText("os"), choice: { kind: "digest", digest: digest256, tag: "a/b:v1" } },
    ],
    [
      `oci-archive:os.tar:v1@sha256:${hex}`,
      { kind: "oci-archive", path: fromText("os.tar"), choice: { kind: "digest", digest: digest256, tag: "v1" } },
    ],
    ["oci-archive:os.tar:v1", { kind: "oci-archive", path: fromText("os.tar"), choice: { kind: "tag", tag: "v1" } }],
    ["docker-archive:os.tar", { kind: "docker-archive", path: fromText("os.tar"), choice: { kind: "only" } }],
    [
      "docker-archive:os.tar:os:v1",
      { kind: "docker-archive", path: fromText("os.tar"), choice: { kind: "tag", tag: "docker.io/library/os:v1" } },
    ],
    ["rootfs:/srv/a:b", { kind: "root-directory", path: fromText("/srv/a:b") }],
  ])("%s", (text, reference) => {
    expect(parseImageReference(text)).toEqual(reference);
    expect(parseImageReference(formatImageReference(reference))).toEqual(reference);
  });

  test("an empty tag is none, as in skopeo", () => {
    expect(parseImageReference("oci:os:")).toEqual(parseImageReference("oci:os"));
  });

  test.each([
    ["oci:", "the path is missing"],
    ["oci::v1", "the path is missing"],
    ["rootfs:", "the path is missing"],
    ["oci:a\0b", "NUL"],
    ["rootfs:/a\udcff", "no UTF-8"],
    ["oci:os:-", "a tag is letters and digits"],
    [`oci:os:${"a".repeat(256)}`, "a tag is letters and digits"],
    ["oci:os:@x", "the position of an image"],
    [`oci:os:@1@sha256:${hex}`, "a position or a digest, not both"],
    [`oci:os:-@sha256:${hex}`, "a tag is letters and digits"],
    [`oci:@sha256:${hex}`, "the path is missing"],
    ["oci:os:@01", "the position of an image"],
    [`docker-archive:os.tar:os@sha256:${hex}`, "names, not digests"],
    ["docker-archive:os.tar:OS", "names in registries are lower case"],
  ])("refuses %j: %s", (text, state) => {
    expect(failure(text).code).toBe("usage");
    expect(failure(text).message).toContain(state);
  });

  test.each([
    ["containers-storage:os", "skopeo copy"],
    ["docker-daemon:os:v1", "docker save"],
    ["dir:/srv/os", "skopeo copy"],
    ["ostree-unverified-registry:quay.io/os", "docker://"],
    ["https://quay.io/os", "leave out https://"],
  ])("refuses the transport of %s and says what to do: %s", (text, advice) => {
    expect(failure(text).code).toBe("unsupported");
    expect(failure(text).message).toContain(advice);
  });
});
