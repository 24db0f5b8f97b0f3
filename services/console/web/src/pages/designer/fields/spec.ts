/* How a field is shown and typed, and how it is read from and written to what it belongs to. */
import { fieldOf, fieldsOf, isFields, withField, withKey, type Fields } from "../model/definition";

export type FieldKind =
  | "text"
  | "area"
  | "number"
  | "ms"
  | "flag"
  | "choice"
  /** CEL, without `${…}`. */
  | "cel"
  /** One text with expressions, in one line or several. */
  | "template"
  | "templateArea"
  /** As a template, or any JSON value: `5`, `[1, 2]`. */
  | "value"
  /** Name → template. */
  | "templates"
  /** Any JSON. */
  | "json"
  | "texts"
  | "code"
  | "workflow"
  | "node"
  | "nodes"
  | "prompt"
  | "branches"
  | "body"
  | "ports"
  | "variables";

export interface FieldSpec {
  /** Dotted where it lies deeper: `retry_policy.delay_ms`. */
  name: string;
  label: string;
  kind: FieldKind;
  help?: string;
  /** Help that depends on what is chosen. */
  helpOf?: (value: string) => string | undefined;
  options?: readonly (readonly [value: string, label: string])[];
  placeholder?: string;
  /** It has to be given. */
  isRequired?: boolean;
  /** Shown only then. */
  when?: (of: Fields) => boolean;
  /** What it is without being written; such a value is not written. */
  unwritten?: unknown;
  /** Of `node`: only of this type. */
  type?: string;
  /** Of `templates`: what stands over the two columns. */
  columns?: readonly [string, string];
}

export function readField(of: Fields, name: string): unknown {
  const [first = "", ...rest] = name.split(".");
  return rest.reduce<unknown>((value, key) => fieldsOf(value)[key], fieldOf(of, first));
}

/** With the field set; empty ones are taken away, and what they leave empty too. */
export function writeField<T extends Fields>(of: T, name: string, value: unknown, unwritten?: unknown): T {
  const [first = "", ...rest] = name.split(".");
  const wanted = value === unwritten || isEmpty(value) ? undefined : value;
  if (rest.length === 0) return withField(of, first, wanted);
  const inner = written(fieldsOf(fieldOf(of, first)), rest, wanted);
  return withField(of, first, isEmpty(inner) ? undefined : inner);
}

function written(fields: Fields, [first = "", ...rest]: string[], value: unknown): Fields {
  if (rest.length === 0) return withKey(fields, first, value);
  const inner = written(fieldsOf(fields[first]), rest, value);
  return withKey(fields, first, isEmpty(inner) ? undefined : inner);
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  return isFields(value) && Object.keys(value).length === 0;
}
