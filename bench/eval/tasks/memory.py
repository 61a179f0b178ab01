"""What is remembered: used elsewhere, replaced, forgotten, and kept from those whom it does not concern."""

import re

from bench.eval.talk import Reply, Talk, call
from bench.eval.task import Tasks, check
from bench.eval.world import World

TASKS = Tasks("memory")
_THREADS = """
[[scopes]]
pattern = "{channel}:dm:{user}:{rest}"
"""
_ONE, _TWO = "wx:dm:ann:one", "wx:dm:ann:two"


def _keep(talk: Talk) -> Reply:
    """Remember what is to be remembered, forget what is to be forgotten, and else say what is known."""
    said = talk.question.splitlines()[0]
    if talk.results and talk.results[-1].name in ("remember", "forget"):
        return "Noted."
    if found := re.search(r"Remember that I (.*?)\.", said):
        return call("remember", fact=found[1])
    if found := re.search(r"I moved to (\w+)", said):
        return call("remember", fact=f"live in {found[1]}", replaces="live in Rome")
    if found := re.search(r"Forget that I (.*?)\.", said):
        return call("forget", fact=found[1])
    if not talk.results:
        return call("recall", query=said)
    known = re.findall(r"^- .*$", talk.instructions, re.MULTILINE)
    return "\n".join((talk.last, *known[-5:]))


@TASKS.add(
    "used elsewhere",
    "what is told in one conversation is known in another of the same person",
    _keep,
    settings=_THREADS,
)
def _elsewhere(world: World) -> None:
    world.ask(_ONE, "Remember that I am allergic to walnuts.")
    said = world.ask(_TWO, "What am I allergic to?").text
    check("Remember that" not in said, f"the user is only said back: {said[:300]}")
    check("walnut" in said, f"the answer has not the allergy: {said[:300]}")
    check(not any("walnut" in fact for fact in world.facts("wx:dm:bob")), "another person has the fact")


@TASKS.add("replaced", "what has changed takes the place of what was so", _keep, settings=_THREADS)
def _replaced(world: World) -> None:
    world.ask(_ONE, "Remember that I live in Rome.")
    world.ask(_ONE, "I moved to Oslo. Please keep that in mind instead of Rome.")
    facts = world.facts(_TWO)
    check(len(facts) == 1 and "Oslo" in facts[0], f"the facts are {facts}")
    (fact,) = world.get("/v1/memory", key=_TWO)["data"]
    history = world.get(f"/v1/memory/{fact['id']}", key=_TWO)["history"]
    check(len(history) == 2, f"the fact has {len(history)} versions, not two")


@TASKS.add(
    "forgotten", "what is to be forgotten is gone, for the store and for the model", _keep, settings=_THREADS
)
def _forgotten(world: World) -> None:
    world.ask(_ONE, "Remember that I collect stamps.")
    world.ask(_ONE, "Remember that I play the viola.")
    check(len(world.facts(_ONE)) == 2, f"the facts are {world.facts(_ONE)}")
    world.ask(_ONE, "Forget that I collect stamps.")
    check(len(world.facts(_ONE)) == 1, f"the facts are {world.facts(_ONE)}")
    said = world.ask(_TWO, "Which hobbies do I have?").text
    check("viola" in said, f"the answer has not the viola: {said[:300]}")
    check("stamps" not in said, f"the answer has what was forgotten: {said[:300]}")


@TASKS.add(
    "private and of the group", "a group is told what was said in it, by anybody, and nothing private", _keep
)
def _private(world: World) -> None:
    world.ask("wx:dm:ann", "Remember that I am looking for a new job.")
    world.ask("wx:group:team:user:bob", "Remember that I book the room for Friday, number 204.")
    said = world.ask("wx:group:team:user:ann", "What do you know about us, about rooms and jobs?").text
    check("204" in said, f"the group does not know what was said in it: {said[:300]}")
    check("new job" not in said, f"the group was told what is private: {said[:300]}")
    check("204" in " ".join(world.facts("wx:group:team:user:ann")), "the group has not the fact")
    check("204" not in " ".join(world.facts("wx:group:other:user:ann")), "another group has the fact")
