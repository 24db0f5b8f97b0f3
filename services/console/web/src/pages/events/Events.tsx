import { Page } from "../../ui/Page";

export default function Events() {
  return <Page title="Events">…</Page>;
}
