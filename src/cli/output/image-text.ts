import { formatBytes } from "../../core/bytes/byte-count.ts";
import type { InspectedImage } from "../../operations/inspect-image.ts";
import type { ListedImage } from "../../operations/list-images.ts";
import type { MountImageResult } from "../../operations/mount-image.ts";
import type { PullResult } from "../../operations/pull.ts";
import type { UntaggedImage } from "../../operations/untag-image.ts";
import { printable } from "./plain-text.ts";
import { formatFields, formatTable } from "./table.ts";
import { formatCount, shortDigest } from "./units.ts";

/** What a pull brought. */
export function pullText(result: PullResult): string {
  const known = result.layers.filter((layer) => layer.known).length;
  const added = `${formatCount(result.addedObjects, "object")} (${formatBytes(result.addedBytes)})`;
  return formatFields([
    ["Image", printable(result.tag)],
    ["Digest", result.manifestDigest],
    ["Root image", result.rawImage],
    ["Boot image", result.bootImage],
    ["Layers", `${result.layers.length}, ${known} already there`],
    ["Added", added],
    ["Mended", result.repaired.length === 0 ? undefined : formatCount(result.repaired.length, "damaged object")],
  ]);
}

/** The images of a repo as a table; below it what is wrong with damaged ones. */
export function imagesText(images: readonly ListedImage[]): string {
  if (images.length === 0) return "There is no image in the repo\n";
  const columns = [
    { title: "IMAGE" },
    { title: "VERSION" },
    { title: "PLATFORM" },
    { title: "CREATED" },
    { title: "LAYERS", align: "right" },
    { title: "SIZE", align: "right" },
    { title: "BOOTABLE" },
    { title: "DIGEST" },
  ] as const;
  const problems = images.flatMap(({ tag, problem }) =>
    problem === null ? [] : [`Problem: ${printable(tag)}: ${printable(problem)}\n`],
  );
  return formatTable(columns, images.map(imageRow)) + problems.join("");
}

/** The tags that are gone, a line each. */
export function untaggedText(images: readonly UntaggedImage[]): string {
  return images.map(({ tag, manifestDigest }) => `Untagged ${printable(tag)} (${manifestDigest})\n`).join("");
}

function imageRow(image: ListedImage): readonly string[] {
  const shown = (text: string | null): string => (text === null ? "-" : printable(text));
  return [
    printable(image.tag),
    shown(image.version),
    shown(image.platform),
    shown(image.created?.slice(0, 10) ?? null),
    image.layers === null ? "-" : String(image.layers),
    image.sizeBytes === null ? "-" : formatBytes(image.sizeBytes),
    image.bootImage === null ? "no" : "yes",
    shortDigest(image.manifestDigest),
  ];
}

/** What is known of one image. */
export function inspectText(image: InspectedImage): string {
  const fields = formatFields([
    ["Digest", image.manifestDigest],
    ["Config", image.configDigest],
    ["Root image", image.rawImage ?? "none"],
    ["Boot image", image.bootImage ?? "none"],
  ]);
  const columns = [{ title: "LAYER" }, { title: "SIZE", align: "right" }, { title: "TYPE" }] as const;
  const rows = image.layers.map((layer) => [layer.digest, formatBytes(layer.sizeBytes), printable(layer.mediaType)]);
  return `${fields}\n${formatTable(columns, rows)}`;
}

/** What was mounted where. */
export function mountText(result: MountImageResult): string {
  const checked = result.verity ? "the kernel checks every byte" : "without fs-verity, so nothing checks what is read";
  return `Mounted ${shortDigest(result.rootImage)} on ${printable(result.target)}, read-only; ${checked}\n`;
}
