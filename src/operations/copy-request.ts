import type { Platform } from "../core/oci/platform.ts";
import type { ImageReference } from "../core/oci/reference.ts";
import type { SourceOptions } from "../image-source/open-image-source.ts";
import type { SendOptions } from "./send-image.ts";

/** What is to be copied from where to where. */
export interface CopyImageRequest extends SendOptions {
  readonly image: ImageReference;
  readonly platform: Platform;
  readonly source: SourceOptions;
  readonly destination: ImageReference;
  readonly destinationOptions: SourceOptions;
  /** Whether signatures and what else refers to the image stay where they are. */
  readonly removeSignatures: boolean;
  /** Copies all that an index names, not the image of one platform. */
  readonly all?: boolean;
}
