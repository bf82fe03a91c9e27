import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildImage } from "../builders/oci-image.ts";
import { writeDockerArchive, writeLayout, writeOciArchive } from "../builders/oci-layout.ts";
import { layerDigests } from "../tools/extract-image.ts";
import { findOsImage, findTool } from "../tools/find-tool.ts";
import { run } from "../tools/run-cli.ts";

const skopeo = findTool("skopeo");
const osImage = findOsImage();

describe.skipIf(skopeo === undefined)("skopeo", () => {
  let scratch: string;
  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), "osdeploy-skopeo-"));
  });
  afterAll(() => rmSync(scratch, { recursive: true }));

  /** Copies with all digests checked and kept, and gives the file names of what arrived. */
  function copy(source: string): readonly string[] {
    const target = mkdtempSync(join(scratch, "copy-"));
    const ended = run(String(skopeo), ["--insecure-policy", "copy", "--quiet", source, `dir:${target}`]);
    expect(ended).toMatchObject({ status: 0 });
    return readdirSync(target);
  }

  for (const tag of ["v1", "v2"]) {
    const name = `the real OS image${osImage === undefined ? " (it was not built: sh images/build.sh)" : ""}`;
    test.skipIf(osImage === undefined)(`skopeo: inspects and copies ${tag} of ${name}`, () => {
      const source = `oci:${osImage}:${tag}`;
      const ended = run(String(skopeo), ["--insecure-policy", "inspect", source]);
      expect(ended).toMatchObject({ status: 0 });
      const digests = layerDigests(String(osImage), tag);
      expect(JSON.parse(ended.stdout)).toMatchObject({
        Os: "linux",
        Labels: { "org.opencontainers.image.title": "debian", "org.opencontainers.image.version": tag },
        Layers: digests,
      });
      expect(copy(source)).toEqual(expect.arrayContaining(digests.map((digest) => digest.slice("sha256:".length))));
    });
  }

  for (const compression of ["gzip", "zstd", "none"] as const) {
    test(`skopeo: copies the layouts that the tests build, with ${compression} layers`, async () => {
      const image = await build(compression);
      const layout = join(scratch, `layout-${compression}`);
      writeLayout(layout, [{ image, tag: "one" }]);
      expect(copy(`oci:${layout}:one`)).toContain(image.configDigest.slice("sha256:".length));
    });
  }

  test("skopeo: copies the archives that the tests build", async () => {
    const image = await build("gzip");
    const [oci, docker] = [join(scratch, "oci.tar"), join(scratch, "docker.tar")];
    await writeOciArchive(oci, [{ image, tag: "one" }]);
    await writeDockerArchive(docker, [{ image, names: ["example.test/one:tag"] }]);
    expect(copy(`oci-archive:${oci}:one`)).toContain(image.configDigest.slice("sha256:".length));
    expect(copy(`docker-archive:${docker}`)).toContain(image.configDigest.slice("sha256:".length));
  });
});

async function build(compression: "gzip" | "zstd" | "none") {
  const layers = [[{ path: "usr" }, { path: "usr/file", content: "lower" }], [{ path: "usr/file", content: "upper" }]];
  return buildImage({ layers, compression });
}
