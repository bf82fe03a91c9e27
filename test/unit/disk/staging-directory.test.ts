import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { openStagingDirectory } from "../../../src/disk/staging-directory.ts";
import { putFile } from "../../builders/tool-runs.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const names = (linux: FakeLinux) => linux.files.readDirectory(fromText("/"));

test("openStagingDirectory: is there until it is closed", () => {
  const linux = new FakeLinux();
  const staging = openStagingDirectory(linux, fromText("/"));
  expect(linux.files.lstat(staging.path)).toMatchObject({ kind: "directory", permissions: 0o700 });
  putFile(linux.files, `${staging.path.slice(1)}/below/file`, "x");
  staging.close();
  expect(names(linux)).toEqual([]);
  expect(linux.openPaths).toEqual([]);
});

test("openStagingDirectory: removes those of dead runs, and nothing else", () => {
  const linux = new FakeLinux();
  const living = openStagingDirectory(linux, fromText("/"));
  putFile(linux.files, "/.osdeploy-install-dead/disk.img", "x");
  putFile(linux.files, "/.osdeploy-install-file", "somebody's");
  putFile(linux.files, "/other/file", "x");
  const second = openStagingDirectory(linux, fromText("/"));
  const name = (path: string) => path.slice(path.lastIndexOf("/") + 1);
  expect(names(linux)).toEqual([name(living.path), name(second.path), ".osdeploy-install-file", "other"].sort());
});
