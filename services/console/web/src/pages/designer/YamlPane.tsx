/* The definition as text, beside the canvas: both are the same, whichever is changed. */
import type { Diagnostic } from "@codemirror/lint";
import { Button, Group, Text } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { http } from "../../api/client";
import { Code } from "../../editor/Code";
import { definitionOf, textOfDesign, type Design } from "./model/design";
import { locate, read } from "./text/read";
import { useDesign } from "./useDesign";

/** Typing is taken over when it pauses for so long. */
const PAUSE_MS = 250;
/** The text of so many nodes takes longer to make than a key to press. */
const LARGE_FROM = 100;

export function YamlPane({ design }: { design: Design }) {
  const { act } = useDesign();
  const isLarge = definitionOf(design).nodes.length > LARGE_FROM;
  const [settled] = useDebouncedValue(design, isLarge ? PAUSE_MS : 0);
  const text = useMemo(() => textOfDesign(isLarge ? settled : design), [isLarge, settled, design]);
  const [typed, setTyped] = useState<string | null>(null);
  const timer = useRef(0);
  const pending = useRef<string | null>(null);
  const flush = useCallback(() => {
    clearTimeout(timer.current);
    if (pending.current === null) return;
    act({ do: "type", text: pending.current, now: Date.now() });
    pending.current = null;
    setTyped(null);
  }, [act]);
  useEffect(() => flush, [flush]);
  const type = (next: string) => {
    if (next === text && pending.current === null) return;
    pending.current = next;
    setTyped(next);
    clearTimeout(timer.current);
    timer.current = window.setTimeout(flush, PAUSE_MS);
  };
  return (
    <section className="ff-designer-yaml" aria-label="Definition as YAML" data-testid="yaml-pane">
      {design.broken === null ? null : (
        <Group gap="xs" role="alert" data-testid="yaml-fault">
          <Text size="xs" style={{ color: "var(--ff-failed)", flex: 1 }}>
            Line {design.broken.fault.line}: {design.broken.fault.message}. The canvas shows what was before.
          </Text>
          <Button variant="default" size="compact-xs" onClick={() => act({ do: "mend" })}>
            Take it back
          </Button>
        </Group>
      )}
      <div style={{ flex: 1, minHeight: 0 }} onBlur={flush}>
        <Code
          label="Definition as YAML"
          language="yaml"
          value={typed ?? text}
          onChange={type}
          faults={faults}
        />
      </div>
    </section>
  );
}

/** The text's own faults, else what the server says about what it means. */
async function faults(text: string): Promise<Diagnostic[]> {
  const got = read(text);
  if ("fault" in got) {
    const { from, to, message } = got.fault;
    return [{ from, to: Math.min(Math.max(to, from + 1), text.length), severity: "error", message }];
  }
  const { data } = await http.POST("/api/workflows/validate", { body: got.definition });
  const findings = [...(data?.errors ?? []), ...(data?.warnings ?? [])];
  const places = locate(
    text,
    findings.map(({ path }) => path ?? "$"),
  );
  return findings.map(({ message, severity }, index) => ({
    from: places[index]?.from ?? 0,
    to: places[index]?.to ?? 0,
    severity: severity === "warning" ? "warning" : "error",
    message,
  }));
}
