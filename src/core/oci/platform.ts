import { OsdeployError } from "../errors.ts";
import { type JsonPlace, optionalText } from "./json-place.ts";

/** What a machine must be to run an image, in Go's words: `linux`, `amd64`, and for ARM `v7` and the like. */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  /** Undefined where the architecture has no variants worth a word. */
  readonly variant: string | undefined;
}

const goArchitectures: ReadonlyMap<string, string> = new Map([
  ["x64", "amd64"],
  ["ia32", "386"],
  ["ppc64", "ppc64le"],
  ["loong64", "loong64"],
  ["mipsel", "mipsle"],
]);

/** The platform of a machine whose architecture is `architecture` in Node's words (`process.arch`). */
export function platformOfMachine(architecture: string): Platform {
  return normal({ os: "linux", architecture: goArchitectures.get(architecture) ?? architecture, variant: undefined });
}

/**
 * Reads `[OS/]ARCHITECTURE[/VARIANT]` as people write it after `--platform`.
 *
 * @throws OsdeployError `usage`.
 */
export function parsePlatform(text: string): Platform {
  const parts = text.split("/");
  const [os, architecture, variant] = parts.length === 1 ? ["linux", text] : parts;
  if (parts.length > 3 || !parts.every((part) => /^[a-z0-9_.-]+$/.test(part)) || !os || !architecture) {
    throw new OsdeployError(
      "usage",
      `Cannot use ${JSON.stringify(text.slice(0, 80))} as a platform: write it as linux/arm64`,
    );
  }
  return normal({ os, architecture, variant });
}

/** `linux/arm64` or `linux/arm/v7`. */
export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, ...(platform.variant === undefined ? [] : [platform.variant])].join("/");
}

/** The platform that a JSON object with `os`, `architecture` and `variant` names; empty text where it is silent. */
export function parsePlatformFields(place: JsonPlace): Platform {
  return normal({
    os: optionalText(place, "os") ?? "",
    architecture: optionalText(place, "architecture") ?? "",
    variant: optionalText(place, "variant"),
  });
}

/** ARM machines that run a variant run the ones below, too. */
const armVariants: readonly string[] = ["v8", "v7", "v6", "v5"];

/**
 * How well an image for `offered` runs where `wanted` is asked for: 0 is best, undefined is not at all.
 *
 * A variant that was not asked for comes last: `linux/amd64` is asked for by all who do not know of `v3`, and a list that
 * holds nothing else is still better than none. Of several the lowest is best: more machines run it.
 */
export function platformRank(offered: Platform, wanted: Platform): number | undefined {
  if (offered.os !== wanted.os || offered.architecture !== wanted.architecture) return undefined;
  if (offered.variant === wanted.variant) return 0;
  if (offered.variant === undefined) return armVariants.length + 1;
  if (wanted.variant === undefined) return armVariants.length + 2 + levelOf(offered.variant);
  const steps = armVariants.indexOf(offered.variant) - armVariants.indexOf(wanted.variant);
  return wanted.architecture === "arm" && armVariants.includes(wanted.variant) && steps > 0 ? steps : undefined;
}

/** The number of a variant such as `v3`; behind all of these for one that is not called so. */
function levelOf(variant: string): number {
  return Number(/^v([0-9]{1,2})(?![0-9])/.exec(variant)?.[1] ?? 100);
}

/** What the kernel, packagers and compilers call architectures; people write it after `--platform`, and builders into configs. */
const otherNames: ReadonlyMap<string, readonly [architecture: string, variant?: string]> = new Map([
  ["x86_64", ["amd64"]],
  ["x86-64", ["amd64"]],
  ["aarch64", ["arm64"]],
  ["i386", ["386"]],
  ["i686", ["386"]],
  ["armhf", ["arm", "v7"]],
  ["armel", ["arm", "v6"]],
]);

/** Go's name for an architecture. Some variants are the ones that everybody means who names none. */
function normal(platform: Platform): Platform {
  const { os } = platform;
  const [architecture, named] = otherNames.get(platform.architecture) ?? [platform.architecture];
  const variant = platform.variant ?? named;
  if (architecture === "arm64" && variant === "v8") return { os, architecture, variant: undefined };
  if (architecture === "amd64" && variant === "v1") return { os, architecture, variant: undefined };
  if (architecture === "arm" && variant === undefined) return { os, architecture, variant: "v7" };
  return { os, architecture, variant };
}
