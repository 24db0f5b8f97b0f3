/* Numbers over time (uPlot): bars stacked on each other, or lines. */
import "uplot/dist/uPlot.min.css";
import uPlot from "uplot";
import { useComputedColorScheme } from "@mantine/core";
import { useElementSize } from "@mantine/hooks";
import { useEffect, useMemo, useRef } from "react";
import { local } from "./times";

export interface Series {
  label: string;
  /** A CSS colour; custom properties may be used. */
  colour: string;
  values: (number | null)[];
}

interface ChartProps {
  /** Beginnings of the times, in seconds since 1970. */
  times: number[];
  series: Series[];
  kind: "stacked" | "line";
  label: string;
  height?: number;
  format?: (value: number) => string;
}

export function Chart({ times, series, kind, label, height = 160, format = String }: ChartProps) {
  const { ref: box, width } = useElementSize();
  const place = useRef<HTMLDivElement>(null);
  const scheme = useComputedColorScheme("light");
  const said = useMemo(() => summary(series), [series]);
  useEffect(() => {
    if (place.current === null || width === 0 || times.length === 0) return;
    const style = getComputedStyle(place.current);
    const colour = (value: string) =>
      value.replace(
        /^var\((--[\w-]+)\)$/,
        (_all, name: string) => style.getPropertyValue(name).trim() || "#888",
      );
    const axis = {
      stroke: style.color,
      grid: { stroke: colour("var(--ff-line)"), width: 1 },
      ticks: { show: false },
      font: "11px sans-serif",
    };
    const plot = new uPlot(
      {
        width,
        height,
        cursor: { y: false, drag: { x: false, y: false } },
        legend: { show: series.length > 1, live: true },
        scales: { y: { range: (_plot, _least, most) => [0, Math.max(most || 0, 1)] } },
        axes: [
          { ...axis, values: (_plot, instants) => instants.map(instant) },
          {
            ...axis,
            size: widthOf,
            ...(kind === "stacked" ? { incrs: WHOLE } : {}),
            values: (_plot, values) => values.map((value) => format(value)),
          },
        ],
        series: [
          {
            label: "Time",
            value: (_plot: uPlot, at: number | null) => (at === null ? "" : local(new Date(at * 1_000))),
          },
          ...drawn(series, kind, colour, format),
        ],
      },
      [times, ...(kind === "stacked" ? stacked(series) : series.map(({ values }) => values))],
      place.current,
    );
    return () => plot.destroy();
  }, [times, series, kind, width, height, scheme, format]);
  return (
    <div ref={box}>
      <div ref={place} role="img" aria-label={`${label}: ${said}`} />
    </div>
  );
}

/** Steps of an axis that counts things: there is no half of one. */
const WHOLE = [0, 1, 2, 3, 4, 5, 6].flatMap((power) => [1, 2, 5].map((one) => one * 10 ** power));
const AXIS_MIN_PX = 46;
const LETTER_PX = 6.5;

/** So wide that what is longest on the axis is not cut off. */
function widthOf(_plot: uPlot, values: string[] | null): number {
  const longest = Math.max(0, ...(values ?? []).map(({ length }) => length));
  return Math.max(AXIS_MIN_PX, longest * LETTER_PX + 12);
}

const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/** Where a day begins its name, else the time, in the viewer's zone. */
function instant(seconds: number): string {
  const at = new Date(seconds * 1_000);
  return at.getHours() === 0 && at.getMinutes() === 0 ? day.format(at) : time.format(at);
}

function summary(series: Series[]): string {
  return series
    .map(({ label, values }) => `${label} ${values.reduce<number>((sum, value) => sum + (value ?? 0), 0)}`)
    .join(", ");
}

/** Each on top of those after it, so that the first drawn is the tallest. */
function stacked(series: Series[]): number[][] {
  return series.map((_one, index) =>
    (series[0]?.values ?? []).map((_value, at) =>
      series.slice(index).reduce((sum, { values }) => sum + (values[at] ?? 0), 0),
    ),
  );
}

function drawn(
  series: Series[],
  kind: ChartProps["kind"],
  colour: (value: string) => string,
  format: (value: number) => string,
): uPlot.Series[] {
  return series.map((one) => ({
    label: one.label,
    stroke: colour(one.colour),
    value: (_plot: uPlot, _value: number | null, _index: number, at: number | null) =>
      at === null ? "" : format(one.values[at] ?? 0),
    ...(kind === "stacked"
      ? {
          fill: colour(one.colour),
          width: 0, // an hour without any would have a line
          paths: uPlot.paths.bars?.({ size: [0.8, 40] }),
          points: { show: false },
        }
      : { width: 2, points: { show: false } }),
  }));
}
