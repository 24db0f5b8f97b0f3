/* What the standing of the installation comes to, in a word and a sentence. */
import type { Schemas } from "../../api/client";

export interface Lag {
  who: string;
  of: string;
  waiting: number;
}

/** From here on somebody is behind, rather than at work. */
const BEHIND_COUNT_MIN = 1_000;
const BEHIND_S_MIN = 10;

/** Who has how much to take still: the read models first, then the rest, most first. */
export function lags(system: Schemas["SystemView"]): Lag[] {
  const others: Lag[] = [
    ...system.consumers.map(({ name, stream, waiting_messages }) => ({
      who: name,
      of: `messages of ${stream.toLowerCase()}`,
      waiting: waiting_messages,
    })),
    ...system.services
      .filter(({ waiting_messages }) => waiting_messages > 0)
      .map(({ name, waiting_messages }) => ({
        who: name,
        of: "messages in hand",
        waiting: waiting_messages,
      })),
  ];
  others.sort((one, other) => other.waiting - one.waiting || one.who.localeCompare(other.who));
  return [{ who: "read models", of: "events of the log", waiting: system.read_models_lag_events }, ...others];
}

/** Those that wait for a worker first. */
export function byNeed(queues: Schemas["QueueStanding"][]): Schemas["QueueStanding"][] {
  return [...queues].sort(
    (one, other) =>
      other.waiting_jobs - one.waiting_jobs ||
      other.taken_jobs - one.taken_jobs ||
      one.name.localeCompare(other.name),
  );
}

export function verdict(system: Schemas["SystemView"]): {
  status: "ok" | "waiting" | "failed";
  words: string;
} {
  if (!system.is_bus_up) return { status: "failed", words: "NATS does not answer" };
  const down = system.services.filter(({ is_up }) => is_up === false).map(({ name }) => name);
  if (down.length > 0) {
    return { status: "failed", words: `${down.join(", ")} ${down.length === 1 ? "does" : "do"} not answer` };
  }
  const deaf = system.services.filter(({ silent }) => silent.length > 0).map(({ name }) => name);
  if (deaf.length > 0) return { status: "waiting", words: `${deaf.join(", ")} may hear nothing` };
  if (system.breakers.length > 0) {
    return {
      status: "waiting",
      words: `circuit open: ${system.breakers.map(({ breaker }) => breaker).join(", ")}`,
    };
  }
  if (system.read_models_lag_s > BEHIND_S_MIN) {
    return { status: "waiting", words: `what you see is ${Math.round(system.read_models_lag_s)} s old` };
  }
  const behind = lags(system).filter(({ waiting }) => waiting >= BEHIND_COUNT_MIN);
  if (behind.length > 0)
    return { status: "waiting", words: `${behind.map(({ who }) => who).join(", ")} catching up` };
  return { status: "ok", words: "every service answers, none is behind" };
}
