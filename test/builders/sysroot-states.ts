import { type BootEntry, type BootTries, bootEntryFileName, makeBootEntry } from "../../src/core/boot/boot-menu.ts";
import type { BootedRoot } from "../../src/core/deployment/booted-root.ts";
import {
  makeSysrootState,
  type Origin,
  type StagedDeployment,
  type SysrootParts,
  type SysrootState,
} from "../../src/core/deployment/deployment.ts";
import type { QuarantineRecord } from "../../src/core/deployment/quarantine.ts";
import { type ObjectId, parseObjectId } from "../../src/core/digest/object-id.ts";
import { type ManifestDigest, parseManifestDigest } from "../../src/core/digest/oci-digest.ts";

/** The root image whose digits are all this one. */
export function rootImageOf(digit: string): ObjectId {
  return parseObjectId(digit.repeat(64), "sha256");
}

/** The manifest of the image with this root image. */
export function manifestOf(digit: string): ManifestDigest {
  return parseManifestDigest(`sha256:${digit.repeat(64)}`);
}

/** The origin of the deployment of the root image with this digit. */
export function originOf(digit: string): Origin {
  return {
    imageReference: "docker://quay.io/os:latest",
    manifestDigest: manifestOf(digit),
    bootDigest: digit.repeat(64),
    verifiedBy: [],
    sealedBy: [],
  };
}

/** A boot entry with this number, of the root image with this digit. */
export function entryOf(sequence: number, digit: string, tries?: BootTries): BootEntry {
  const entry = makeBootEntry({
    sequence,
    rootImage: rootImageOf(digit),
    osRelease: { id: "x", prettyName: "X", version: digit },
    kernelPath: `/osdeploy/${digit.repeat(64)}/vmlinuz`,
    initramfsPath: `/osdeploy/${digit.repeat(64)}/initramfs.img`,
    options: `rw composefs=${rootImageOf(digit)}`,
  });
  return { ...entry, tries, fileName: bootEntryFileName(sequence, tries) };
}

/** A record of the quarantine for the image with this digit. */
export function recordOf(digit: string, cause: QuarantineRecord["cause"] = "boot-failed"): QuarantineRecord {
  const about = { imageReference: undefined, bootEntry: undefined, since: "2026-01-01T00:00:00.000Z", bootLog: "" };
  return { manifestDigest: manifestOf(digit), cause, reason: "it did not boot", ...about };
}

/** What is staged: the root image with this digit. */
export function stagedOf(digit: string, changes: Partial<StagedDeployment> = {}): StagedDeployment {
  return {
    rootImage: rootImageOf(digit),
    origin: originOf(digit),
    boot: {
      osRelease: { id: "x", prettyName: "X", version: digit },
      kernelPath: `/osdeploy/${digit.repeat(64)}/vmlinuz`,
      initramfsPath: `/osdeploy/${digit.repeat(64)}/initramfs.img`,
      options: `rw composefs=${rootImageOf(digit)}`,
    },
    sequence: 100,
    finalizationLocked: false,
    ...changes,
  };
}

/** What runs: the root image with this digit, started by the entry with this number. */
export function bootedOf(digit: string, sequence?: number): BootedRoot {
  const entryId = sequence === undefined ? undefined : `osdeploy-${String(sequence).padStart(6, "0")}`;
  return { rootImage: rootImageOf(digit), entryId, counted: false, triesLeft: undefined, kernelArguments: "rw" };
}

/** A state with these boot entries, newest first, and a deployment of each of the root images with these digits. */
export function stateWith(
  digits: string,
  entries: readonly BootEntry[],
  parts: Omit<SysrootParts, "directories" | "menu"> = {},
): SysrootState {
  const directories = [...digits].map((digit) => ({ rootImage: rootImageOf(digit), origin: originOf(digit) }));
  return makeSysrootState({ directories, menu: { entries, stale: [], foreign: [] }, ...parts });
}
