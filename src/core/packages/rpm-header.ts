import { decodeText } from "../bytes/utf8.ts";
import { OsdeployError } from "../errors.ts";
import { type InstalledPackage, installedPackage } from "./package-list.ts";

/** The tags and types that matter here, as rpm numbers them. */
const tags = { name: 1000, version: 1001, release: 1002, epoch: 1003, architecture: 1022 } as const;
const types = { int32: 4, string: 6 } as const;
const indexEntryBytes = 16;

/**
 * The package that a header of rpm's database describes: numbers of index entries and data bytes, the index, the data; all
 * numbers big endian.
 *
 * @throws OsdeployError `bad-format` when it is none, or has no name, version and release.
 * @see https://rpm-software-management.github.io/rpm/manual/hregions.html
 */
export function parseRpmHeader(bytes: Uint8Array): InstalledPackage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 8) throw bad("it is cut off");
  const entries = view.getUint32(0);
  const data = 8 + entries * indexEntryBytes;
  if (data + view.getUint32(4) > bytes.length) throw bad("it is cut off");
  const places = new Map<string, number>();
  for (let at = 8; at < data; at += indexEntryBytes) {
    const key = `${view.getUint32(at)} ${view.getUint32(at + 4)}`;
    if (!places.has(key)) places.set(key, data + view.getUint32(at + 8));
  }
  const text = (tag: number): string | undefined => {
    const place = places.get(`${tag} ${types.string}`);
    const end = place === undefined ? -1 : bytes.indexOf(0, place);
    return place === undefined || end < 0 ? undefined : decodeText(bytes.subarray(place, end));
  };
  const [name, version, release] = [text(tags.name), text(tags.version), text(tags.release)];
  if (name === undefined || version === undefined || release === undefined)
    throw bad("it does not say of which package");
  const place = places.get(`${tags.epoch} ${types.int32}`);
  const epoch = place !== undefined && place + 4 <= bytes.length ? `${view.getUint32(place)}:` : "";
  return installedPackage(name, `${epoch}${version}-${release}`, text(tags.architecture) ?? "");
}

function bad(state: string): OsdeployError {
  return new OsdeployError("bad-format", `Cannot read a header of rpm's database: ${state}`);
}
