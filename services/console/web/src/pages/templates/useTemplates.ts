import { api } from "../../api/client";

const TEMPLATES_MAX = 1_000;

/** All templates, ready-made and own, without their definitions. */
export function useTemplates() {
  return api.useQuery("get", "/api/templates", { params: { query: { limit: TEMPLATES_MAX } } });
}
