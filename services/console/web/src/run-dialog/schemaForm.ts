/* The fields of a form for a simple JSON Schema: an object of texts, numbers, switches and choices. */
import { readJson } from "../ui/readJson";
import { isObject } from "../api/narrow";

export interface Field {
  name: string;
  label: string;
  kind: "text" | "number" | "integer" | "boolean" | "choice";
  isRequired: boolean;
  description: string;
  choices: string[];
  initial: FieldValue;
}

export type FieldValue = string | number | boolean | null;

const KINDS: Record<string, Field["kind"]> = {
  string: "text",
  number: "number",
  integer: "integer",
  boolean: "boolean",
};

/** Null where the schema asks for more than a form of single fields can give: then it is written as JSON. */
export function fieldsOf(schema: unknown): Field[] | null {
  if (!isObject(schema) || !isObject(schema["properties"])) return null;
  if (schema["type"] !== undefined && schema["type"] !== "object") return null;
  if (["allOf", "anyOf", "oneOf", "$ref", "if"].some((name) => name in schema)) return null;
  const required = Array.isArray(schema["required"]) ? schema["required"] : [];
  const fields = Object.entries(schema["properties"]).map(([name, of]) =>
    field(name, of, required.includes(name)),
  );
  return fields.every((one) => one !== null) && fields.length > 0 ? fields : null;
}

function field(name: string, of: unknown, isRequired: boolean): Field | null {
  if (!isObject(of)) return null;
  const choices = Array.isArray(of["enum"]) ? of["enum"] : null;
  if (choices?.some((choice) => typeof choice !== "string") === true) return null;
  const kind = choices === null ? KINDS[String(of["type"])] : "choice";
  if (kind === undefined) return null;
  return {
    name,
    label: typeof of["title"] === "string" ? of["title"] : name,
    kind,
    isRequired,
    description: typeof of["description"] === "string" ? of["description"] : "",
    choices: (choices ?? []).map(String),
    initial: initial(of["default"], kind),
  };
}

function initial(given: unknown, kind: Field["kind"]): FieldValue {
  if (typeof given === "string" || typeof given === "number" || typeof given === "boolean") return given;
  return kind === "boolean" ? false : null;
}

export function initialValues(fields: Field[]): Record<string, FieldValue> {
  return Object.fromEntries(fields.map(({ name, initial: value }) => [name, value]));
}

/** What was filled in; fields left empty are left out, for the schema to say whether that will do. */
export function inputOf(
  fields: Field[],
  values: Record<string, FieldValue>,
): Record<string, string | number | boolean> {
  const input: Record<string, string | number | boolean> = {};
  for (const { name } of fields) {
    const value = values[name];
    if (value !== null && value !== undefined && value !== "") input[name] = value;
  }
  return input;
}

/** Names of fields that must be filled in and are not. */
export function missing(fields: Field[], values: Record<string, FieldValue>): string[] {
  const given = inputOf(fields, values);
  return fields.filter(({ name, isRequired }) => isRequired && !(name in given)).map(({ label }) => label);
}

/** JSON text as a value; what is wrong with it in words otherwise. Nothing written is `{}`. */
export function parsed(text: string): { value: unknown } | { fault: string } {
  const given = readJson(text.trim() === "" ? "{}" : text);
  return given.isSound ? { value: given.value } : { fault: given.fault };
}
