"""Which fact is not so any more is told from the new one; where that is not certain, both stand."""

import pytest

from nanobot.core.fact_changes import are_of_one_kind, correction_of, corrects, uncorrected

HOME, DOG, TEA = "I live in Rome", "my dog is called Rex", "I like tea"
KNOWN = (HOME, DOG, TEA)


@pytest.mark.parametrize(
    ("new", "before", "text"),
    [
        ("No, I moved to Berlin.", HOME, "I moved to Berlin"),
        ("I live in Berlin", HOME, "I live in Berlin"),
        ("I no longer live in Rome", HOME, "I no longer live in Rome"),
        ("Actually it is Bella, not Rex.", DOG, "my dog is called Bella"),
        ("my dog is called Bella, not Rex", DOG, "my dog is called Bella"),
        ("No, my dog's name is Bella", DOG, "my dog's name is Bella"),
        ("I don’t like tea any more", TEA, "I don't like tea any more"),
        ("moved to Berlin", "lives in Rome", "moved to Berlin"),
        ("my birthday is 5 May", "my birthday is 4 May", "my birthday is 5 May"),
        ("My favourite colour is green", "my favourite colour is blue", "My favourite colour is green"),
        ("Nein, ich wohne jetzt in Berlin", "ich in Rom wohne", "ich wohne jetzt in Berlin"),
        ("ich bin nach Berlin gezogen", "ich in Rom wohne", "ich bin nach Berlin gezogen"),
        ("Eigentlich heißt er Bella, nicht Rex", "mein Hund Rex heißt", "mein Hund Bella heißt"),
        ("ich mag keinen Tee mehr", "ich Tee nicht mag", None),
        ("Non, j'habite maintenant à Berlin", "j'habite à Rome", "j'habite maintenant à Berlin"),
        ("C'est Bella, pas Rex", "mon chien s'appelle Rex", "mon chien s'appelle Bella"),
        ("je n'aime plus le thé", "j'aime le thé", "je n'aime plus le thé"),
        ("me mudé a Berlín", "vivo en Roma", "me mudé a Berlín"),
        ("Es Bella, no Rex", "mi perro se llama Rex", "mi perro se llama Bella"),
        ("ya no me gusta el té", "me gusta el té", "ya no me gusta el té"),
        ("mi sono trasferito a Berlino", "abito a Roma", "mi sono trasferito a Berlino"),
        ("agora moro em Berlim", "moro em Roma", "agora moro em Berlim"),
        ("不对，我搬到柏林了", "我住在罗马", "我搬到柏林了"),
        ("其实我的狗叫小白，不叫小黑", "我的狗叫小黑", "我的狗叫小白"),
        ("我不喜欢茶了", "我喜欢茶", "我不喜欢茶了"),
        ("いいえ、私は今ベルリンに住んでいます", "私はローマに住んでいる", "私は今ベルリンに住んでいます"),
        ("レックスではなく、ベラです", "私の犬の名前はレックス", "私の犬の名前はベラ"),
        ("لا، انتقلت إلى برلين", "أعيش في روما", "انتقلت إلى برلين"),
        ("Нет, я переехал в Берлин", "я живу в Риме", "я переехал в Берлин"),
    ],
)
def test_what_has_changed_names_what_it_takes_the_place_of(new: str, before: str, text: str | None) -> None:
    known = KNOWN if before in KNOWN else (TEA, before)
    found = correction_of(new, known)
    assert (found and (found.text, found.before)) == (text and (text, before))


@pytest.mark.parametrize(
    "text",
    [
        "My sister lives in Berlin",
        "I moved to the sales team",
        "I live in a small flat",
        "I live in fear",
        "Ich wohne in einer WG",
        "vivo en una casa",
        "我住在一个小公寓",
        "I live in Berlin and need a plumber",
        "my dog is called Bella",
        "I like coffee",
        "no I like coffee",
        "I'm not hungry",
        "I am not Rex",
        "It's not Rex",
        "No, thanks",
        "I live in Rome",
        "Bob said he lives in Berlin",
        "If I lived in Berlin",
        "Bella, not Max",
    ],
)
def test_what_may_be_so_beside_it_changes_nothing(text: str) -> None:
    assert correction_of(text, KNOWN) is None


def test_a_number_that_is_wrong_may_be_one_of_anything() -> None:
    assert correction_of("It is 5, not 4", ("my birthday is 4 May",)) is None
    found = correction_of("my birthday is 5 May, not 4 May", ("my birthday is 4 May",))
    assert found is not None and found.text == "my birthday is 5 May"


def test_of_several_facts_the_newest_is_not_so_any_more() -> None:
    found = correction_of("I live in Berlin", (HOME, "I live in Oslo"))
    assert found is not None and found.before == "I live in Oslo"


def test_facts_of_one_kind_are_those_of_which_there_is_one() -> None:
    assert are_of_one_kind("moved to Berlin", "lives in Rome")
    assert are_of_one_kind("住在罗马", "搬到柏林了")
    assert not are_of_one_kind("loves tea", "lives in Rome")
    assert not are_of_one_kind(DOG, "my dog is called Bella"), "one may have two"


def test_a_correction_is_known_by_how_it_begins() -> None:
    assert corrects("No, I moved.")
    assert not corrects("Nobody moved.")
    assert not corrects("No.")
    assert uncorrected("Nein, ich wohne in Bonn.") == "ich wohne in Bonn"
    assert uncorrected("I live in Bonn.") == "I live in Bonn"
