const headerOffset = 0x80;

const sectionNameBytes = 8;

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

/** GRUB as a distribution builds it: with a section `.sbat` that says which one it is, by the lines given or the usual ones. */
export function fakeGrub(
  version: string,
  { vendor = "debian", lines = grubLines(version, vendor), signed = false }: Partial<FakeGrub> = {},
): Uint8Array {
  const bytes = fakeLoader("", { signed });
  const text = new TextEncoder().encode(lines.join("\n"));
  bytes.fill(0, 512);
  const view = new DataView(bytes.buffer);
  view.setUint16(headerOffset + 6, 2, true);
  view.setUint16(headerOffset + 20, 240, true);
  const sections = headerOffset + 24 + 240;
  for (const [index, name] of [".text", ".sbat"].entries()) {
    const at = sections + index * 40;
    bytes.set(new TextEncoder().encode(name), at);
    bytes.fill(0, at + name.length, at + sectionNameBytes);
    for (const [field, value] of [
      [8, text.length],
      [16, 512],
      [20, index === 0 ? 480 : 512],
    ] as const) {
      view.setUint32(at + field, value, true);
    }
  }
  bytes.set(text, 512);
  return bytes;
}

interface FakeGrub {
  readonly vendor: string;
  readonly lines: readonly string[];
  readonly signed: boolean;
}

function grubLines(version: string, vendor: string): readonly string[] {
  return [
    "sbat,1,SBAT Version,sbat,1,https://example.org/SBAT.md",
    "grub,5,Free Software Foundation,grub,2.12,https://example.org/grub/",
    `grub.${vendor},5,Somebody,grub2,${version},https://example.org/grub2`,
    `grub.${vendor}13,1,Somebody,grub2,${version},https://example.org/grub2`,
  ];
}
