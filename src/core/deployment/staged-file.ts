import { isHex } from "../bytes/hex.ts";
import type { ObjectId } from "../digest/object-id.ts";
import { parseManifestDigest } from "../digest/oci-digest.ts";
import { OsdeployError } from "../errors.ts";
import { parseDocument } from "../oci/json.ts";
import {
  arrayOf,
  badPlace,
  digestOf,
  type JsonPlace,
  member,
  optional,
  safeSizeOf,
  textOf,
} from "../oci/json-place.ts";
import type { StagedDeployment } from "./deployment.ts";

const version = 1;

/**
 * The text of `/run/osdeploy/staged.json`.
 *
 * @see docs/reference/formats/deployment-state.md
 */
export function formatStaged(staged: StagedDeployment): string {
  return `${JSON.stringify({ version, ...staged }, undefined, 2)}\n`;
}

/** @throws OsdeployError `bad-format` when it is not what {@link formatStaged} writes; `unsupported` for another version. */
export function parseStaged(bytes: Uint8Array): StagedDeployment {
  const whole = parseDocument(bytes, "the record of the staged deployment");
  checkVersion(whole);
  const origin = member(whole, "origin");
  const boot = member(whole, "boot");
  const osRelease = member(boot, "osRelease");
  return {
    rootImage: rootImageOf(member(whole, "rootImage")),
    origin: {
      imageReference: textOf(member(origin, "imageReference")),
      manifestDigest: digestOf(member(origin, "manifestDigest"), parseManifestDigest),
      bootDigest: textOf(member(origin, "bootDigest")),
      verifiedBy: arrayOf(member(origin, "verifiedBy"), 1000).map(textOf),
      sealedBy: textsAt(origin, "sealedBy"),
    },
    boot: {
      osRelease: {
        id: textOf(member(osRelease, "id")),
        prettyName: textOf(member(osRelease, "prettyName")),
        version: textOf(member(osRelease, "version")),
      },
      kernelPath: textOf(member(boot, "kernelPath")),
      initramfsPath: textOf(member(boot, "initramfsPath")),
      options: textOf(member(boot, "options")),
    },
    sequence: safeSizeOf(member(whole, "sequence")),
    finalizationLocked: optional(whole, "finalizationLocked")?.value === true,
  };
}

/** What another version means must not be guessed: it would be committed. One that does not say its version is of the first. */
function checkVersion(whole: JsonPlace): void {
  const found = optional(whole, "version")?.value ?? version;
  if (found === version) return;
  const state = `it is of version ${String(found).slice(0, 20)}, and this osdeploy reads ${version}`;
  throw new OsdeployError("unsupported", `Cannot read ${whole.document}: ${state}`);
}

/** None where there is no such key: what was staged by an osdeploy that did not know it. */
function textsAt(place: JsonPlace, key: string): readonly string[] {
  const texts = optional(place, key);
  return texts === undefined ? [] : arrayOf(texts, 1000).map(textOf);
}

function rootImageOf(place: JsonPlace): ObjectId {
  const text = textOf(place);
  if (!isHex(text, 32) && !isHex(text, 64)) throw badPlace(place, "is not a root image");
  return text as ObjectId;
}
