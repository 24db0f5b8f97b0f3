import { Page } from "../../ui/Page";

export default function Trigger() {
  return <Page title="Trigger">…</Page>;
}
