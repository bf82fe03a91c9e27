import { describe, expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import type { Linux } from "../../../src/linux/linux.ts";
import { unmountImage } from "../../../src/operations/unmount-image.ts";
import { failureOf, systemOn } from "../../builders/operation-machine.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

const hex = "ab".repeat(64);
const image = `overlay composefs:${hex} ro,lowerdir+=/,datadir+=/repo/objects`;

/** A machine with these mounts on /mnt, one on the other, and a path by which somebody names that directory. */
function machine(...mounts: readonly string[]): { linux: Linux; unmounted: string[] } {
  const fake = new FakeLinux();
  for (const path of ["/mnt", "/proc", "/proc/self"]) fake.files.makeDirectory(fromText(path), 0o755);
  fake.files.symlink(fromText("mnt"), fromText("/link"));
  const lines = mounts.map((each, index) => `${30 + index} 22 0:4${index} / /mnt ro,relatime - ${each}\n`);
  const mountinfo = `22 1 254:2 / / rw shared:1 - ${image}\n${lines.join("")}`;
  fake.files.writeNewFile(fromText("/proc/self/mountinfo"), new TextEncoder().encode(mountinfo), 0o444);
  const unmounted: string[] = [];
  return {
    linux: { ...fake, mounts: { ...fake.mounts, unmount: (path: string) => void unmounted.push(path) } },
    unmounted,
  };
}

describe("unmountImage", () => {
  test.each(["/mnt", "/link"])("takes away the image that is mounted on %s", async (target) => {
    const { linux, unmounted } = machine("tmpfs none rw", image);
    expect(await unmountImage(systemOn(linux), { target: fromText(target) })).toEqual({ target });
    expect(unmounted).toEqual(["/mnt"]);
  });

  test.each([
    ["nothing", [], "nothing is mounted there"],
    ["another file system", ["tmpfs none rw"], "what is mounted there is no image (tmpfs)"],
    ["one of an image's name", [`tmpfs composefs:${hex} rw`], "what is mounted there is no image (tmpfs)"],
    ["another overlay", ["overlay overlay rw,lowerdir=/a:/b"], "what is mounted there is no image (overlay)"],
    ["another one on an image", [image, "tmpfs none rw"], "what is mounted there is no image (tmpfs)"],
  ])("refuses a directory where what is mounted is %s", async (_, mounts, state) => {
    const { linux, unmounted } = machine(...mounts);
    expect(await failureOf(unmountImage(systemOn(linux), { target: fromText("/mnt") }))).toMatchObject({
      code: "not-found",
      message: `Cannot unmount an image from "/mnt": ${state}`,
    });
    expect(unmounted).toEqual([]);
  });

  test("refuses the root of the running system, which is an image, too", async () => {
    const { linux, unmounted } = machine();
    expect(await failureOf(unmountImage(systemOn(linux), { target: fromText("/") }))).toMatchObject({
      code: "not-found",
      message: 'Cannot unmount an image from "/": it is the root of the running system',
    });
    expect(unmounted).toEqual([]);
  });

  test("hands on what the machine says", async () => {
    const { linux } = machine(image);
    const { mounts } = new FakeLinux();
    const promise = unmountImage(systemOn({ ...linux, mounts }), { target: fromText("/mnt") });
    expect(await failureOf(promise)).toMatchObject({ code: "unsupported" });
    const missing = unmountImage(systemOn(linux), { target: fromText("/nowhere") });
    expect(await failureOf(missing)).toMatchObject({ code: "not-found" });
  });
});
