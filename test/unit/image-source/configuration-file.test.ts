import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { homeOf, readConfiguration } from "../../../src/image-source/configuration-file.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

test("readConfiguration: reads 4 MiB, and not one byte more", () => {
  const { files } = new FakeLinux();
  const write = (name: string, bytes: number) => files.writeNewFile(fromText(name), new Uint8Array(bytes), 0o644);
  write("/whole", 4 * 1024 * 1024);
  write("/longer", 4 * 1024 * 1024 + 1);
  expect(readConfiguration(files, fromText("/whole"))).toHaveLength(4 * 1024 * 1024);
  expect(() => readConfiguration(files, fromText("/longer"))).toThrow(
    expect.objectContaining({ code: "limit-exceeded" }),
  );
});

test("readConfiguration: what is not there, and a link that leads nowhere, are nothing", () => {
  const { files } = new FakeLinux();
  files.symlink(fromText("/gone"), fromText("/link"));
  for (const path of ["/none", "/link"]) expect(readConfiguration(files, fromText(path))).toBeUndefined();
});

test("homeOf: an empty HOME is none", () => {
  for (const HOME of ["", undefined]) expect(homeOf({ variables: { HOME }, userId: 0 })).toBe("/root");
});
