/* Who may do what, with which keys; secrets that workflows name; who outside is told of runs. */
import { Tabs } from "@mantine/core";
import { useMay } from "../../shell/session";
import { TabList } from "../../ui/TabList";
import { Page } from "../../ui/Page";
import { useFilters } from "../../ui/useFilters";
import { Mine } from "./Mine";
import { Outgoing } from "./Outgoing";
import { Secrets } from "./Secrets";
import { Users } from "./Users";

interface Tab {
  id: string;
  label: string;
  isMine: boolean;
  of: () => React.ReactNode;
}

export default function People() {
  const [filter, setFilter] = useFilters();
  const [isAdmin, isEditor] = [useMay("admin"), useMay("editor")];
  const tabs: Tab[] = [
    { id: "people", label: "People", isMine: isAdmin, of: Users },
    { id: "mine", label: "My keys", isMine: true, of: Mine },
    { id: "secrets", label: "Secrets", isMine: isEditor, of: Secrets },
    { id: "outgoing", label: "Outgoing", isMine: true, of: Outgoing },
  ].filter(({ isMine }) => isMine);
  const chosen = tabs.find(({ id }) => id === filter("tab")) ?? tabs[0];
  if (chosen === undefined) return null;
  const Chosen = chosen.of;
  return (
    <Page title="People and keys">
      <Tabs value={chosen.id} onChange={(tab) => setFilter({ tab, user: null })} keepMounted={false}>
        <TabList shown={chosen.id}>
          {tabs.map(({ id, label }) => (
            <Tabs.Tab key={id} value={id} data-testid={`tab-${id}`}>
              {label}
            </Tabs.Tab>
          ))}
        </TabList>
        <Tabs.Panel value={chosen.id} pt="md">
          <Chosen />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}
