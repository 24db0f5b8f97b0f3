/* A page that throws takes only itself down: the rest of the console stays, and it says what happened. */
import { Button } from "@mantine/core";
import { Component, type ReactNode } from "react";
import { Page } from "../ui/Page";
import { Failed } from "../ui/Said";

interface BrokenProps {
  /** Another address is another page, which gets its own try. */
  address: string;
  children: ReactNode;
}

export class Broken extends Component<BrokenProps, { error: unknown; at: string }> {
  override state = { error: null as unknown, at: this.props.address };

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  static getDerivedStateFromProps({ address }: BrokenProps, { at }: { at: string }) {
    return address === at ? null : { error: null, at: address };
  }

  override render() {
    if (this.state.error === null) return this.props.children;
    return (
      <Page
        title="This page broke"
        actions={
          <Button variant="default" onClick={() => window.location.reload()}>
            Load it anew
          </Button>
        }
      >
        <Failed error={this.state.error} onRetry={() => this.setState({ error: null })} />
      </Page>
    );
  }
}
