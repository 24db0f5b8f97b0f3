/* Moves the page through the run's history, event by event. */
import { ActionIcon, Button, Group, Slider, Text, Tooltip } from "@mantine/core";
import {
  IconChevronLeft,
  IconChevronRight,
  IconHistory,
  IconPlayerPause,
  IconPlayerPlay,
} from "@tabler/icons-react";
import { When } from "../../ui/When";
import { count } from "../../ui/times";
import { knownAt, type Moments } from "./moments";
import type { Travel } from "./useMoment";
import type { Run } from "./useRun";

interface TimeSliderProps {
  travel: Travel;
  moments: Moments;
  /** What is shown, where it is the past. */
  asOf: Run["as_of"];
}

export function TimeSlider({ travel, moments, asOf }: TimeSliderProps) {
  const isPast = travel.at !== null;
  if (travel.count < 2) return null;
  return (
    <div
      className="ff-panel"
      data-testid="time-slider"
      data-at={travel.at ?? "now"}
      role="group"
      aria-label="Time"
      style={{ padding: "6px 12px", borderColor: isPast ? "var(--ff-waiting)" : undefined }}
    >
      <Group gap="sm" wrap="nowrap">
        <Steps travel={travel} />
        <Slider
          style={{ flex: 1 }}
          size="sm"
          min={1}
          max={travel.count}
          value={travel.number}
          onChange={travel.go}
          label={(number) => `${count(number)} of ${count(travel.count)}`}
          color={isPast ? "yellow" : undefined}
          thumbLabel="Moment of the run"
          thumbProps={{ "aria-valuetext": `event ${travel.number} of ${travel.count}` }}
        />
        <Button
          size="compact-sm"
          variant={isPast ? "filled" : "default"}
          disabled={!isPast}
          onClick={travel.toNow}
        >
          Now
        </Button>
      </Group>
      {isPast ? <Past travel={travel} moments={moments} asOf={asOf} /> : null}
    </div>
  );
}

function Steps({ travel }: { travel: Travel }) {
  return (
    <Group gap={2} wrap="nowrap">
      <Tooltip label="One event back">
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label="One event back"
          disabled={travel.number <= 1}
          onClick={() => travel.go(travel.number - 1)}
        >
          <IconChevronLeft size={18} />
        </ActionIcon>
      </Tooltip>
      <Tooltip label={travel.isPlaying ? "Stop" : "Play its history"}>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={travel.isPlaying ? "Stop playing" : "Play its history"}
          onClick={travel.play}
        >
          {travel.isPlaying ? <IconPlayerPause size={18} /> : <IconPlayerPlay size={18} />}
        </ActionIcon>
      </Tooltip>
      <Tooltip label="One event on">
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label="One event on"
          disabled={travel.at === null || travel.number >= travel.count}
          onClick={() => travel.go(travel.number + 1)}
        >
          <IconChevronRight size={18} />
        </ActionIcon>
      </Tooltip>
    </Group>
  );
}

function Past({ travel, moments, asOf }: TimeSliderProps) {
  const known = knownAt(moments, travel.number);
  const type = known?.type ?? asOf?.type;
  const at = known?.at ?? asOf?.at;
  return (
    <Text
      size="sm"
      component="div"
      role="status"
      data-testid="past"
      style={{ color: "var(--ff-waiting)", display: "flex", gap: 6, flexWrap: "wrap", alignItems: "center" }}
    >
      <IconHistory size={15} aria-hidden />
      <b>You see the past:</b>
      <span className="ff-number">
        event {known === null ? "about " : ""}
        {count(travel.number)} of {count(travel.count)}
      </span>
      {type === undefined ? null : (
        <span>
          · {type} {known?.nodeId ?? ""}
          {known === null || known.instance === "" ? "" : ` #${known.instance}`} ·{" "}
        </span>
      )}
      {at === undefined ? null : <When at={at} />}
    </Text>
  );
}
