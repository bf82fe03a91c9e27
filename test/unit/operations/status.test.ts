import { beforeEach, describe, expect, test } from "vitest";
import { fromText, toBytes } from "../../../src/core/bytes/byte-string.ts";
import { status } from "../../../src/operations/status.ts";
import { describeFiles } from "../../builders/machine-text.ts";
import { layoutReference, machineWith, switchTo, sysrootPath, systemOn } from "../../builders/operation-machine.ts";
import { buildOsImage } from "../../builders/os-images.ts";
import type { FakeLinux } from "../../fakes/fake-linux.ts";

const images = { v1: await buildOsImage("v1"), v2: await buildOsImage("v2"), v3: await buildOsImage("v3") };

let linux: FakeLinux;
beforeEach(() => {
  linux = machineWith(images);
});

const read = () => status(systemOn(linux), { sysroot: sysrootPath });

function write(path: string, text: string): void {
  linux.files.writeNewFile(fromText(path), toBytes(fromText(text)), 0o644);
}

describe("status", () => {
  test("tells roles, origins and boot entries, what boots next first", async () => {
    const rootImages: string[] = [];
    for (const tag of ["v1", "v2", "v3"]) rootImages.push((await switchTo(linux, tag)).rootImage);
    const before = describeFiles(linux.files, sysrootPath);
    const { deployments, ...rest } = await read();
    expect(rest).toEqual({ sysroot: "/target", foreignBootEntries: [], problems: [] });
    expect(deployments.map(({ role, rootImage, imageReference }) => [role, rootImage, imageReference])).toEqual([
      ["default", rootImages[2], layoutReference("v3")],
      ["rollback", rootImages[1], layoutReference("v2")],
      ["other", rootImages[0], layoutReference("v1")],
    ]);
    expect(deployments[0]).toEqual({
      role: "default",
      rootImage: rootImages[2],
      title: "Test OS",
      version: "3-v3",
      imageReference: layoutReference("v3"),
      manifestDigest: images.v3.manifestDigest,
      bootDigest: expect.stringMatching(/^[0-9a-f]{64}$/),
      bootEntries: ["osdeploy-000003.conf"],
    });
    expect(describeFiles(linux.files, sysrootPath)).toEqual(before);
    expect(linux.openPaths).toEqual([]);
  });

  test("shows a deployment with a damaged origin, and names the problem", async () => {
    const { rootImage } = await switchTo(linux, "v1");
    const origin = `/target/state/deploy/${rootImage}/${rootImage}.origin`;
    linux.files.unlink(fromText(origin));
    write(origin, "garbage");
    expect(await read()).toMatchObject({
      deployments: [
        { role: "default", imageReference: null, manifestDigest: null, bootDigest: null, title: "Test OS" },
      ],
      problems: [`Deployment ${rootImage} has no origin that can be read, so it cannot be upgraded`],
    });
  });

  test("a switch to the same image makes a damaged origin whole again", async () => {
    const { rootImage } = await switchTo(linux, "v1");
    linux.files.unlink(fromText(`/target/state/deploy/${rootImage}/${rootImage}.origin`));
    expect(await switchTo(linux, "v1")).toMatchObject({ kind: "deployed", rootImage });
    expect(await read()).toMatchObject({ deployments: [{ imageReference: layoutReference("v1") }], problems: [] });
  });

  test("names boot entries whose deployment is gone, and those of others", async () => {
    await switchTo(linux, "v1");
    const gone = "cd".repeat(64);
    write("/target/boot/loader/entries/osdeploy-000009.conf", `title Gone\noptions composefs=${gone}\n`);
    write("/target/boot/loader/entries/other.conf", "title Other\n");
    const { deployments, foreignBootEntries, problems } = await read();
    expect(deployments).toHaveLength(1);
    expect(foreignBootEntries).toEqual(["other.conf"]);
    expect(problems).toEqual([`Boot entry osdeploy-000009.conf names root image ${gone}, which has no deployment`]);
  });

  test("a deployment without boot entry has no role and no title", async () => {
    await switchTo(linux, "v1");
    linux.files.unlink(fromText("/target/boot/loader/entries/osdeploy-000001.conf"));
    expect(await read()).toMatchObject({
      deployments: [
        { role: "none", title: null, version: null, bootEntries: [], imageReference: layoutReference("v1") },
      ],
    });
  });

  test("refuses what is no sysroot", async () => {
    await expect(read()).rejects.toMatchObject({ code: "not-found" });
  });
});
