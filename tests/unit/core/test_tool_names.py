"""Names of tools as models write them."""

import pytest

from nanobot.core.tool_names import offered_name

OFFERED = {"weather", "send_mail"}


@pytest.mark.parametrize(
    "written",
    [
        *("weather", "functions.weather", "functions.weather:0", "weather:12", "default_api.weather"),
        *("tools/weather", "weather<|channel|>commentary", "functions.weather<|channel|>json"),
        *(" weather\n", "`weather`", '"weather"'),
    ],
)
def test_a_name_with_something_around_it_is_that_of_the_tool_that_was_offered(written: str) -> None:
    assert offered_name(written, OFFERED) == "weather"


@pytest.mark.parametrize(
    "written",
    ["forecast", "functions.forecast", "weather.report", "weather_2", "Weather", "<|", "", ".", ":1"],
)
def test_another_name_stays_as_it_is(written: str) -> None:
    assert offered_name(written, OFFERED) == written


def test_a_name_that_was_offered_with_something_around_it_is_that_name() -> None:
    assert offered_name("functions.weather", {*OFFERED, "functions.weather"}) == "functions.weather"
