export type Read = { isSound: true; value: unknown } | { isSound: false; fault: string };

/** A text as JSON, or what is wrong with it. */
export function readJson(text: string): Read {
  try {
    return { isSound: true, value: JSON.parse(text) as unknown };
  } catch (fault) {
    return {
      isSound: false,
      fault: `This is not JSON yet: ${fault instanceof Error ? fault.message : String(fault)}`,
    };
  }
}
