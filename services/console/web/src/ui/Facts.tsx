import type { ReactNode } from "react";

/** Names and values, in two columns. */
export function Facts({ of }: { of: [string, ReactNode][] }) {
  return (
    <dl className="ff-facts">
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
