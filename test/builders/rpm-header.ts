/** What a header says; what is left out is not in it. */
export interface RpmFields {
  readonly name?: string;
  readonly version?: string;
  readonly release?: string;
  readonly epoch?: number;
  readonly architecture?: string;
}

type Tag = readonly [tag: number, type: 4 | 6, value: string | number];

/** A header as rpm's database has it, with `more` tags behind. */
export function rpmHeader(fields: RpmFields, more: readonly Tag[] = []): Uint8Array<ArrayBuffer> {
  const { name, version, release, epoch, architecture } = fields;
  const own: readonly (readonly [number, 4 | 6, string | number | undefined])[] = [
    ...([
      [1000, 6, name],
      [1001, 6, version],
      [1002, 6, release],
    ] as const),
    ...([
      [1003, 4, epoch],
      [1022, 6, architecture],
    ] as const),
  ];
  const tags = [...own, ...more].flatMap(([tag, type, value]): Tag[] =>
    value === undefined ? [] : [[tag, type, value]],
  );
  const data: number[] = [];
  const index = tags.flatMap(([tag, type, value]) => {
    while (type === 4 && data.length % 4 > 0) data.push(0);
    const entry = [tag, type, data.length, 1];
    data.push(...(typeof value === "number" ? [...bytesOf(value)] : Buffer.from(`${value}\0`)));
    return entry;
  });
  return Uint8Array.from([...[tags.length, data.length, ...index].flatMap((number) => [...bytesOf(number)]), ...data]);
}

function bytesOf(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
