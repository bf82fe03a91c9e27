import { describe, expect, test } from "vitest";
import { parseHostStatus } from "../../../../src/core/deployment/host-status.ts";

const sha = (digit: string) => `sha256:${digit.repeat(64)}`;
const deployment = {
  ...{ imageReference: "docker://quay.io/os:v1", manifestDigest: sha("1"), roles: ["booted"] },
  layers: [
    { digest: sha("2"), diffId: sha("3") },
    { digest: sha("4"), diffId: sha("5") },
  ],
};

const parse = (value: unknown) => parseHostStatus(new TextEncoder().encode(JSON.stringify(value)), "h.json");

describe("parseHostStatus", () => {
  test("reads deployments and their layers; those that cannot tell count as nothing", () => {
    const untold = [
      { ...deployment, layers: null },
      { ...deployment, manifestDigest: null, imageReference: null },
    ];
    const deployments = [deployment, { ...deployment, layers: [] }, ...untold];
    expect(parse({ schemaVersion: 1, deployments, more: "later" })).toEqual([
      { manifestDigest: sha("1"), layers: [sha("3"), sha("5")] },
      { manifestDigest: sha("1"), layers: [] },
    ]);
  });

  test.each([[{}], [{ deployments: [] }], [{ schemaVersion: 2, deployments: [] }]])("refuses %j", (value) => {
    expect(() => parse(value)).toThrow(
      'Cannot use h.json: it is not what "osdeploy status --json" with schemaVersion 1 prints',
    );
  });

  test("refuses more deployments than a host has", () => {
    const deployments = (count: number) => Array.from({ length: count }, () => deployment);
    expect(parse({ schemaVersion: 1, deployments: deployments(64) })).toHaveLength(64);
    expect(() => parse({ schemaVersion: 1, deployments: deployments(65) })).toThrow(
      expect.objectContaining({ code: "limit-exceeded" }),
    );
  });

  test("refuses what is no digest", () => {
    const layers = [{ digest: sha("2"), diffId: "sha256:../../etc" }];
    expect(() => parse({ schemaVersion: 1, deployments: [{ ...deployment, layers }] })).toThrow("is not a digest");
  });
});
