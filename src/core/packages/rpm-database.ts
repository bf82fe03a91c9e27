import { OsdeployError } from "../errors.ts";
import type { InstalledPackage } from "./package-list.ts";
import { parseRpmHeader } from "./rpm-header.ts";
import { readSqliteTable } from "./sqlite-table.ts";

/**
 * The packages in rpm's database, `rpmdb.sqlite`: a header for each in the table `Packages`.
 *
 * @throws OsdeployError `bad-format` when it is none.
 */
export function parseRpmDatabase(bytes: Uint8Array): readonly InstalledPackage[] {
  const rows = readSqliteTable(bytes, "Packages");
  if (rows === undefined) {
    throw new OsdeployError("bad-format", "Cannot read rpm's database: it has no table of packages");
  }
  return rows.flatMap((row) => {
    const header = row.at(-1);
    return header === undefined || header.bytes.length === 0 ? [] : [parseRpmHeader(header.bytes)];
  });
}
