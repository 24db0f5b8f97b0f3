import { useParams } from "react-router";
import { EventList } from "./EventList";
import { EventView } from "./EventView";

export default function Events() {
  const { eventId } = useParams();
  return eventId === undefined ? <EventList /> : <EventView key={eventId} eventId={eventId} />;
}
