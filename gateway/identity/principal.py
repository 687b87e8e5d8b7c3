"""Who a request is made as."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Principal:
    """A person as the gateway knows them.

    `subject` is the canonical user name and never changes while a session lives. `claims` holds
    what a login provider or a foreign issuer says beyond the standard fields; access rules may ask
    for it. `provider` names the login provider that vouched, so that a renewal asks it again.
    """

    subject: str
    name: str = ""
    email: str = ""
    groups: tuple[str, ...] = ()
    claims: Mapping[str, object] = field(default_factory=dict)
    provider: str = ""
