import { argumentBytes } from "../../core/bytes/argument-text.ts";
import { toBytes } from "../../core/bytes/byte-string.ts";
import { type ErrorCode, OsdeployError } from "../../core/errors.ts";
import { printable } from "./plain-text.ts";

/** What the user can do, for the codes where that is the same whatever the command and the case. */
const hints: Partial<Readonly<Record<ErrorCode, string>>> = {
  "digest-mismatch": "Run it again; if it fails again, the source is broken or lies",
  damaged:
    "See what is damaged and which images it hits with: osdeploy repo fsck; what is damaged comes again with: osdeploy pull --repair IMAGE",
  unauthorized: "Log in with podman login or skopeo login, or name the file with --authfile FILE",
  "not-bootable": "An OS image holds a kernel and an initramfs in /usr/lib/modules/VERSION, and has /boot and /sysroot",
};

/** The program in whose words errors are told. */
export type Voice = "osdeploy" | "mkcomposefs" | "composefs-info";

/** How much of an error is shown, and in whose words. */
export interface ErrorDetail {
  readonly verbose: boolean;
  readonly voice: Voice;
}

/**
 * An error as lines for people: one clear line, a hint where there is one; with `verbose` facts and causes too. In another
 * program's voice the names in it are bytes, as that program prints them.
 */
export function formatError(error: unknown, detail: ErrorDetail): string | Uint8Array {
  if (!(error instanceof OsdeployError)) return formatBug(error);
  if (detail.voice !== "osdeploy") return formatForeign(error, detail.voice);
  const { hint = hints[error.code] } = error.facts;
  const lines = [`osdeploy: ${printable(error.message)}`];
  if (hint !== undefined) lines.push(`hint: ${printable(String(hint))}`);
  if (detail.verbose) lines.push(...factLines(error), ...causeLines(error.cause));
  return `${lines.join("\n")}\n`;
}

/** As the program that we stand in for has it: words that it did not understand come bare, all else with its name. */
function formatForeign(error: OsdeployError, voice: Voice): Uint8Array {
  if (error.code === "usage") return toBytes(argumentBytes(`${error.message}\n`));
  return Uint8Array.from(`${voice}: ${error.message}\n`, (char) => char.charCodeAt(0));
}

function factLines(error: OsdeployError): readonly string[] {
  const facts = Object.entries(error.facts).filter(([name]) => name !== "hint");
  return [`code: ${error.code}`, ...facts.map(([name, value]) => `${name}: ${printable(String(value))}`)];
}

function causeLines(cause: unknown): readonly string[] {
  if (cause === undefined) return [];
  const text = cause instanceof Error ? cause.message : String(cause);
  return [`cause: ${printable(text)}`, ...causeLines(cause instanceof Error ? cause.cause : undefined)];
}

function formatBug(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `osdeploy: This is a bug in osdeploy. Please report it with the command that you ran and these lines:\n${stack}\n`;
}

/** An error as a value, for JSON lines. */
export function errorValue(error: unknown): Readonly<Record<string, unknown>> {
  if (!(error instanceof OsdeployError))
    return { code: "bug", message: error instanceof Error ? error.message : String(error) };
  return { code: error.code, message: error.message, facts: error.facts };
}
