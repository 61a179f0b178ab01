"""What personas say of their skills to models that can use them."""

import msgspec

from nanobot.context.skills import skills_index
from nanobot.core.model import Model
from nanobot.core.persona import Persona
from nanobot.core.skill import READ_SKILL, OperatorSkills


class SkillIndexes:
    """Puts the index of the skills into personas, at most `most_tokens` long."""

    def __init__(self, skills: OperatorSkills, most_tokens: int) -> None:
        self._skills = skills
        self._most_tokens = most_tokens
        self._texts: dict[frozenset[str] | None, tuple[object, str]] = {}

    def told(self, persona: Persona, model: Model) -> Persona:
        """Return the persona as it is for the model: with the index if the model is offered the tool that
        reads skills, and there are any.
        """
        if "reading_on" not in model.abilities or "tools" not in model.abilities:
            return persona
        if persona.tools is not None and READ_SKILL not in persona.tools:
            return persona
        text = self._text(persona.skills)
        return msgspec.structs.replace(persona, skills_index=text) if text else persona

    def _text(self, chosen: frozenset[str] | None) -> str:
        offered = self._skills.offered(chosen)
        known = self._texts.get(chosen)
        # The same object as long as they are the same.
        if known is None or known[0] is not offered:
            known = self._texts[chosen] = offered, skills_index(offered, self._most_tokens)
        return known[1]
