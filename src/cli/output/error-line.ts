import { type ByteString, toText } from "../../core/bytes/byte-string.ts";
import { OsdeployError } from "../../core/errors.ts";
import { errorValue, type Voice } from "./error-text.ts";
import { toJsonLine } from "./json.ts";

/**
 * An error as the last of the JSON lines that `--progress=json` prints, the stack of a bug among its facts.
 *
 * @see docs/reference/schema/progress.json
 */
export function errorLine(error: unknown, voice: Voice): string {
  const facts = stackOf(error);
  const value = { type: "Error", ...(facts && { facts }), ...errorValue(error) };
  // In another program's voice a message holds names as bytes.
  const isBytes = error instanceof OsdeployError && voice !== "osdeploy" && error.code !== "usage";
  return toJsonLine(isBytes ? { ...value, message: toText(error.message as ByteString) } : value);
}

function stackOf(error: unknown): { readonly stack: string } | undefined {
  if (error instanceof OsdeployError || !(error instanceof Error) || error.stack === undefined) return undefined;
  return { stack: error.stack };
}
