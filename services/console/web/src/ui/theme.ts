import { createTheme, type CSSVariablesResolver } from "@mantine/core";

export const theme = createTheme({
  primaryColor: "cyan",
  primaryShade: 9,
  autoContrast: true,
  luminanceThreshold: 0.32,
  defaultRadius: "sm",
  fontFamily: "Inter, ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif",
  fontFamilyMonospace: "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace",
  headings: {
    fontWeight: "650",
    sizes: { h1: { fontSize: "1.5rem" }, h2: { fontSize: "1.15rem" }, h3: { fontSize: "1rem" } },
  },
  components: {
    Tooltip: { defaultProps: { openDelay: 250, withArrow: true } },
    Table: { defaultProps: { verticalSpacing: 6, horizontalSpacing: "sm" } },
    Modal: {
      defaultProps: {
        centered: true,
        overlayProps: { backgroundOpacity: 0.45 },
        closeButtonProps: { "aria-label": "Close" },
      },
    },
    Button: { defaultProps: { size: "sm" } },
  },
});

/** Greys that can be read (WCAG AA), and the colours of states, in light and dark. */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    "--mantine-color-dimmed": "#576069",
    "--mantine-color-placeholder": "#69727c",
    "--mantine-color-anchor": "#0b6478",
    "--mantine-color-error": "#c02626",
    "--ff-page": "#f5f7f9",
    "--ff-panel": "#ffffff",
    "--ff-raised": "#eef2f5",
    "--ff-line": "#d7dee4",
    "--ff-idle": "#5b6570",
    "--ff-queued": "#6741b9",
    "--ff-running": "#0b62b4",
    "--ff-waiting": "#8a5300",
    "--ff-completed": "#1c7430",
    "--ff-failed": "#c02626",
    "--ff-cancelled": "#8b3a62",
    "--ff-skipped": "#5b6570",
    "--ff-partial": "#8a5300",
    "--ff-paused": "#6741b9",
  },
  dark: {
    "--mantine-color-body": "#14181c",
    "--mantine-color-dimmed": "#a3adb7",
    "--mantine-color-placeholder": "#949eaa",
    "--mantine-color-anchor": "#66d9e8",
    "--mantine-color-error": "#ff8787",
    "--ff-page": "#0f1316",
    "--ff-panel": "#171c21",
    "--ff-raised": "#20272d",
    "--ff-line": "#323b44",
    "--ff-idle": "#a3adb7",
    "--ff-queued": "#b79cf7",
    "--ff-running": "#6cb8ff",
    "--ff-waiting": "#f0b454",
    "--ff-completed": "#6bd07f",
    "--ff-failed": "#ff8787",
    "--ff-cancelled": "#e599c0",
    "--ff-skipped": "#a3adb7",
    "--ff-partial": "#f0b454",
    "--ff-paused": "#b79cf7",
  },
});
