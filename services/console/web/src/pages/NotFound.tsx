import { Button } from "@mantine/core";
import { Link } from "react-router";
import { Page } from "../ui/Page";
import { Empty } from "../ui/Said";

export function NotFound() {
  return (
    <Page title="No such page">
      <Empty
        title="There is nothing at this address"
        action={
          <Button component={Link} to="/">
            To the overview
          </Button>
        }
      >
        It may be mistyped, or what was here has another name now.
      </Empty>
    </Page>
  );
}
