import { notifications } from "@mantine/notifications";
import { Problem } from "../api/client";

/** What went wrong, in the server's own words: they name what, why and what to do. */
export function sayProblem(error: unknown, heading?: string): void {
  const title = heading ?? (error instanceof Problem ? error.title : "That did not work");
  const text = error instanceof Error ? error.message : String(error);
  notifications.show({ title, message: text, color: "red", autoClose: 12_000 });
}

export function say(message: string, title?: string): void {
  notifications.show({ ...(title === undefined ? {} : { title }), message, color: "cyan", autoClose: 5_000 });
}
