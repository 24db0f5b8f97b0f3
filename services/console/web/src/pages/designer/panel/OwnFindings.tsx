import { Text } from "@mantine/core";
import { foundAt, type Place } from "../check/findings";
import { useDesign } from "../useDesign";

/** What is wrong with a thing as a whole, with none of its fields. */
export function OwnFindings({ kind, id }: { kind: Place["kind"]; id: string }) {
  const { found } = useDesign();
  const own = foundAt(found, kind, id, "");
  if (own.length === 0) return null;
  return (
    <div role="status">
      {own.map(({ finding, isError }, index) => (
        <Text key={index} size="xs" style={{ color: `var(--ff-${isError ? "failed" : "waiting"})` }}>
          {isError ? "Error" : "Warning"}: {finding.message}
          {finding.suggested_resolution === "" ? "" : ` → ${finding.suggested_resolution}`}
        </Text>
      ))}
    </div>
  );
}
