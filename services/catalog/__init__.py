"""Catalog: the workflows, each version of them, and whether they are sound; templates for them; the prompts and secrets
that they name; and the people who may do all this, with their keys.

Hears commands only: CreateWorkflow, UpdateWorkflow, RollbackWorkflow, ArchiveWorkflow, AddTrigger, ChangeTrigger,
RemoveTrigger, SetTriggerConfigs, ChangeTriggers, ValidateWorkflow, SaveTemplate, DeleteTemplate, InstantiateTemplate,
ListTemplates, SetSecret, DeleteSecret, SavePrompt, DeletePrompt, AddUser, ChangeUser, RemoveUser, CreateKey, RevokeKey,
MakeLoginLink. Says WorkflowCreated, WorkflowUpdated and
WorkflowArchived, which mark a change of definitions, so that no trigger decides by an older version once a save is
answered; TemplateSaved and TemplateDeleted; PromptSaved and PromptDeleted. Owns the streams of type `workflow`, one per
workflow id, of type `template`, one per template of somebody's own (ready-made ones come with the code), of type
`prompt`, one per stored prompt, of type `secret`, one per name, and of type `people`, of all users and keys, and
nothing else: lists and reads are made of its events by projections. Refuses an invalid definition whatever its status,
drafts included. Makes the queues of the job types that a definition names before the save is answered. Takes the
secrets of webhooks out of definitions and keeps them sealed (`infra.secrets`); the log holds references. Gives the
secrets that a job's node refers to, or the stored prompt that the node names, to the built-in worker that has the job:
that it does as a stand-by, too.
"""
