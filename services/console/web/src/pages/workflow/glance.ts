/* A summary of differences as a few sentences. */
interface Names {
  added?: string[];
  removed?: string[];
  changed?: string[];
}

interface Summary {
  nodes: Names;
  edges: Names;
  triggers: Names;
  variables: Names;
  settings: string[];
  fields: string[];
}

export function glance(summary: Summary): string[] {
  const parts = [
    ...of("node", summary.nodes),
    ...of("edge", summary.edges),
    ...of("trigger", summary.triggers),
    ...of("variable", summary.variables),
  ];
  if (summary.settings.length > 0) parts.push(`settings changed: ${summary.settings.join(", ")}`);
  if (summary.fields.length > 0) parts.push(`also changed: ${summary.fields.join(", ")}`);
  return parts.map((part, at) => (at === 0 ? part.charAt(0).toUpperCase() + part.slice(1) : part));
}

function of(what: string, { added = [], removed = [], changed = [] }: Names): string[] {
  return [[added, "added"] as const, [removed, "removed"] as const, [changed, "changed"] as const]
    .filter(([names]) => names.length > 0)
    .map(([names, done]) => `${what}${names.length === 1 ? "" : "s"} ${done}: ${names.join(", ")}`);
}
