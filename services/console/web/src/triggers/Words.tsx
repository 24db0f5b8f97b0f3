/** A sentence in which backticks stand around code. */
export function Words({ of }: { of: string }) {
  return (
    <span style={{ overflowWrap: "anywhere" }}>
      {of.split("`").map((part, index) =>
        index % 2 === 1 ? (
          <code key={index} className="ff-mono">
            {part}
          </code>
        ) : (
          part
        ),
      )}
    </span>
  );
}
