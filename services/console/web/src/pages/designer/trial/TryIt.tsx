import {
  Alert,
  Button,
  Group,
  Modal,
  NativeSelect,
  NumberInput,
  Stack,
  Switch,
  Text,
  TextInput,
} from "@mantine/core";
import { IconPlayerPlay } from "@tabler/icons-react";
import { useMemo, useState } from "react";
import { Code } from "../../../editor/Code";
import { readJson } from "../../../ui/readJson";
import { textOf, withKey, type Definition, type Fields } from "../model/definition";
import { formOf, startOf, type InputField } from "./inputs";

interface TryItProps {
  definition: Definition;
  /** What has to be said about saving first; null where it is saved. */
  savesAs: string | null;
  isFaulty: boolean;
  isBusy: boolean;
  onRun: (input: unknown) => void;
  onClose: () => void;
}

/** Runs it once, with a test input. */
export function TryIt({ definition, savesAs, isFaulty, isBusy, onRun, onClose }: TryItProps) {
  const form = useMemo(() => formOf(definition), [definition]);
  const [input, setInput] = useState<Fields>(() => startOf(definition));
  const [text, setText] = useState(() => (form === null ? "{}" : ""));
  const parsed = useMemo(() => readJson(text.trim() === "" ? "{}" : text), [text]);
  const fault = form === null && !parsed.isSound ? parsed.fault : null;
  const run = () => onRun(form === null ? (parsed.isSound ? parsed.value : {}) : input);
  return (
    <Modal opened onClose={onClose} title="Try it" size="lg">
      <form
        data-testid="try-it"
        onSubmit={(event) => {
          event.preventDefault();
          if (fault === null) run();
        }}
      >
        <Stack>
          {form === null ? (
            <div>
              <Text size="sm" mb={4}>
                Input of the run, as JSON
              </Text>
              <Code
                label="Input of the run, as JSON"
                language="json"
                value={text}
                onChange={setText}
                height="180px"
              />
              {fault === null ? null : (
                <Text size="xs" style={{ color: "var(--ff-failed)" }} role="alert">
                  {fault}
                </Text>
              )}
            </div>
          ) : (
            form.map((field) => (
              <InputControl
                key={field.name}
                field={field}
                value={input[field.name]}
                onChange={(value) => setInput((before) => withKey(before, field.name, value))}
              />
            ))
          )}
          {isFaulty ? (
            <Alert color="red" variant="light">
              <Text size="sm">It has faults, and is not saved with them: mend them first.</Text>
            </Alert>
          ) : savesAs === null ? null : (
            <Text size="sm">A run needs a saved version: {savesAs}.</Text>
          )}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button
              type="submit"
              leftSection={<IconPlayerPlay size={16} />}
              loading={isBusy}
              disabled={fault !== null || isFaulty}
            >
              {savesAs === null ? "Run" : "Save and run"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function InputControl(props: { field: InputField; value: unknown; onChange: (value: unknown) => void }) {
  const { field, value, onChange } = props;
  const shared = { label: field.name, description: field.description, required: field.isRequired };
  switch (field.kind) {
    case "flag":
      return (
        <Switch
          {...shared}
          required={false}
          checked={value === true}
          onChange={({ currentTarget }) => onChange(currentTarget.checked)}
        />
      );
    case "number":
      return (
        <NumberInput
          {...shared}
          value={typeof value === "number" ? value : ""}
          onChange={(typed) => onChange(typeof typed === "number" ? typed : undefined)}
        />
      );
    case "choice":
      return (
        <NativeSelect
          {...shared}
          data={field.isRequired ? field.options : ["", ...field.options]}
          value={textOf(value)}
          onChange={({ currentTarget }) => onChange(currentTarget.value || undefined)}
        />
      );
    case "text":
      return (
        <TextInput
          {...shared}
          value={textOf(value)}
          onChange={({ currentTarget }) => onChange(currentTarget.value || undefined)}
        />
      );
  }
}
