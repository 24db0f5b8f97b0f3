import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "@mantine/spotlight/styles.css";
import "@xyflow/react/dist/style.css";
import "./ui/style.css";

import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { BrowserRouter } from "react-router";
import { Pages } from "./pages";
import { queries } from "./api/queries";
import { theme, variables } from "./ui/theme";
import { styleNonce } from "./ui/nonce";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");

// dialogs lock the page's scrolling with a style element of their own, and look for the nonce here
Object.assign(globalThis, { __webpack_nonce__: styleNonce() });

createRoot(root).render(
  <StrictMode>
    <MantineProvider
      theme={theme}
      cssVariablesResolver={variables}
      defaultColorScheme="auto"
      getStyleNonce={styleNonce}
    >
      <QueryClientProvider client={queries}>
        <BrowserRouter>
          <Notifications position="bottom-right" />
          <Pages />
        </BrowserRouter>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
