import type { Schemas } from "../../api/client";

type Config = Schemas["TriggerConfig"];

/** All six, each once, of which one is as it should be now; whatever else a config says stays. */
export function changed(
  configs: Config[],
  blueprints: { trigger_type: string }[],
  type: string,
  isEnabled: boolean,
): Config[] {
  return blueprints.map(({ trigger_type }) => {
    const config = configs.find((one) => one.trigger_type === trigger_type);
    const now = config?.is_enabled ?? false;
    return { ...config, trigger_type, is_enabled: trigger_type === type ? isEnabled : now } as Config;
  });
}
