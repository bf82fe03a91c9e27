import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** What mkcomposefs and composefs-info make of a dump. Other fields of the file are not used. */
export interface ImageVector {
  readonly file: string;
  readonly sha256_v0: string;
  readonly verity_v0: string;
  readonly size_v0: number;
  readonly sha256_v1: string;
  readonly verity_v1: string;
  readonly size_v1: number;
  readonly sha256_default: string;
  readonly verity_default: string;
  readonly size: number;
  readonly default_version: 0 | 1;
  readonly strict_error?: string;
  readonly info_dump_sha256: string;
  readonly info_ls_sha256: string;
  readonly info_objects_sha256: string;
}

/** What mkcomposefs says to a dump that it refuses; `exit` is null where it never ends. */
export interface ErrorVector {
  readonly file: string;
  readonly exit: number | null;
  readonly error: string;
}

/** A folder of vectors that need not be there. */
export class VectorFolder {
  readonly present: boolean;
  readonly #folder: string;

  /** `folder` is relative to the top of the project. */
  constructor(folder: string) {
    this.#folder = new URL(`../../${folder}/`, import.meta.url).pathname;
    this.present = existsSync(`${this.#folder}expected.json`);
  }

  images(): [string, ImageVector][] {
    return this.present ? Object.entries(JSON.parse(this.#text("expected.json"))) : [];
  }

  errors(): [string, ErrorVector][] {
    return this.present ? Object.entries(JSON.parse(this.#text("errors.json"))) : [];
  }

  dump(file: string): Uint8Array {
    const bytes = readFileSync(`${this.#folder}${file}`);
    return file.endsWith(".gz") ? gunzipSync(bytes) : bytes;
  }

  #text(file: string): string {
    return readFileSync(`${this.#folder}${file}`, "utf8");
  }
}

/** Plain sha256 in hex, to compare whole files. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
