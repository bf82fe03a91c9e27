import { describe, expect, test } from "vitest";
import { type ByteString, fromBytes, fromText } from "../../../../src/core/bytes/byte-string.ts";
import { OsdeployError } from "../../../../src/core/errors.ts";
import {
  checkInstalledReference,
  formatFollowedReference,
  parseFollowedReference,
} from "../../../../src/core/oci/followed-reference.ts";
import { parseImageReference } from "../../../../src/core/oci/reference.ts";

const format = (text: string, directory: ByteString = fromText("/media/usb")) =>
  formatFollowedReference(parseImageReference(text), () => directory);

function failure(act: () => unknown): OsdeployError {
  try {
    act();
  } catch (error) {
    if (error instanceof OsdeployError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("formatFollowedReference", () => {
  test.each([
    ["oci:os:v2", "oci:/media/usb/os:v2"],
    ["oci:./os//deep/", "oci:/media/usb/os/deep"],
    ["oci-archive:v2.tar", "oci-archive:/media/usb/v2.tar"],
    ["docker-archive:../v2.tar", "docker-archive:/media/usb/../v2.tar"],
    ["rootfs:.", "rootfs:/media/usb"],
    ["oci:/srv/./os:v2", "oci:/srv/./os:v2"],
    ["quay.io/os:v2", "docker://quay.io/os:v2"],
    ["os", "os:latest"],
  ])("%s in a directory is %s", (text, whole) => {
    expect(format(text)).toBe(whole);
  });

  test("in the root directory, and in one whose name is no ASCII", () => {
    expect(format("oci:os:v2", fromText("/"))).toBe("oci:/os:v2");
    expect(format("oci:os", fromText("/méd/a b"))).toBe("oci:/méd/a b/os");
  });

  test("does not ask for the directory where the reference has no relative path", () => {
    const ask = () => {
      throw new Error("asked");
    };
    expect(formatFollowedReference(parseImageReference("oci:/srv/os"), ask)).toBe("oci:/srv/os");
  });

  test("refuses a directory with which the reference would lead elsewhere", () => {
    for (const directory of [fromText("/media/a:b"), fromBytes(new Uint8Array([0x2f, 0xff]))]) {
      const { code, message } = failure(() => format("oci:os", directory));
      expect(code).toBe("usage");
      expect(message).toMatch(/^Cannot follow oci:os: in ".*\/os" there is a colon, or something that is no text$/);
    }
  });
});

describe("parseFollowedReference", () => {
  test.each(["docker://quay.io/os:v2", "os:v2", "oci:/srv/os:v2", "rootfs:/srv/os"])("reads %s", (text) => {
    expect(parseFollowedReference(text)).toEqual(parseImageReference(text));
  });

  test.each(["oci:os:v2", "oci-archive:./v2.tar", "docker-archive:v2.tar", "rootfs:os"])("refuses %s", (text) => {
    const { code, message, facts } = failure(() => parseFollowedReference(text));
    expect([code, message]).toEqual(["usage", `Cannot follow ${text}: its path does not begin with a slash`]);
    expect(facts["hint"]).toContain("osdeploy switch");
  });
});

describe("checkInstalledReference", () => {
  const check = (text: string) => () => checkInstalledReference(parseImageReference(text));

  test.each(["oci:/srv/images:v1", "quay.io/os:v1"])("%s can be followed by another machine", (text) => {
    expect(check(text)).not.toThrow();
  });

  test("a relative path cannot: it would begin in a directory of this one", () => {
    expect(failure(check("oci:images:v1"))).toMatchObject({
      code: "usage",
      message: "Cannot let a machine follow oci:images:v1: its path does not begin with a slash",
    });
  });
});
