"""When an event makes a slate."""

from divrec.config import SlateConfig
from divrec.events import Click, Event, Request
from divrec.profile import Profile


def makes_slate(event: Event, profile: Profile, config: SlateConfig, *, interaction: bool, replayed: bool) -> bool:
    """Whether ``event``, already observed in ``profile``, is answered with a slate."""
    if replayed and not config.publish_replayed:
        return False
    if isinstance(event, Request):
        return True
    match config.publish:
        case "interaction":
            return interaction
        case "actions":
            return (event.action if isinstance(event, Click) else "review") in config.publish_actions
        case "interval":
            return interaction and event.ts - profile.slate_ts >= 1_000 * config.publish_interval_s
        case "request":
            return False
