import { expect, test } from "vitest";
import { imageDigest } from "../../../src/operations/image-digest.ts";
import {
  layoutReference,
  machineWithRepo,
  namesInRepo,
  pullTag,
  repoOfSysroot,
  systemOn,
} from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const v1 = await buildOsImage("v1");
const digestOf = async (linux: FakeLinux, bootable: boolean) =>
  (await imageDigest(systemOn(linux), { repo: repoOfSysroot, image: layoutReference("v1"), bootable })).rootImage;

test.each(["sha256", "sha512"] as const)(
  "imageDigest: computes the same as a bootable pull makes, with %s, and writes nothing",
  async (algorithm) => {
    const looked = await machineWithRepo({ v1 }, { algorithm });
    const { rawImage } = await pullTag(looked, "v1", { bootable: false });
    const before = namesInRepo(looked);
    const computed = [await digestOf(looked, false), await digestOf(looked, true)];
    expect(namesInRepo(looked)).toEqual(before);
    const booted = await machineWithRepo({ v1 }, { algorithm });
    const { bootImage } = await pullTag(booted, "v1");
    expect(computed).toEqual([rawImage, bootImage]);
    expect(await digestOf(booted, true)).toBe(bootImage);
  },
);
