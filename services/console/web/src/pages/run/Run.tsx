import { Page } from "../../ui/Page";

export default function Run() {
  return <Page title="Run">…</Page>;
}
