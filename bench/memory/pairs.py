"""Pairs of a statement and a question in quite other words, hidden in small talk.

Their subjects were drawn at random from frequent words, before the words of the search's topics were written;
nothing is tuned on them, and what is missed of them is not looked at: they tell what to expect of sentences
that nobody has seen.
"""

import random
from typing import Final

from bench.memory.conversations import Conversation, Question, conversation

PAIRS: Final = {
    "en": [
        ("I am learning Russian from an app.", "Which foreign tongue do I study?"),
        ("My contact lenses dry out after ten hours.", "What troubles my eyes?"),
        ("I inherited a small piece of land in Kent.", "What did I get when my aunt died?"),
        ("I lead the local scout group.", "Which youth club do I run?"),
        ("The train to Bath leaves from platform seven.", "Where do I have to wait at the station?"),
        ("We keep a kosher kitchen.", "Which rules do I follow when I cook?"),
        ("I dyed my hair brown in May.", "What did I change about my looks?"),
        ("The door handle in the bathroom came off.", "What has to be mended in the flat?"),
    ],
    "de": [
        ("Ich habe am Samstag 200 Euro im Casino gewonnen.", "Womit hatte ich Glück im Spiel?"),
        ("Mitternacht gehe ich nie ins Bett, immer erst um zwei.", "Wie spät lege ich mich schlafen?"),
        ("Mein Opa war Steinmetz.", "Welches Handwerk übte mein Großvater aus?"),
        ("Ich hatte einen Nierenstein.", "Welche Krankheit habe ich überstanden?"),
        ("Meine beste Freundin seit der Schulzeit ist Ute.", "Wem vertraue ich am meisten?"),
        ("Ich töpfere donnerstags Vasen.", "Was ist mein Hobby?"),
        ("Im Herbst wandern wir nach Kanada aus.", "In welches Land ziehen wir?"),
        ("Ein Fremder hat mir den Reifen gewechselt.", "Wer half mir bei der Panne?"),
    ],
    "zh": [
        ("我每天跑五公里保持健康。", "我做什么运动?"),
        ("我上个月在衣服上花了三千块。", "我买什么花钱最多?"),
        ("我儿子拿了钢琴比赛第一名。", "我的孩子得过什么奖?"),
        ("我近视四百度。", "我的视力怎么样?"),
        ("我的房东养了两只猫。", "租给我房子的人有什么宠物?"),
        ("我在苏格兰留过学。", "我在国外哪里读过书?"),
    ],
    "ja": [
        ("趣味は陶芸です。", "休みの日は何を作っていますか?"),
        ("駅の三番線で待ち合わせです。", "どのホームで会いますか?"),
        ("来年カナダに移住します。", "どの国に引っ越しますか?"),
        ("古典音楽が好きです。", "どんな曲をよく聴きますか?"),
        ("茶色の財布を落としました。", "何を紛失しましたか?"),
        ("親友は健二です。", "一番仲の良い人は誰ですか?"),
    ],
    "ko": [
        ("눈이 나빠서 안경을 써요.", "시력이 어때요?"),
        ("한 달에 커피값으로 십만 원을 써요.", "어떤 음료에 돈을 많이 지출해요?"),
        ("독일에서 삼 년 동안 살았어요.", "외국 어디에 거주했어요?"),
        ("도자기를 만드는 게 즐거워요.", "제 취미가 뭔지 기억해요?"),
        ("우리 아들이 반장이 됐어요.", "아이가 학교에서 무슨 역할을 맡았어요?"),
        ("제 가장 친한 친구는 수진이에요.", "누구와 제일 가까워요?"),
    ],
    "ar": [
        ("نظري ضعيف وألبس نظارة.", "كيف حال عيني؟"),
        ("ورثت أرضا صغيرة عن أبي.", "ماذا تركت لي عائلتي بعد الوفاة؟"),
        ("أنفق نصف راتبي على الإيجار.", "على ماذا أصرف معظم نقودي؟"),
        ("أعز أصدقائي اسمه كريم.", "من أقرب رفيق لي؟"),
        ("القطار يغادر من الرصيف الرابع.", "أين أنتظر في المحطة؟"),
        ("سنهاجر إلى كندا العام القادم.", "إلى أي بلد ننتقل؟"),
    ],
}


def with_pairs(language: str, turns: int, seed: int) -> Conversation:
    """Return a conversation of so many turns in which the statements are told, one in a turn."""
    talk = conversation(language, turns, seed)
    randomness = random.Random(f"{language}{turns}{seed}")
    pairs = list(PAIRS[language])
    places = sorted(randomness.sample(range(turns), len(pairs)))
    randomness.shuffle(pairs)
    messages = list(talk.messages)
    asked: list[Question] = []
    for place, (told, question) in zip(places, pairs, strict=True):
        messages[2 * place] = told
        asked.append(Question(question, 2 * place, "pair"))
    return Conversation(messages, [], asked)
