import { ActionIcon, Button, Group, Menu, Tooltip, type ActionIconProps } from "@mantine/core";
import {
  IconAlertTriangle,
  IconArrowBackUp,
  IconArrowForwardUp,
  IconChevronDown,
  IconCircleCheck,
  IconCircleX,
  IconCode,
  IconLayoutDistributeVertical,
  IconPlayerPlay,
} from "@tabler/icons-react";
import type { ReactNode } from "react";
import type { Opinion } from "./useValidation";

interface ToolbarProps {
  canUndo: boolean;
  canRedo: boolean;
  onUndo: () => void;
  onRedo: () => void;
  onLayOut: () => void;
  isYamlShown: boolean;
  onYaml: () => void;
  opinion: Opinion;
  onFindings: () => void;
  mayRun: boolean;
  onTry: () => void;
  mayEdit: boolean;
  isUnsaved: boolean;
  isSaving: boolean;
  onSave: () => void;
  onFromTemplate: (() => void) | null;
  onAsTemplate: () => void;
}

export function Toolbar(props: ToolbarProps) {
  return (
    <Group gap={6} wrap="wrap" role="toolbar" aria-label="Designer">
      <Tool label="Undo" keys="Ctrl+Z" onClick={props.onUndo} disabled={!props.canUndo}>
        <IconArrowBackUp size={18} />
      </Tool>
      <Tool label="Redo" keys="Ctrl+Shift+Z" onClick={props.onRedo} disabled={!props.canRedo}>
        <IconArrowForwardUp size={18} />
      </Tool>
      <Tool label="Lay out" onClick={props.onLayOut}>
        <IconLayoutDistributeVertical size={18} />
      </Tool>
      <Button
        variant={props.isYamlShown ? "filled" : "default"}
        aria-pressed={props.isYamlShown}
        leftSection={<IconCode size={16} />}
        onClick={props.onYaml}
      >
        YAML
      </Button>
      <FindingsButton opinion={props.opinion} onClick={props.onFindings} />
      {props.mayRun ? (
        <Button variant="default" leftSection={<IconPlayerPlay size={16} />} onClick={props.onTry}>
          Try it
        </Button>
      ) : null}
      {props.mayEdit ? <SaveButton {...props} /> : null}
    </Group>
  );
}

function Tool(
  props: { label: string; keys?: string; children: ReactNode } & ActionIconProps & { onClick: () => void },
) {
  const { label, keys, children, ...rest } = props;
  return (
    <Tooltip label={keys === undefined ? label : `${label} (${keys})`}>
      <ActionIcon variant="default" size={34} aria-label={label} {...rest}>
        {children}
      </ActionIcon>
    </Tooltip>
  );
}

/** What the server thinks of it, in a word. */
function FindingsButton({ opinion, onClick }: { opinion: Opinion; onClick: () => void }) {
  const errors = opinion.found.filter(({ isError }) => isError).length;
  const warnings = opinion.found.length - errors;
  const said = opinion.isFailed
    ? "Not checked"
    : errors > 0
      ? `${errors} ${errors === 1 ? "error" : "errors"}`
      : warnings > 0
        ? `${warnings} ${warnings === 1 ? "warning" : "warnings"}`
        : opinion.report === null
          ? "Checking…"
          : "Valid";
  return (
    <Button
      variant="default"
      onClick={onClick}
      data-testid="validity"
      data-errors={errors}
      data-warnings={warnings}
      data-current={opinion.isCurrent}
      leftSection={
        errors > 0 ? (
          <IconCircleX size={16} color="var(--ff-failed)" />
        ) : warnings > 0 || opinion.isFailed ? (
          <IconAlertTriangle size={16} color="var(--ff-waiting)" />
        ) : (
          <IconCircleCheck size={16} color="var(--ff-completed)" />
        )
      }
    >
      {said}
    </Button>
  );
}

function SaveButton({ isUnsaved, isSaving, onSave, onFromTemplate, onAsTemplate }: ToolbarProps) {
  return (
    <Group gap={0} wrap="nowrap">
      <Tooltip label="Save as a new version (Ctrl+S)">
        <Button
          onClick={onSave}
          loading={isSaving}
          disabled={!isUnsaved}
          style={{ borderTopRightRadius: 0, borderBottomRightRadius: 0 }}
        >
          {isUnsaved ? "Save" : "Saved"}
        </Button>
      </Tooltip>
      <Menu position="bottom-end">
        <Menu.Target>
          <ActionIcon
            variant="default"
            size={34}
            aria-label="More ways to begin and to save"
            style={{ borderTopLeftRadius: 0, borderBottomLeftRadius: 0 }}
          >
            <IconChevronDown size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item onClick={onAsTemplate}>Save as template…</Menu.Item>
          {onFromTemplate === null ? null : (
            <Menu.Item onClick={onFromTemplate}>Start from a template…</Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
    </Group>
  );
}
