const headerOffset = 0x80;

/** A file of which systemd-boot's version and its signature can be read, and that starts nothing. */
export function fakeLoader(version: string, { signed = false, magic = 0x20b } = {}): Uint8Array {
  const bytes = new Uint8Array(1024);
  const view = new DataView(bytes.buffer);
  view.setUint32(0x3c, headerOffset, true);
  view.setUint32(headerOffset, 0x4550, true);
  view.setUint16(headerOffset + 24, magic, true);
  if (signed) {
    view.setUint32(headerOffset + 24 + 112 + 32, 1000, true);
    view.setUint32(headerOffset + 24 + 112 + 36, 24, true);
  }
  bytes.set(new TextEncoder().encode(`#### LoaderInfo: systemd-boot ${version} ####`), 512);
  return bytes;
}
