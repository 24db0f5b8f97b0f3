/* Edges that are not the straight way from the left to the right. */
import { BaseEdge, type EdgeProps } from "@xyflow/react";
import { pathAround, type Detour } from "./detours";

/** An edge that leads back to the left goes around below, where it can be seen. */
function BackEdge(props: EdgeProps) {
  const { sourceX, sourceY, targetX, targetY } = props;
  const below = Math.max(sourceY, targetY) + 70 + Math.min(120, Math.abs(sourceX - targetX) / 8);
  const path = `M ${sourceX},${sourceY} C ${sourceX + 90},${below} ${targetX - 90},${below} ${targetX},${targetY}`;
  return <Line {...props} path={path} at={{ x: (sourceX + targetX) / 2, y: below - 20 }} />;
}

/** An edge that would run over nodes goes around them: `data` is the detour. */
function AroundEdge(props: EdgeProps) {
  const detour = props.data as unknown as Detour;
  const path = pathAround(
    { x: props.sourceX, y: props.sourceY },
    { x: props.targetX, y: props.targetY },
    detour,
  );
  return <Line {...props} path={path} at={{ x: (detour.from + detour.to) / 2, y: detour.y }} />;
}

type LineProps = EdgeProps & { path: string; at: { x: number; y: number } };

function Line({ id, path, at, label, labelBgStyle, labelStyle, style, interactionWidth }: LineProps) {
  return (
    <BaseEdge
      id={id}
      path={path}
      label={label}
      labelX={at.x}
      labelY={at.y}
      labelShowBg
      {...(labelBgStyle === undefined ? {} : { labelBgStyle })}
      {...(labelStyle === undefined ? {} : { labelStyle })}
      {...(style === undefined ? {} : { style })}
      {...(interactionWidth === undefined ? {} : { interactionWidth })}
    />
  );
}

export const lineKinds = { back: BackEdge, around: AroundEdge };
