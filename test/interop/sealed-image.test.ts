import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fromText } from "../../src/core/bytes/byte-string.ts";
import { parsePlatform } from "../../src/core/oci/platform.ts";
import { parseImageReference } from "../../src/core/oci/reference.ts";
import { sealingArtifactType } from "../../src/core/trust/promised-digests.ts";
import { openLinux } from "../../src/linux/live-linux.ts";
import { explainImage } from "../../src/operations/explain-image.ts";
import { initRepo } from "../../src/operations/init-repo.ts";
import { listImages } from "../../src/operations/list-images.ts";
import { pull } from "../../src/operations/pull.ts";
import { buildImage } from "../builders/oci-image.ts";
import { writeLayout } from "../builders/oci-layout.ts";
import { failureOf, systemOn } from "../builders/operation-machine.ts";
import { putReferrer } from "../builders/registry-referrer.ts";
import { type DockerRegistry, hasDockerRegistry, pushLayout, startDockerRegistry } from "../tools/docker-registry.ts";

const rawKey = "composefs.merged.erofs.v1.fsverity-sha512-12";

describe.skipIf(!hasDockerRegistry)(
  "artifacts that promise root images, in a registry (docker-registry, skopeo)",
  () => {
    const directory = mkdtempSync(join(tmpdir(), "interop-sealed-"));
    const system = systemOn(openLinux());
    const repo = fromText(join(directory, "repo"));
    const environment = { variables: { HOME: directory }, userId: 0 };
    let registry: DockerRegistry;

    beforeAll(async () => {
      registry = await startDockerRegistry(join(directory, "registry"));
      await initRepo(system, { repo, algorithm: "sha512", insecure: true });
    });

    afterAll(async () => {
      await registry?.stop();
      rmSync(directory, { recursive: true, force: true });
    });

    test("one that is true is told, one that is not refuses the image and names the difference", async () => {
      const image = await buildImage({ layers: [[{ path: "usr/" }, { path: "usr/a", content: "a".repeat(5000) }]] });
      writeLayout(join(directory, "layout"), [{ image, tag: "v1" }]);
      const name = `${registry.host}/os:v1`;
      await pushLayout(`${join(directory, "layout")}:v1`, name);
      const wanted = {
        image: parseImageReference(name),
        platform: parsePlatform("linux/amd64"),
        source: { environment },
      };
      const pullIt = () => pull(system, { ...wanted, repo, bootable: false });
      const { rawImage, sealedBy } = await pullIt();
      expect(sealedBy).toEqual([]);

      const put = (annotations: object) =>
        putReferrer(name, image.manifestDigest, {
          artifactType: sealingArtifactType,
          mediaType: "application/vnd.composefs.signature.v1+pkcs7",
          content: Buffer.from("DER"),
          annotations,
        });
      const good = await put({ [rawKey]: rawImage });
      expect((await pullIt()).sealedBy).toEqual([`annotation ${rawKey} of artifact ${good}`]);

      const bad = await put({ [rawKey]: "0".repeat(128) });
      const before = await listImages(system, { repo });
      expect(await failureOf(pullIt())).toMatchObject({
        code: "digest-mismatch",
        message: expect.stringContaining(`of artifact ${bad} promises`),
      });
      expect(await listImages(system, { repo })).toEqual(before);
      const request = { repo, image: name, offered: wanted, anew: true, expected: undefined };
      const { promises } = await explainImage(system, request);
      expect(promises.map(({ verdict }) => verdict)).toEqual(["holds", "broken"]);
    });
  },
);
