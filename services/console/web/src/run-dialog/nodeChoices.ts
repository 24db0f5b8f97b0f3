import { fieldsOf, textOf } from "../api/narrow";

/** The nodes of a definition, to choose from. */
export function nodeChoices(nodes: readonly unknown[]): { value: string; label: string }[] {
  return nodes.map(fieldsOf).flatMap((node) => {
    const id = textOf(node["id"]);
    if (id === null) return [];
    const name = textOf(node["name"]) ?? "";
    return [{ value: id, label: name === "" || name === id ? id : `${name} (${id})` }];
  });
}
