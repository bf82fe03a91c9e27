import { expect, test } from "vitest";
import { fromText } from "../../../src/core/bytes/byte-string.ts";
import { unmountImage } from "../../../src/operations/unmount-image.ts";
import { systemOn } from "../../builders/operation-machine.ts";
import { FakeLinux } from "../../fakes/fake-linux.ts";

test("unmountImage: takes away what is mounted on the directory", async () => {
  const machine = new FakeLinux();
  const asked: string[] = [];
  const linux = { ...machine, mounts: { ...machine.mounts, unmount: (path: string) => void asked.push(path) } };
  expect(await unmountImage(systemOn(linux), { target: fromText("/mnt") })).toEqual({ target: "/mnt" });
  expect(asked).toEqual(["/mnt"]);
});

test("unmountImage: hands on what the machine says", async () => {
  const promise = unmountImage(systemOn(new FakeLinux()), { target: fromText("/mnt") });
  await expect(promise).rejects.toMatchObject({ code: "unsupported" });
});
