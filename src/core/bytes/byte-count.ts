const byteUnits = ["kB", "MB", "GB", "TB", "PB", "EB"];

/** Bytes for people, in powers of 1000 and three digits or so: `999 B`, `1.2 kB`, `577 MB`. */
export function formatBytes(bytes: number | bigint): string {
  let value = Number(bytes);
  if (value < 1000) return `${value} B`;
  let unit = -1;
  while (value >= 999.5 && unit + 1 < byteUnits.length) {
    value /= 1000;
    unit++;
  }
  return `${value < 99.95 ? value.toFixed(1) : Math.round(value)} ${byteUnits[unit]}`;
}

/** Bytes for messages that compare them: exact, and for people where there are many: `4901044224 bytes (4.9 GB)`. */
export function countBytes(bytes: number): string {
  return bytes < 1000 ? `${bytes} bytes` : `${bytes} bytes (${formatBytes(bytes)})`;
}
