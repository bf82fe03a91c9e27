import { type Command, InvalidArgumentError, Option } from "commander";
import type { ByteString } from "../core/bytes/byte-string.ts";
import { OsdeployError } from "../core/errors.ts";
import type { ImageReference } from "../core/oci/reference.ts";
import { parseImageReference } from "../core/oci/reference.ts";
import type { CopyImageRequest } from "../operations/copy-request.ts";
import type { LayerFormat } from "../operations/layer-packing.ts";
import type { Frame } from "./frame.ts";
import { parseBoolean, parsePath } from "./options.ts";
import { parseCredentials } from "./source-options.ts";

/** What says how an image is written. */
export interface PackingWords {
  readonly compression?: LayerFormat;
  readonly compressionLevel?: number;
  readonly digestfile?: ByteString;
}

/** What says how to get at the place it is written to. */
export interface LoginWords {
  readonly tlsVerify: boolean;
  readonly authfile?: ByteString | undefined;
  readonly creds?: string | undefined;
}

/** The help's words about what DESTINATION may be. */
export const destinationHelp = "where to: docker://HOST/NAME[:TAG], oci:DIR[:TAG] or oci-archive:FILE[:TAG]";

const formats: readonly LayerFormat[] = ["zstd:chunked", "zstd", "gzip", "none"];

/** Adds `--compression`, `--compression-level` and `--digestfile`; `usual` continues "how layers are compressed". */
export function addPackingOptions(command: Command, usual: string): Command {
  return command
    .addOption(new Option("--compression <format>", `how layers are compressed (default: ${usual})`).choices(formats))
    .addOption(
      new Option("--compression-level <number>", "how hard to try, as the zstd and gzip programs count").argParser(
        parseLevel,
      ),
    )
    .addOption(
      new Option("--digestfile <file>", "write the digest of the new manifest to this file").argParser(parsePath),
    );
}

/** Adds `--tls-verify`, `--authfile` and `--creds` for the destination, with `prefix` before each. */
export function addLoginOptions(command: Command, prefix: "" | "dest-"): Command {
  const tls = "whether the registry that is written to must show a certificate that can be trusted";
  return command
    .addOption(new Option(`--${prefix}tls-verify [bool]`, tls).argParser(parseBoolean).default(true))
    .addOption(new Option(`--${prefix}authfile <file>`, "where the credentials to write with are").argParser(parsePath))
    .option(`--${prefix}creds <user:password>`, "credentials to write with; other users can see them meanwhile");
}

/** The part of a request that says where the image goes, and how. */
export function destinationRequest(
  destination: string,
  words: { readonly packing: PackingWords; readonly login: LoginWords },
  frame: Frame,
): Pick<CopyImageRequest, "destinationOptions" | "format" | "level" | "digestFile"> & {
  readonly destination: ImageReference;
} {
  const { packing, login } = words;
  const { environment, uid } = frame.io;
  if (packing.compression === "gzip" && (packing.compressionLevel ?? 0) > 9) {
    throw new OsdeployError("usage", "Cannot use this --compression-level with gzip: its levels end at 9");
  }
  return {
    destination: parseImageReference(destination),
    format: packing.compression,
    level: packing.compressionLevel,
    digestFile: packing.digestfile,
    destinationOptions: {
      environment: { variables: environment, userId: uid },
      tlsVerify: login.tlsVerify,
      ...(login.authfile !== undefined && { authFile: login.authfile }),
      ...(login.creds !== undefined && { credentials: parseCredentials(login.creds) }),
    },
  };
}

/** zstd counts to 22, gzip to 9; levels of 1 to 9 are good for both. */
function parseLevel(text: string): number {
  const level = Number(text);
  if (/^[0-9]{1,2}$/.test(text) && level >= 1 && level <= 22) return level;
  throw new InvalidArgumentError("it is no number from 1 to 22.");
}
