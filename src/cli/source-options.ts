import { type Command, Option } from "commander";
import type { ByteString } from "../core/bytes/byte-string.ts";
import { OsdeployError, unlessFailing } from "../core/errors.ts";
import { parsePlatform, platformOfMachine } from "../core/oci/platform.ts";
import { type ImageReference, parseImageReference } from "../core/oci/reference.ts";
import type { PullRequest } from "../operations/pull.ts";
import type { Frame } from "./frame.ts";
import { parseBoolean, parsePath } from "./options.ts";

/** What says where an image comes from; the names are podman's and skopeo's. */
export interface SourceWords {
  readonly tlsVerify: boolean;
  readonly authfile?: ByteString;
  readonly creds?: string;
  readonly signaturePolicy?: ByteString;
  readonly enforceContainerSigpolicy?: true;
  readonly platform?: string;
}

/** The help's words about what IMAGE may be. */
export const imageHelp =
  "the image, as podman and skopeo name it: quay.io/os:latest, docker://…, oci:DIR[:TAG], oci-archive:FILE[:TAG], " +
  "all of these also with @sha256:…, docker-archive:FILE[:NAME]; rootfs:DIR for a plain directory, without what is mounted in it";

/** Adds `--platform`, `--tls-verify`, `--authfile`, `--creds`, `--signature-policy` and `--enforce-container-sigpolicy`. */
export function addSourceOptions(command: Command): Command {
  return command
    .option("--platform <platform>", "take the image for this platform, such as linux/arm64 (default: this machine's)")
    .addOption(
      new Option("--tls-verify [bool]", "whether the registry must show a certificate that can be trusted")
        .argParser(parseBoolean)
        .default(true),
    )
    .addOption(
      new Option("--authfile <file>", "where the credentials are, instead of the usual places").argParser(parsePath),
    )
    .option("--creds <user:password>", "credentials for the registry; other users can see them while osdeploy runs")
    .addOption(
      new Option(
        "--signature-policy <file>",
        "the policy.json that says which signatures an image needs (default: containers')",
      ).argParser(parsePath),
    )
    .option("--enforce-container-sigpolicy", "refuse images for which the policy asks for no signature");
}

/** The part of a request that says where the image comes from. */
export function sourceRequest(
  image: string,
  words: SourceWords,
  frame: Frame,
): Pick<PullRequest, "source" | "platform"> & { readonly image: ImageReference } {
  return { image: parseImageReference(image), ...sourceSettings(words, frame) };
}

/** The same for what may also be the name of something in the repo; undefined when it is no reference. */
export function offeredImage(
  words: string,
  source: SourceWords,
  frame: Frame,
): ReturnType<typeof sourceRequest> | undefined {
  const settings = sourceSettings(source, frame);
  return unlessFailing(() => ({ image: parseImageReference(words), ...settings }));
}

/** The same where the image is known otherwise. */
export function sourceSettings(words: SourceWords, frame: Frame): Pick<PullRequest, "source" | "platform"> {
  const { environment, uid, architecture } = frame.io;
  return {
    platform: words.platform === undefined ? platformOfMachine(architecture) : parsePlatform(words.platform),
    source: {
      environment: { variables: environment, userId: uid },
      tlsVerify: words.tlsVerify,
      ...(words.authfile !== undefined && { authFile: words.authfile }),
      ...(words.signaturePolicy !== undefined && { signaturePolicy: words.signaturePolicy }),
      ...(words.enforceContainerSigpolicy && { enforceSignatures: true }),
      ...(words.creds !== undefined && { credentials: parseCredentials(words.creds) }),
    },
  };
}

/** Reads `USER:PASSWORD`. The password may hold colons; the message does not repeat what was typed. */
export function parseCredentials(text: string): { readonly user: string; readonly password: string } {
  const colon = text.indexOf(":");
  if (colon < 1)
    throw new OsdeployError("usage", "Cannot use the value of --creds: it is not of the form USER:PASSWORD");
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
