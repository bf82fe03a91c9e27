import { toText } from "../core/bytes/byte-string.ts";
import type { ManifestDigest } from "../core/digest/oci-digest.ts";
import { OsdeployError } from "../core/errors.ts";
import { formatImageReference, type ImageReference } from "../core/oci/reference.ts";
import { judgeImage } from "../core/trust/judge-image.ts";
import type { Requirement } from "../core/trust/policy.ts";
import { type PolicySubject, requirementsFor } from "../core/trust/policy-scope.ts";
import type { Linux, Path } from "../linux/linux.ts";
import type { Environment } from "./configuration-file.ts";
import type { ResolvedRegistry } from "./image-source.ts";
import { findInLookaside, type ReadAddress } from "./lookaside.ts";
import { judgingMeans } from "./opened-messages.ts";
import { isRefusedList } from "./referrers.ts";
import { type FoundAttachments, findAttachments } from "./signature-attachments.ts";
import { signaturePlaces } from "./signature-places.ts";
import { readSignaturePolicy } from "./signature-policy-file.ts";

/** Why an image was taken. */
export type TrustRecord =
  /** The machine has no signature policy. */
  | { readonly kind: "no-policy" }
  /** `scope` of the policy asks for nothing. */
  | { readonly kind: "anything-accepted"; readonly scope: string }
  /** Checked: `by` names the keys and certificates. */
  | { readonly kind: "verified"; readonly scope: string; readonly by: readonly string[] };

/** The image that is asked about. */
export interface QuestionedImage {
  /** As it was asked for, a short name in full. */
  readonly reference: ImageReference;
  /** Where it was found; undefined for what comes from files, which bring no signatures. */
  readonly registry: ResolvedRegistry | undefined;
  /** Of the manifest of the platform. */
  readonly manifestDigest: ManifestDigest;
  /** Whether it is one of all that the reference's index names, not the image that the reference stands for. */
  readonly isPart?: boolean | undefined;
}

/** What decides whether an image is trusted. */
export interface TrustOptions {
  readonly environment: Environment;
  /** From `--signature-policy`; instead of the usual files. */
  readonly policy?: Path | undefined;
  /** From `--enforce-container-sigpolicy`: a policy that asks for nothing is refused as well. */
  readonly enforce?: boolean | undefined;
  /** Reads an `http:` or `https:` lookaside store. */
  readonly readAddress: ReadAddress;
  /** Ends the check. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Checks an image that was resolved against the machine's signature policy, before anything of its layers is fetched. Fails
 * closed: a policy, key or signature that cannot be read refuses, too.
 *
 * @throws OsdeployError `untrusted` with the reason; others for what cannot be read.
 */
export async function checkTrust(linux: Linux, image: QuestionedImage, options: TrustOptions): Promise<TrustRecord> {
  const { environment } = options;
  const file = readSignaturePolicy(linux.files, { explicit: options.policy, environment });
  if (file === undefined) {
    if (options.enforce) throw refusal(image, "no signature policy is there, and one is demanded", []);
    return { kind: "no-policy" };
  }
  const { scope, requirements } = requirementsFor(file.policy, subjectOf(linux, image.reference));
  const { registry, manifestDigest } = image;
  const isToSearch = registry !== undefined && requirements.some(wantsSignature);
  const nothing: FoundAttachments = { signatures: [], untold: undefined };
  const { signatures, untold } = isToSearch ? await find(linux, registry, manifestDigest, options) : nothing;
  const verdict = judgeImage(
    requirements,
    { name: registry?.logical, manifestDigest, signatures },
    await judgingMeans(linux, { requirements, signatures }, options.signal),
  );
  if (!verdict.accepted) {
    const reason = `${verdict.reason} (${file.path}, ${scope})`;
    throw untold === undefined ? refusal(image, reason, verdict.rejected) : unsure(image, reason, { verdict, untold });
  }
  if (verdict.by.length > 0) return { kind: "verified", scope, by: verdict.by };
  if (options.enforce) throw refusal(image, `${file.path} accepts anything (${scope}), and a check is demanded`, []);
  return { kind: "anything-accepted", scope };
}

function wantsSignature({ kind }: Requirement): boolean {
  return kind === "signed-by" || kind === "sigstore-key" || kind === "sigstore-certificate";
}

async function find(
  linux: Linux,
  registry: ResolvedRegistry,
  digest: ManifestDigest,
  { environment, readAddress }: TrustOptions,
): Promise<FoundAttachments> {
  const places = signaturePlaces(linux.files, registry.physical, environment);
  const simple = await findInLookaside(linux.files, places.lookaside, {
    name: registry.physical,
    digest,
    read: readAddress,
  });
  if (!places.attachments) return { signatures: simple, untold: undefined };
  const { signatures, untold } = await findAttachments(registry, digest);
  return { signatures: [...simple, ...signatures], untold };
}

/** Layouts and archives are known to policies by their paths; `tag` where one was named. */
function subjectOf({ files }: Linux, reference: ImageReference): PolicySubject {
  switch (reference.kind) {
    case "registry":
      return { kind: "registry", name: reference };
    case "oci-layout":
    case "oci-archive": {
      const transport = reference.kind === "oci-layout" ? "oci" : "oci-archive";
      const tag = reference.choice.kind === "tag" ? reference.choice.tag : "";
      return { kind: "path", transport, path: toText(files.realPath(reference.path)), tag };
    }
    case "docker-archive":
      return { kind: "transport", transport: "docker-archive" };
    case "root-directory":
      return { kind: "transport", transport: "rootfs" };
    case "short-name":
      throw new OsdeployError("usage", `Cannot judge ${formatImageReference(reference)}: its registry is not known`);
  }
}

/** A refusal while there may be bundles that were not read. Where they can be read the next time, that is what has failed. */
function unsure(
  image: QuestionedImage,
  reason: string,
  { verdict, untold }: { readonly verdict: { readonly rejected: readonly string[] }; readonly untold: OsdeployError },
): OsdeployError {
  const { code, message, facts } = untold;
  if (isRefusedList(untold)) {
    return refusal(image, `${reason}, and its bundles cannot be read: ${message}`, verdict.rejected);
  }
  const text = `${message}; without that ${formatImageReference(image.reference)} is refused: ${reason}`;
  return new OsdeployError(code, text, { facts, cause: untold });
}

function refusal(
  { reference, manifestDigest, isPart = false }: QuestionedImage,
  reason: string,
  rejected: readonly string[],
): OsdeployError {
  const part = isPart ? `${manifestDigest} of ` : "";
  const text = `Cannot use ${part}${formatImageReference(reference)}: ${reason}`;
  const signatures = rejected.length === 0 ? {} : { signatures: rejected.slice(0, 5).join("; ") };
  const hint = isPart ? { hint: "All that the index names has to satisfy the policy; attestations, too" } : {};
  return new OsdeployError("untrusted", text, { facts: { ...signatures, ...hint } });
}
