/* Definitions out of text: YAML (JSON is some), one document or several. */
import { parseAllDocuments } from "yaml";
import { isObject } from "../../api/narrow";
import type { Definition } from "../../definition/plain";

export type Imported = { definitions: Definition[] } | { fault: string };

export function imported(text: string): Imported {
  if (text.trim() === "") return { fault: "There is nothing yet: paste a definition, or choose a file." };
  const documents = parseAllDocuments(text);
  if (!Array.isArray(documents)) return { fault: "There is no document in this text." };
  const definitions: Definition[] = [];
  for (const document of documents) {
    const [error] = document.errors;
    if (error !== undefined) return { fault: error.message };
    const value: unknown = document.toJS();
    if (value === null) continue;
    if (!isObject(value) || typeof value["id"] !== "string") {
      return { fault: "A definition is an object with an id, a name and nodes; this is something else." };
    }
    definitions.push(value);
  }
  return definitions.length === 0 ? { fault: "There is no definition in this text." } : { definitions };
}
