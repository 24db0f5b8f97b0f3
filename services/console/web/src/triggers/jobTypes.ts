/* The six types of job that may start any workflow; their triggers have these ids in lower case. */
export const JOB_TYPES = ["TRAIN", "DOWNLOAD_MODEL", "LOAD_MODEL", "EXPORT_MODEL", "EVAL", "GENERATE"];

/** No trigger of a workflow's own can have one of these. */
export const JOB_TYPE_IDS = JOB_TYPES.map((type) => type.toLowerCase());
