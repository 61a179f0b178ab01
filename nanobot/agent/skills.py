"""What personas say of their skills to models that can use them."""

from collections.abc import Sequence

import msgspec

from nanobot.context.skills import skills_index
from nanobot.core.model import Ability
from nanobot.core.persona import Persona
from nanobot.core.skill import READ_SKILL, OperatorSkills, Skill

_MOST_KEPT = 64


class SkillIndexes:
    """Puts the index of the skills into personas, at most `most_tokens` long."""

    def __init__(self, skills: OperatorSkills, most_tokens: int) -> None:
        self._skills = skills
        self._most_tokens = most_tokens
        self._texts: dict[frozenset[str] | None, tuple[object, str]] = {}
        self._told: dict[int, tuple[Persona, object, Persona]] = {}

    def told(self, persona: Persona, abilities: frozenset[Ability]) -> Persona:
        """Return the persona as it is for a model with these abilities: with the index if it is offered the
        tool that reads skills, and there are any. The same persona gives the same object as long as the
        skills are.
        """
        if persona.tools is not None and READ_SKILL not in persona.tools:
            return persona
        if "reading_on" not in abilities or "tools" not in abilities:
            return persona
        # The same object as long as they are the same.
        offered = self._skills.offered(persona.skills)
        known = self._told.get(id(persona))
        if known is not None and known[0] is persona and known[1] is offered:
            return known[2]
        if len(self._told) >= _MOST_KEPT:
            self._told.clear()
        text = self._text(persona.skills, offered)
        whole = msgspec.structs.replace(persona, skills_index=text) if text else persona
        self._told[id(persona)] = persona, offered, whole
        return whole

    def _text(self, chosen: frozenset[str] | None, offered: Sequence[Skill]) -> str:
        known = self._texts.get(chosen)
        if known is None or known[0] is not offered:
            known = self._texts[chosen] = offered, skills_index(offered, self._most_tokens)
        return known[1]
