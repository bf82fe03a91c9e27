import { describe, expect, test } from "vitest";
import {
  labListText,
  labRemoveText,
  labRunText,
  labStopText,
  labUpgradeText,
} from "../../../../src/cli/output/lab-text.ts";

const digest = `sha256:${"ab".repeat(32)}`;

describe("the lab's machines for people", () => {
  test("labRunText: how to get into the machine", () => {
    const result = {
      ...{ name: "os", image: "oci:images:v1", acceleration: "tcg" as const, sshPort: 2022 },
      ...{ consoleLog: "/lab/machines/os/console.log", diskReused: false },
    };
    expect(labRunText(result)).toBe(
      "Machine os is starting (without KVM: it takes a minute or so to boot)\n" +
        "  Image:   oci:images:v1\n" +
        "  Disk:    installed\n" +
        "  Shell:   osdeploy lab ssh os\n" +
        "  Console: osdeploy lab console os\n" +
        "  Log:     /lab/machines/os/console.log\n",
    );
    const other = labRunText({ ...result, acceleration: "kvm", diskReused: true });
    expect(other).toMatch(/^Machine os is starting\n/);
    expect(other).toContain("Disk:    there already\n");
  });

  test("labListText: a line for each", () => {
    const machine = {
      image: "oci:images:v1",
      manifestDigest: digest,
      sshPort: 2022,
      memoryMegabytes: 2048,
      processors: 2,
    };
    const machines = [
      { ...machine, name: "one", running: true, directory: "/lab/machines/one" },
      { ...machine, name: "two", running: false, directory: "/lab/machines/two" },
    ];
    expect(labListText(machines)).toBe(
      "NAME  STATE     SSH  CPUS    MEMORY  DIGEST        IMAGE\n" +
        "one   running  2022     2  2048 MiB  abababababab  oci:images:v1\n" +
        "two   off         -     2  2048 MiB  abababababab  oci:images:v1\n",
    );
    expect(labListText([])).toBe("There is no machine in the lab\n");
  });

  test("labStopText, labRemoveText: what happened to which", () => {
    expect(labStopText({ stopped: ["one"], wereOff: ["two"] })).toBe("one is off\ntwo was off already\n");
    expect(labRemoveText({ removed: ["one"], removedDisks: [] })).toBe("one is removed\n");
    expect(labRemoveText({ removed: ["one"], removedDisks: ["a", "b"] })).toBe(
      "one is removed\nInstalled disks that nothing uses any more: 2 removed\n",
    );
  });

  test("labUpgradeText: what the guest has now", () => {
    const result = {
      name: "os",
      image: "oci:images:v2",
      manifestDigest: digest,
      guestImage: "10.0.2.2:5000/os:latest",
    };
    expect(labUpgradeText({ ...result, rebooting: false })).toBe(
      `os boots the image next\n  Image:         oci:images:v2\n  Digest:        ${digest}\n  Guest follows: 10.0.2.2:5000/os:latest\n`,
    );
    expect(labUpgradeText({ ...result, rebooting: true })).toMatch(/^os reboots into the image\n/);
  });
});
