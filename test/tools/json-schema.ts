/** The part of JSON Schema that this project's schemas use; a schema with another keyword is an error. */
export interface JsonSchema {
  readonly $schema?: string;
  readonly $id?: string;
  readonly title?: string;
  readonly description?: string;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly items?: JsonSchema;
  readonly oneOf?: readonly JsonSchema[];
}

const keywords: ReadonlySet<string> = new Set([
  ...["$schema", "$id", "title", "description", "$defs", "$ref", "type", "enum", "const", "pattern", "minimum"],
  ...["properties", "required", "additionalProperties", "items", "oneOf"],
]);

/** Where `value` does not follow `schema`, one sentence each; none when it does. */
export function schemaErrors(value: unknown, schema: JsonSchema, root: JsonSchema = schema, at = "$"): string[] {
  const unknown = Object.keys(schema).filter((key) => !keywords.has(key));
  if (unknown.length > 0) throw new Error(`The schema uses ${unknown.join(", ")}, which this check does not know`);
  if (schema.$ref !== undefined) return schemaErrors(value, definition(root, schema.$ref), root, at);
  if (schema.oneOf !== undefined) return oneOfErrors(value, schema.oneOf, root, at);
  return [
    ...scalarErrors(value, schema, at),
    ...objectErrors(value, schema, root, at),
    ...itemErrors(value, schema, root, at),
  ];
}

function definition(root: JsonSchema, reference: string): JsonSchema {
  const found = root.$defs?.[reference.replace("#/$defs/", "")];
  if (found === undefined) throw new Error(`The schema has no ${reference}`);
  return found;
}

function oneOfErrors(value: unknown, choices: readonly JsonSchema[], root: JsonSchema, at: string): string[] {
  const errors = choices.map((choice) => schemaErrors(value, choice, root, at));
  const fitting = errors.filter((list) => list.length === 0).length;
  if (fitting === 1) return [];
  return [`${at} fits ${fitting} of ${choices.length} choices`, ...errors.flat()];
}

function typeOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  return Number.isInteger(value) ? "integer" : typeof value;
}

function scalarErrors(value: unknown, schema: JsonSchema, at: string): string[] {
  const errors: string[] = [];
  const types = schema.type === undefined ? undefined : [schema.type].flat();
  const type = typeOf(value);
  if (types !== undefined && !types.includes(type) && !(type === "integer" && types.includes("number"))) {
    errors.push(`${at} is ${type}, not ${types.join(" or ")}`);
  }
  if (schema.enum !== undefined && !schema.enum.includes(value))
    errors.push(`${at} is not one of ${schema.enum.join(", ")}`);
  if (schema.const !== undefined && schema.const !== value) errors.push(`${at} is not ${String(schema.const)}`);
  if (schema.pattern !== undefined && typeof value === "string" && !new RegExp(schema.pattern).test(value)) {
    errors.push(`${at} does not match ${schema.pattern}`);
  }
  if (schema.minimum !== undefined && typeof value === "number" && value < schema.minimum) {
    errors.push(`${at} is less than ${schema.minimum}`);
  }
  return errors;
}

function objectErrors(value: unknown, schema: JsonSchema, root: JsonSchema, at: string): string[] {
  if (typeOf(value) !== "object") return [];
  const fields = value as Readonly<Record<string, unknown>>;
  const errors = (schema.required ?? []).filter((name) => !(name in fields)).map((name) => `${at}.${name} is missing`);
  for (const [name, field] of Object.entries(fields)) {
    const known = schema.properties?.[name];
    const other = schema.additionalProperties;
    if (known !== undefined) errors.push(...schemaErrors(field, known, root, `${at}.${name}`));
    else if (other === false) errors.push(`${at}.${name} is not in the schema`);
    else if (typeof other === "object") errors.push(...schemaErrors(field, other, root, `${at}.${name}`));
  }
  return errors;
}

function itemErrors(value: unknown, schema: JsonSchema, root: JsonSchema, at: string): string[] {
  const { items } = schema;
  if (!Array.isArray(value) || items === undefined) return [];
  return value.flatMap((item, index) => schemaErrors(item, items, root, `${at}[${index}]`));
}
