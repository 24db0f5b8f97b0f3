import { Page } from "../../ui/Page";

export default function Overview() {
  return <Page title="Overview">…</Page>;
}
