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
  /* One page and one copy of every module for all files: making them took four times as long as the tests. */
  test: {
    environment: "jsdom",
    isolate: false,
    setupFiles: ["src/testing.ts"],
    css: false,
    testTimeout: 30_000,
  },
});
