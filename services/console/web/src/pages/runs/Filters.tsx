/* Filters of the list of runs: each is a part of the address. */
import { Button, Select, TextInput } from "@mantine/core";
import "./runs.css";
import { useState } from "react";
import { api } from "../../api/client";
import { fieldOf, instantOf, isLabel, STATUSES, TRIGGER_TYPES } from "./filters";

const WORKFLOWS_MAX = 1_000;

interface FiltersProps {
  search: URLSearchParams;
  onChange: (name: string, value: string | null) => void;
  onClear: () => void;
}

export function Filters({ search, onChange, onClear }: FiltersProps) {
  const workflows = api.useQuery("get", "/api/workflows", { params: { query: { limit: WORKFLOWS_MAX } } });
  const workflow = search.get("workflow_id");
  const ids = workflows.data?.items.map(({ id, name }) => ({ value: id, label: name })) ?? [];
  if (workflow !== null && ids.every(({ value }) => value !== workflow))
    ids.push({ value: workflow, label: workflow });
  return (
    <div className="ff-filters ff-run-filters" role="search" aria-label="Filter the runs">
      <Select
        size="xs"
        label="Workflow"
        placeholder="any"
        data={ids}
        value={workflow}
        onChange={(value) => onChange("workflow_id", value)}
        clearable
        searchable
        limit={60}
      />
      <Select
        size="xs"
        label="State"
        placeholder="any"
        data={[...STATUSES]}
        value={search.get("status")}
        onChange={(value) => onChange("status", value)}
        clearable
      />
      <Select
        size="xs"
        label="Started by"
        placeholder="any trigger"
        data={TRIGGER_TYPES.map((type) => ({ value: type, label: type.replaceAll("_", " ") }))}
        value={search.get("trigger_type")}
        onChange={(value) => onChange("trigger_type", value)}
        clearable
      />
      <LabelField key={search.get("label")} value={search.get("label")} onChange={onChange} />
      <Time label="Since" name="since" search={search} onChange={onChange} />
      <Time label="Before" name="until" search={search} onChange={onChange} />
      <Select
        size="xs"
        label="Shadow runs"
        placeholder="with them"
        data={[
          { value: "true", label: "only them" },
          { value: "false", label: "without them" },
        ]}
        value={search.get("shadow")}
        onChange={(value) => onChange("shadow", value)}
        clearable
      />
      {search.size === 0 ? null : (
        <Button size="xs" variant="default" onClick={onClear}>
          Clear
        </Button>
      )}
    </div>
  );
}

function LabelField({ value, onChange }: { value: string | null; onChange: FiltersProps["onChange"] }) {
  const [typed, setTyped] = useState(value ?? "");
  const isWrong = typed !== "" && !isLabel(typed);
  const commit = () => {
    if (!isWrong && typed !== (value ?? "")) onChange("label", typed === "" ? null : typed);
  };
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        commit();
      }}
    >
      <TextInput
        size="xs"
        label="Label"
        placeholder="name=value"
        value={typed}
        error={isWrong ? "name=value" : undefined}
        onChange={(event) => setTyped(event.currentTarget.value)}
        onBlur={commit}
      />
    </form>
  );
}

function Time(props: { label: string; name: string } & Pick<FiltersProps, "search" | "onChange">) {
  const { label, name, search, onChange } = props;
  return (
    <TextInput
      size="xs"
      type="datetime-local"
      className="ff-time"
      label={label}
      value={fieldOf(search.get(name))}
      onChange={(event) => onChange(name, instantOf(event.currentTarget.value))}
    />
  );
}
