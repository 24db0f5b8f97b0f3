import { useReactFlow, useStoreApi } from "@xyflow/react";
import { useCallback } from "react";
import { firstView } from "../../../graph/firstView";
import { NODE_HEIGHT, NODE_WIDTH } from "../../../graph/layout";

const MOVED_WITHIN_MS = 150;

/** Shows the graph from its beginning; with a node's id, that node, where not all can be seen at once. */
export function useShow(): (nodeId?: string | null) => void {
  const flow = useReactFlow();
  const store = useStoreApi();
  return useCallback(
    (nodeId = null) => {
      const { width, height } = store.getState();
      const places = flow.getNodes().map(({ position }) => position);
      const view = firstView(places, width, height);
      if (view === null) return;
      const node = nodeId === null ? undefined : flow.getNode(nodeId);
      if (node === undefined || view.isWhole) void flow.setViewport(view);
      else {
        const { x, y } = node.position;
        const zoom = Math.max(flow.getZoom(), view.zoom);
        void flow.setCenter(x + NODE_WIDTH / 2, y + NODE_HEIGHT / 2, { zoom, duration: MOVED_WITHIN_MS });
      }
    },
    [flow, store],
  );
}
