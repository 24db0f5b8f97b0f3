/* A simple form of a run's input, where its schema is simple. */
import { fieldsOf, isFields, listOf, textOf, type Definition } from "../model/definition";

export interface InputField {
  name: string;
  kind: "text" | "number" | "flag" | "choice";
  isRequired: boolean;
  description: string;
  options: string[];
  start: unknown;
}

/** The fields of an object of texts, numbers and yes or no; null where the schema is anything else. */
export function formOf(definition: Definition): InputField[] | null {
  const schema = fieldsOf(definition["input_schema"]);
  const properties = schema["properties"];
  if ((schema["type"] ?? "object") !== "object" || !isFields(properties)) return null;
  const required = new Set(listOf(schema["required"]));
  const fields = Object.entries(properties).map(([name, property]) =>
    fieldOf(name, property, required.has(name)),
  );
  return fields.length > 0 && fields.every((field) => field !== null) ? fields : null;
}

const KINDS: Record<string, InputField["kind"]> = {
  string: "text",
  number: "number",
  integer: "number",
  boolean: "flag",
};

function fieldOf(name: string, property: unknown, isRequired: boolean): InputField | null {
  if (!isFields(property)) return null;
  const options = listOf(property["enum"]).filter((one): one is string => typeof one === "string");
  const kind = options.length > 0 ? "choice" : KINDS[textOf(property["type"])];
  if (kind === undefined) return null;
  const start = property["default"] ?? (kind === "choice" && isRequired ? options[0] : undefined);
  return { name, kind, isRequired, description: textOf(property["description"]), options, start };
}

/** What a run is first offered as its input: the defaults that the schema names. */
export function startOf(definition: Definition): Record<string, unknown> {
  const fields = formOf(definition) ?? [];
  return Object.fromEntries(
    fields.filter(({ start }) => start !== undefined).map(({ name, start }) => [name, start]),
  );
}
