import { describe, expect, test } from "vitest";
import { statusText } from "../../../../src/cli/output/status-text.ts";
import type { DeploymentStatus, StatusResult } from "../../../../src/operations/status.ts";
import { manifestOf, recordOf, rootImageOf } from "../../../builders/sysroot-states.ts";

const atRest: StatusResult = {
  schemaVersion: 1,
  sysroot: "/s",
  bootloader: "systemd-boot",
  countsTries: true,
  booted: null,
  rollbackQueued: false,
  staged: null,
  lostStaged: null,
  deployments: [],
  quarantine: [],
  foreignBootEntries: [],
  problems: [],
};

const deployment: DeploymentStatus = {
  roles: [],
  rootImage: rootImageOf("a"),
  title: "Test OS",
  version: "v1",
  imageReference: "docker://quay.io/os:1",
  manifestDigest: manifestOf("a"),
  layers: null,
  bootDigest: "b".repeat(64),
  verifiedBy: [],
  sealedBy: [],
  verity: "required",
  kernelArguments: "rw root=UUID=1",
  bootEntries: [{ name: "osdeploy-000001.conf", triesLeft: null, triesDone: null, booted: true }],
  quarantineReason: null,
};

const text = (changes: Partial<StatusResult>, detail: { readonly verbose?: true } = {}) =>
  statusText({ ...atRest, ...changes }, detail);

describe("statusText", () => {
  test("without deployments it says so", () => {
    expect(text({ sysroot: "/s\x1b" })).toBe("There is no deployment in /s\\x1b\n");
  });

  test("a deployment of which nothing is known, foreign entries and problems are shown", () => {
    const lost = {
      title: null,
      version: null,
      imageReference: null,
      manifestDigest: null,
      bootDigest: null,
      verifiedBy: [],
      sealedBy: [],
      verity: null,
      kernelArguments: null,
    };
    const deployments = [{ ...deployment, ...lost, bootEntries: [] }];
    expect(text({ deployments, foreignBootEntries: ["grub.conf"], problems: ["It is odd"] })).toBe(
      "Deployment without a boot entry\n  Root image: aaaaaaaaaaaa\n  Boot entry: none\n\n" +
        "Boot entry of another program: grub.conf\nProblem: It is odd\n",
    );
  });

  test.each([
    [false, "was staged, and the machine stopped before it was committed; to stage it again"],
    [true, "was downloaded only, and is no longer ready since the reboot; to download it again"],
  ])(
    "what a reboot took away is one line, with what gets it again (only downloaded: %s)",
    (finalizationLocked, words) => {
      const lostStaged = {
        imageReference: "docker://quay.io/os:1",
        manifestDigest: manifestOf("a"),
        finalizationLocked,
        command: "osdeploy upgrade",
      };
      expect(text({ lostStaged })).toContain(
        `\nLost: docker://quay.io/os:1 (aaaaaaaaaaaa) ${words}: osdeploy upgrade\n`,
      );
    },
  );

  test("kernel arguments are shown where no entry has them, and where all is asked for", () => {
    const argumentsIn = (changes: Partial<DeploymentStatus>, detail?: { readonly verbose: true }) =>
      /Arguments: +(.*)/.exec(text({ deployments: [{ ...deployment, ...changes }] }, detail))?.[1];
    expect(argumentsIn({})).toBeUndefined();
    expect(argumentsIn({}, { verbose: true })).toBe("rw root=UUID=1");
    expect(argumentsIn({ bootEntries: [] })).toBe("rw root=UUID=1");
  });

  test("one that runs and boots next", () => {
    expect(text({ deployments: [{ ...deployment, roles: ["booted", "default"] }] })).toBe(
      "Test OS (running, boots next)\n  Version:    v1\n  Image:      docker://quay.io/os:1\n" +
        `  Digest:     ${manifestOf("a")}\n  Root image: aaaaaaaaaaaa, checked by fs-verity\n  Boot entry: osdeploy-000001.conf\n`,
    );
  });

  test("verbose, with all digests in full", () => {
    const shown = text({ deployments: [{ ...deployment, verity: "optional" }] }, { verbose: true });
    expect(shown).toContain(
      `  Root image:  ${rootImageOf("a")}, not checked: fs-verity is optional\n  Boot digest: ${"b".repeat(64)}\n`,
    );
  });

  test("what is staged, or only downloaded", () => {
    const deployments: readonly DeploymentStatus[] = [
      { ...deployment, roles: ["staged"], bootEntries: [] },
      { ...deployment, roles: ["booted", "default"] },
    ];
    const staged = { rootImage: rootImageOf("a"), finalizationLocked: false };
    expect(text({ deployments, staged })).toMatch(
      /^Test OS \(staged, boots next\)\n(?:.*\n)*? {2}Boot entry: at shutdown\n\nTest OS \(running, default until then\)\n/,
    );
    expect(text({ deployments, staged: { ...staged, finalizationLocked: true } })).toMatch(
      /^Test OS \(downloaded\)\n(?:.+\n)*? {2}Boot entry: none before osdeploy upgrade\n\nTest OS \(running, boots next\)\n/,
    );
  });

  test("tries, and why an image is in quarantine", () => {
    const entries = [
      { name: "a", triesLeft: 1, triesDone: 2, booted: false },
      { name: "b", triesLeft: 2, triesDone: 1, booted: false },
      { name: "c", triesLeft: 0, triesDone: 1, booted: false },
      { name: "d", triesLeft: 0, triesDone: null, booted: false },
    ];
    const failed = {
      ...deployment,
      roles: ["quarantined" as const],
      bootEntries: entries,
      quarantineReason: "a panic\x07",
    };
    const shown = text({
      deployments: [failed],
      quarantine: [recordOf("a"), recordOf("c")],
      rollbackQueued: true,
      countsTries: false,
    });
    expect(shown).toContain(
      "  Boot entries: a (1 try left), b (2 tries left), c (given up after 1 try), d (given up after 0 tries)\n",
    );
    expect(shown).toContain("  Quarantine:   a panic\\x07\n");
    expect(shown).toContain(
      "\n\nA rollback waits for the next boot; to take it back: osdeploy rollback\n" +
        `In quarantine: ${manifestOf("c")} (it did not boot)\n` +
        "Boot loader: systemd-boot; it does not give up a deployment that fails to boot\n",
    );
  });
});
