import { Button, Grid, PasswordInput, Select, Text } from "@mantine/core";
import { DurationInput } from "../ui/DurationInput";
import { FilterField } from "./EventFields";
import type { FieldsProps } from "./fields";
import type { WebhookTrigger } from "./trigger";

const providers: { value: WebhookTrigger["config"]["provider"]; label: string }[] = [
  { value: "standard", label: "Standard Webhooks" },
  { value: "github", label: "GitHub" },
  { value: "stripe", label: "Stripe" },
  { value: "slack", label: "Slack" },
];
const SECRET_BYTES = 32;

function newSecret(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  return `whsec_${btoa(String.fromCharCode(...bytes))}`;
}

export function WebhookFields({
  value,
  onChange,
  sample,
  isNew,
}: FieldsProps<WebhookTrigger> & { isNew: boolean }) {
  const { config } = value;
  const set = (changed: Partial<WebhookTrigger["config"]>) =>
    onChange({ ...value, config: { ...config, ...changed } });
  const secret = typeof config.secret === "string" ? config.secret : "";
  const withSecret = (text: string) => {
    const rest = { ...config };
    delete rest.secret;
    onChange({ ...value, config: text === "" ? rest : { ...rest, secret: text } });
  };
  return (
    <Grid align="flex-start">
      <Grid.Col span={{ base: 12, sm: 4 }}>
        <Select
          label="Signed as"
          data={providers}
          value={config.provider}
          allowDeselect={false}
          onChange={(chosen) => chosen !== null && set({ provider: chosen })}
        />
      </Grid.Col>
      <Grid.Col span={{ base: 12, sm: 8 }}>
        <PasswordInput
          label="Secret"
          description={
            isNew
              ? "The sender signs with it. Copy it now: it is never shown again"
              : "Leave it empty to keep the one there is; it is never shown"
          }
          required={isNew}
          autoComplete="off"
          value={secret}
          onChange={({ currentTarget }) => withSecret(currentTarget.value)}
        />
        <Button variant="subtle" size="compact-sm" mt={4} onClick={() => withSecret(newSecret())}>
          Make one
        </Button>
        {secret === "" ? null : (
          <Text size="sm" component="div" mt={4} style={{ overflowWrap: "anywhere" }}>
            <code className="ff-mono">{secret}</code>
          </Text>
        )}
      </Grid.Col>
      <Grid.Col span={12}>
        <FilterField value={value} onChange={onChange} sample={sample} />
      </Grid.Col>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <DurationInput
          label="A request may be so old"
          value={config.tolerance_ms}
          onChange={(ms) => ms !== null && set({ tolerance_ms: ms })}
        />
      </Grid.Col>
      <Grid.Col span={{ base: 12, sm: 6 }}>
        <DurationInput
          label="An old secret stays good for"
          description="After a new one was set"
          value={config.secret_overlap_ms === 0 ? null : config.secret_overlap_ms}
          onChange={(ms) => set({ secret_overlap_ms: ms ?? 0 })}
        />
      </Grid.Col>
    </Grid>
  );
}
