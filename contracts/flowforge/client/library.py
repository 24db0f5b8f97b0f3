"""What workflows are made of and refer to: templates, stored prompts, secrets. The part of `Client` for them."""

from typing import Any

from flowforge.client.room import Room


class Library(Room):
    """A save answers `{id, version, position, warnings}`; what is not there raises `Missing`."""

    # --- templates

    async def list_templates(self, **filters: Any) -> dict[str, Any]:
        """One page, those of one's own first: `{items, next_cursor}`. Filters: source, category; limit, cursor."""
        return await self._read("/api/templates", **filters)

    async def get_template(self, template_id: str) -> dict[str, Any]:
        """A template with its `definition` and `parameters`."""
        return await self._read(f"/api/templates/{template_id}")

    async def save_template(self, template_id: str, **fields: Any) -> dict[str, Any]:
        """Add a template, made of `definition`, or of `version` of `workflow_id`. Raises `Conflict` where its id is taken."""
        return await self._write("POST", "/api/templates", {"id": template_id, **fields})

    async def update_template(self, template_id: str, **fields: Any) -> dict[str, Any]:
        """A new version of a template of one's own."""
        return await self._write("PUT", f"/api/templates/{template_id}", {"id": template_id, **fields})

    async def delete_template(self, template_id: str) -> dict[str, Any]:
        """No more workflows are made of it; those that were stay."""
        return await self._write("DELETE", f"/api/templates/{template_id}")

    async def instantiate(self, template_id: str, **fields: Any) -> dict[str, Any]:
        """A new workflow made of a template; `id`, `name`, `variables` and `secrets` are its own. Answers as a save."""
        return await self._write("POST", f"/api/templates/{template_id}/instantiate", fields)

    # --- stored prompts

    async def list_prompts(self, **filters: Any) -> dict[str, Any]:
        """One page, newest first: `{items, next_cursor}`, without their texts. Filters: limit, cursor."""
        return await self._read("/api/prompts", **filters)

    async def get_prompt(self, prompt_id: str, version: int | None = None) -> dict[str, Any]:
        """A stored prompt with its `prompt` and `system`, at its newest version or at the one asked for."""
        path = f"/api/prompts/{prompt_id}"
        return await self._read(path if version is None else f"{path}/versions/{version}")

    async def prompt_versions(self, prompt_id: str, **filters: Any) -> dict[str, Any]:
        """One page of its versions, newest first: `{items, next_cursor}`, without their texts. Filters: limit, cursor."""
        return await self._read(f"/api/prompts/{prompt_id}/versions", **filters)

    async def save_prompt(
        self, prompt_id: str, *, expected_version: int | None = None, **fields: Any
    ) -> dict[str, Any]:
        """Add a stored prompt, or a new version of it, of `prompt`, `system`, `name` and `description`.

        With `expected_version` it raises `Conflict` (412) when somebody else saved another version meanwhile.
        """
        body = {"id": prompt_id, **fields}
        return await self._write("POST", "/api/prompts", body, expected_version=expected_version)

    async def delete_prompt(self, prompt_id: str) -> dict[str, Any]:
        """It is offered no more; runs of workflows that name one of its versions still find that."""
        return await self._write("DELETE", f"/api/prompts/{prompt_id}")

    # --- secrets

    async def secrets(self, **filters: Any) -> dict[str, Any]:
        """One page of the secrets that workflows may name, last changed first; never their values. limit, cursor."""
        return await self._read("/api/secrets", **filters)

    async def set_secret(self, name: str, value: str) -> dict[str, Any]:
        """Give a secret a value, or another one: answers `{name, version, position}`."""
        return await self._write("PUT", f"/api/secrets/{name}", {"value": value})

    async def delete_secret(self, name: str) -> dict[str, Any]:
        """There is no such secret any more: jobs that name it fail from now on."""
        return await self._write("DELETE", f"/api/secrets/{name}")
