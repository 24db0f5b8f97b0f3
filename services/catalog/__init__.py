"""Catalog: the workflows, each version of them, and whether they are sound; and the secrets that they name.

Hears commands only: CreateWorkflow, UpdateWorkflow, RollbackWorkflow, ArchiveWorkflow, AddTrigger, ChangeTrigger,
RemoveTrigger, SetTriggerConfigs, ChangeTriggers, ValidateWorkflow, SetSecret, DeleteSecret. Says WorkflowCreated,
WorkflowUpdated and WorkflowArchived, which mark a change of definitions, so that no trigger decides by an older version
once a save is answered. Owns the streams of type `workflow`, one per workflow id, and of type `secret`, one per name,
and nothing else: lists and reads are made of its events by projections. Refuses an invalid definition whatever its
status, drafts included. Makes the queues of the job types that a definition names before the save is answered. Takes
the secrets of webhooks out of definitions and keeps them sealed (`infra.secrets`); the log holds references. Gives the
secrets that a job's node refers to to the built-in worker that has the job: that it does as a stand-by, too.
"""
