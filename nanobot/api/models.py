"""GET /v1/models: the names that a request's `model` may have."""

import msgspec
from starlette.types import Send

from nanobot.api.wire.lists import ModelCard, Page, encode
from nanobot.core.errors import ModelNotFound
from nanobot.http.operations import Operation
from nanobot.http.request import Request
from nanobot.http.respond import answer
from nanobot.submit.request import AGENT, model_id, preset_of

_MOST_SHOWN = 256


def no_model(name: str) -> ModelNotFound:
    """Return the error for a model that is not offered, as OpenAI words it."""
    shown = name if len(name) <= _MOST_SHOWN else name[:_MOST_SHOWN] + "…"
    return ModelNotFound(
        f"The model `{shown}` does not exist or you do not have access to it.", param="model"
    )


class ModelList:
    """GET /v1/models: `nanobot`, and `nanobot:NAME` for each configured preset."""

    def __init__(self, cards: tuple[ModelCard, ...]) -> None:
        self._body = encode(Page(data=cards, first_id=cards[0].id, last_id=cards[-1].id, has_more=False))

    async def __call__(self, request: Request, send: Send) -> None:
        await answer(send, 200, self._body)


class OneModel:
    """GET /v1/models/{model_id}: one that is listed, or a preset by its bare name."""

    def __init__(self, cards: tuple[ModelCard, ...]) -> None:
        named = {card.id: card for card in cards}
        bare = {
            name: msgspec.structs.replace(card, id=name)
            for card in cards
            if (name := preset_of(card.id)) != card.id
        }
        self._cards = bare | named

    async def __call__(self, request: Request, send: Send) -> None:
        name = request.path_params["model_id"]
        card = self._cards.get(name)
        if card is None:
            raise no_model(name)
        await answer(send, 200, encode(card))


def operations(presets: tuple[str, ...], started: float) -> tuple[Operation, ...]:
    """Return the operations of this module; `started`: when the server started, shown as the creation time of
    every model.
    """
    cards = tuple(ModelCard(id=name, created=int(started)) for name in (AGENT, *map(model_id, presets)))
    return (
        Operation(
            method="GET",
            path="/v1/models",
            run=ModelList(cards),
            summary="List the models",
            tag="Models",
            right="chat",
            answers={200: Page[ModelCard]},
        ),
        Operation(
            method="GET",
            path="/v1/models/{model_id:path}",
            run=OneModel(cards),
            summary="One model",
            tag="Models",
            right="chat",
            answers={200: ModelCard},
            errors=(ModelNotFound,),
        ),
    )
