/* Text with lines, colours, completion and faults (CodeMirror), loaded when it is first needed. */
import { lazy, Suspense } from "react";
import { Loading } from "../ui/Said";
import type { EditorProps } from "./Editor";

const Editor = lazy(() => import("./Editor"));

export function Code(props: EditorProps) {
  return (
    <Suspense fallback={<Loading what="Loading the editor" />}>
      <Editor {...props} />
    </Suspense>
  );
}
