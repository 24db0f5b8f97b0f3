"""One application for all tests of a process: making one takes longer than most of them."""

from collections.abc import Callable
from typing import Any, cast

from litestar import Litestar

from infra.http.authentication import forget_known
from infra.settings import Settings


class _Settings:
    """Those of the test that runs; an application reads them when its lifespan begins."""

    now: Settings

    def __getattr__(self, name: str) -> Any:
        return getattr(self.now, name)


_made: dict[Callable[[Settings], Litestar], tuple[_Settings, Litestar]] = {}


def application_of(create: Callable[[Settings], Litestar], settings: Settings) -> Litestar:
    """What `create` makes, made once, for these settings from now on; whether keys are asked for is not among them."""
    if create not in _made:
        named = _Settings()
        named.now = settings
        _made[create] = named, create(cast("Settings", named))
    named, application = _made[create]
    assert named.now.auth_is_on == settings.auth_is_on
    named.now = settings
    forget_known()
    return application
