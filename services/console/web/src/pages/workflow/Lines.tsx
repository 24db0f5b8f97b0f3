/* A difference of texts as lines, one below the other or side by side; what did not change is folded. */
import "./lines.css";
import { Button } from "@mantine/core";
import { useState } from "react";
import { folded, type Line, type Part } from "../../definition/textDiff";
import { paired } from "./paired";

const signs = { same: " ", removed: "−", added: "+" };
const names = { same: undefined, removed: "removed", added: "added" };

interface LinesProps {
  lines: Line[];
  isBeside: boolean;
  labels: [string, string];
}

export function Lines({ lines, isBeside, labels }: LinesProps) {
  const parts = folded(lines);
  return (
    <div
      className="ff-panel ff-scroll ff-diff"
      role="region"
      aria-label={`${labels[0]} and ${labels[1]}`}
      tabIndex={0}
    >
      <table>
        <thead>
          <tr>
            {isBeside ? (
              labels.map((label) => (
                <th key={label} colSpan={2} scope="colgroup">
                  {label}
                </th>
              ))
            ) : (
              <th colSpan={3} scope="colgroup">
                {labels.join(" → ")}
              </th>
            )}
          </tr>
        </thead>
        {parts.map((part, index) => (
          <Shown key={index} part={part} isBeside={isBeside} />
        ))}
      </table>
    </div>
  );
}

function Shown({ part, isBeside }: { part: Part; isBeside: boolean }) {
  const [isOpen, setOpen] = useState(false);
  if ("hidden" in part && !isOpen) {
    return (
      <tbody>
        <tr>
          <td colSpan={isBeside ? 4 : 3} className="ff-diff-fold">
            <Button variant="subtle" size="compact-xs" onClick={() => setOpen(true)}>
              {part.hidden.length} {part.hidden.length === 1 ? "line" : "lines"} without a change
            </Button>
          </td>
        </tr>
      </tbody>
    );
  }
  const lines = "lines" in part ? part.lines : part.hidden;
  return <tbody>{isBeside ? <Beside lines={lines} /> : <Below lines={lines} />}</tbody>;
}

function Below({ lines }: { lines: Line[] }) {
  return lines.map((line, index) => (
    <tr key={index} className={`ff-diff-${line.kind}`}>
      <td className="ff-diff-number">{line.before}</td>
      <td className="ff-diff-number">{line.after}</td>
      <Text line={line} />
    </tr>
  ));
}

function Beside({ lines }: { lines: Line[] }) {
  return paired(lines).map(([before, after], index) => (
    <tr key={index}>
      <td className={`ff-diff-number ff-diff-${before?.kind ?? "none"}`}>{before?.before}</td>
      <Text line={before} />
      <td className={`ff-diff-number ff-diff-${after?.kind ?? "none"}`}>{after?.after}</td>
      <Text line={after} />
    </tr>
  ));
}

function Text({ line }: { line: Line | null }) {
  if (line === null) return <td className="ff-diff-none" />;
  return (
    <td className={`ff-diff-text ff-diff-${line.kind}`}>
      <span aria-hidden>{signs[line.kind]} </span>
      {names[line.kind] === undefined ? null : <span className="ff-hidden">{names[line.kind]}: </span>}
      {line.text}
    </td>
  );
}
