import react from "@vitejs/plugin-react";
import { compression } from "vite-plugin-compression2";
import { defineConfig } from "vitest/config";

const server = process.env.FLOWFORGE_URL ?? "http://127.0.0.1:8080";
const proxied = ["/api", "/health", "/metrics", "/schema", "/asyncapi", "/login"];

export default defineConfig({
  plugins: [react(), compression({ algorithms: ["gzip", "brotliCompress"], threshold: 1024 })],
  build: {
    outDir: "../dist",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
  },
  server: {
    proxy: Object.fromEntries(proxied.map((path) => [path, server])),
  },
  test: {
    css: false,
    testTimeout: 30_000,
    /* A page is set up for what needs one alone: it takes longer than the tests themselves. */
    projects: [
      {
        extends: true,
        test: { name: "rules", include: ["src/**/*.test.ts"], environment: "node", isolate: false },
      },
      {
        extends: true,
        test: {
          name: "parts",
          include: ["src/**/*.test.tsx"],
          environment: "jsdom",
          setupFiles: ["src/testing.ts"],
        },
      },
    ],
  },
});
