import { Page } from "../../ui/Page";

export default function Triggers() {
  return <Page title="Triggers">…</Page>;
}
