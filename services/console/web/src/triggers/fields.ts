import type { Trigger } from "./trigger";

/** What the fields of every type are given. */
export interface FieldsProps<T extends Trigger> {
  value: T;
  onChange: (value: T) => void;
  /** An event to complete and to try with. */
  sample: unknown;
}
