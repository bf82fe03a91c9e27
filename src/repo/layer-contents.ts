import type { ByteString } from "../core/bytes/byte-string.ts";
import type { ObjectId } from "../core/digest/object-id.ts";
import type { AwaitedObject } from "../core/splitstream/splitstream-writer.ts";

/** The content of a file as it was imported: an object, or a few bytes of the splitstream. */
export type LayerContent =
  | { readonly kind: "object"; readonly object: ObjectId | AwaitedObject; readonly sizeBytes: number }
  | { readonly kind: "inline"; readonly bytes: ByteString };

/** What object that is; one that was awaited is measured now, if it was not before. */
export function idOf(object: ObjectId | AwaitedObject): ObjectId {
  return typeof object === "string" ? object : object.id;
}
