import { beforeEach, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { makeDirectories } from "../../../src/linux/make-directories.ts";
import { readDeploymentDirectories, writeKernelArguments } from "../../../src/sysroot/state-directory.ts";
import { sysrootPaths } from "../../../src/sysroot/sysroot-paths.ts";
import { writeText } from "../../builders/running-machine.ts";
import { rootImageOf } from "../../builders/sysroot-states.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const paths = sysrootPaths(fromText("/s"));
const rootImage = rootImageOf("a");
const kept = (options: string) => ({ rootImage, options });

let linux: FakeLinux;
beforeEach(() => {
  linux = new FakeLinux({ mountPoints: [{ path: "/s" }] });
  makeDirectories(linux.files, paths.root, `state/deploy/${rootImage}`);
});

const read = (machine = linux) => readDeploymentDirectories(machine.files, paths)[0]?.kernelArguments;

test("kernel arguments beside the origin: are durable, replaced, and not written again as they are", () => {
  expect(read()).toBeUndefined();
  writeKernelArguments(linux.files, paths, kept("rw root=UUID=1"), fromText("1"));
  writeKernelArguments(linux.files, paths, kept("rw root=ü"), fromText("2"));
  expect(read(linux.crash({ keepUnsynced: false, names: "lost" }))).toBe("rw root=ü");
  const calls = linux.trace.length;
  writeKernelArguments(linux.files, paths, kept("rw root=ü"), fromText("3"));
  expect(linux.trace).toHaveLength(calls);
  expect(linux.files.readDirectory(paths.deployments)).toEqual([rootImage]);
});

test.each([
  ["empty", ""],
  ["of more than one line", "rw\nquiet\n"],
  ["far too long", "x".repeat(70_000)],
])("kernel arguments beside the origin: are none when they are %s", (_, text) => {
  writeText(linux, `/s/state/deploy/${rootImage}/${rootImage}.kargs`, text);
  expect(read()).toBeUndefined();
});
