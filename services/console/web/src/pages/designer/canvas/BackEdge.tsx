import { BaseEdge, type EdgeProps } from "@xyflow/react";

/** An edge that leads back to the left goes around below, where it can be seen. */
export function BackEdge(props: EdgeProps) {
  const { sourceX, sourceY, targetX, targetY, id, label, labelBgStyle, labelStyle, style, interactionWidth } =
    props;
  const below = Math.max(sourceY, targetY) + 70 + Math.min(120, Math.abs(sourceX - targetX) / 8);
  const path = `M ${sourceX},${sourceY} C ${sourceX + 90},${below} ${targetX - 90},${below} ${targetX},${targetY}`;
  return (
    <BaseEdge
      id={id}
      path={path}
      label={label}
      labelX={(sourceX + targetX) / 2}
      labelY={below - 20}
      labelShowBg
      {...(labelBgStyle === undefined ? {} : { labelBgStyle })}
      {...(labelStyle === undefined ? {} : { labelStyle })}
      {...(style === undefined ? {} : { style })}
      {...(interactionWidth === undefined ? {} : { interactionWidth })}
    />
  );
}
