/* What every tab of a run is given. */
import type { Schemas } from "../../api/client";
import type { Moments } from "./moments";
import type { Chosen } from "./useChosen";
import type { Run } from "./useRun";

export interface SeenRun {
  /** As it is shown: now, or at a moment of its past. */
  run: Run;
  /** As it is now, whatever is shown. */
  now: Run;
  /** The moment that is shown, a position of the log; null is now. */
  at: number | null;
  shape: Schemas["GraphView"];
  chosen: Chosen;
  moments: Moments;
  /** Load the moments that are not known yet. */
  want: () => void;
  /** Shows the run as it was then. */
  toPosition: (position: number) => void;
}
