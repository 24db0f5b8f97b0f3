import { Page } from "../../ui/Page";

export default function Designer() {
  return <Page title="Designer">…</Page>;
}
