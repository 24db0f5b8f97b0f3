import { Page } from "../../ui/Page";

export default function Workflows() {
  return <Page title="Workflows">…</Page>;
}
