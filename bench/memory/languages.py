"""What people tell, ask later in the same words, and ask in quite other words: in six languages."""

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of fact: how it is told, asked for in its words, and asked for in others.

    Kinds in `REPLACED` may be told again with another value, and then the last one holds.
    """

    statement: str
    asked: str
    paraphrased: str


KINDS = (
    "sister",
    "move",
    "dislike",
    "allergy",
    "trip",
    "dog",
    "garage",
    "dentist",
    "music",
    "car",
    "book",
    "job",
)
REPLACED = frozenset({"move", "dentist", "garage"})
"""Kinds that are told a second time with another value: then the later message is the one to be found."""


class Language(NamedTuple):
    """The sentences of a language, and what their gaps are filled with."""

    kinds: dict[str, Kind]
    talk: tuple[str, ...]
    answers: tuple[str, ...]
    fillings: dict[str, tuple[str, ...]]


EN = Language(
    {
        "sister": Kind(
            "My sister {name} works as a {job} in {city}.",
            "Where does my sister {name} work?",
            "In which town does my sibling earn her money?",
        ),
        "move": Kind(
            "I have moved to {city}, since {month}.",
            "To which city have I moved?",
            "Where is my home these days?",
        ),
        "dislike": Kind(
            "I cannot stand {food}, please never suggest it.",
            "Which food can I not stand?",
            "What should stay off my dinner plate?",
        ),
        "allergy": Kind(
            "{name} is allergic to {food}.",
            "What is {name} allergic to?",
            "What could make our guest ill at the table?",
        ),
        "trip": Kind(
            "In {month} we fly to {city} for the wedding of {name}.",
            "Where is the wedding of {name}?",
            "For which celebration do I have to take a plane?",
        ),
        "dog": Kind(
            "Our dog is called {pet}.",
            "What is our dog called?",
            "What do I shout when my four-legged friend should come?",
        ),
        "garage": Kind(
            "The code of the garage is {number}.",
            "What is the code of the garage?",
            "Which digits let me in to where I park?",
        ),
        "dentist": Kind(
            "My appointment at the dentist is on {day} {month}.",
            "When is my appointment at the dentist?",
            "On which date will somebody look at my teeth?",
        ),
        "music": Kind(
            "{name} plays the {instrument} in an orchestra.",
            "Which instrument does {name} play?",
            "Who of my friends is a musician?",
        ),
        "car": Kind(
            "We bought our {color} car from {name}.",
            "From whom did we buy our car?",
            "Who was the owner of this vehicle before me?",
        ),
        "book": Kind(
            "{name} lent me a book about {topic}, it has to go back in {month}.",
            "Which book did {name} lend me?",
            "What must I still return to somebody?",
        ),
        "job": Kind(
            "I start my new job at {company} in {month}.",
            "When do I start my new job?",
            "From when on does another employer pay me?",
        ),
    },
    (
        "{name} called this morning and talked about the weather in {city}.",
        "Can you give me an idea for dinner with {food}?",
        "What is a good way to learn about {topic}?",
        "It rained all day, so I stayed at home and read about {topic}.",
        "Please write a short poem about {city} in {month}.",
        "How long does it take to get from {city} to {city2}?",
        "I met {name} in the supermarket, we did not have much time.",
        "The neighbours have a new {color} bicycle and I am a little jealous.",
        "How do I get a {color} stain out of a shirt?",
        "Tell me something interesting about {company}.",
        "Is {month} a good time to visit {city}?",
        "I slept badly and I am tired today.",
        "What does a {job} do all day?",
        "Translate 'good morning' into five languages.",
        "How many people live in {city}?",
        "Is a dog or a cat better for a small flat?",
        "Who invented the car, and in which city?",
        "How often should one see a dentist?",
        "{name} read a book about {topic} and liked it.",
        "What should I give {name} for the wedding of a colleague?",
        "{name} has a new job and a sister in {city}.",
        "How do I write secret code with numbers like {number}?",
        "The neighbour of {name} plays the {instrument} badly.",
    ),
    (
        "Gladly, here is what I know.",
        "That sounds good, thank you for telling me.",
        "Noted. Shall I help with something else?",
        "Here are three ideas that may help you today.",
        "It depends, but mostly it is quite simple.",
    ),
    {
        "name": (
            "Anna",
            "Marcus",
            "Leila",
            "Peter",
            "Sofia",
            "Daniel",
            "Grace",
            "Oliver",
            "Hannah",
            "Victor",
            "Julia",
            "Samuel",
        ),
        "job": ("nurse", "carpenter", "lawyer", "pilot", "teacher", "cook"),
        "city": (
            "Leeds",
            "Boston",
            "Dublin",
            "Oslo",
            "Rome",
            "Toronto",
            "Lisbon",
            "Denver",
            "Vienna",
            "Seville",
        ),
        "food": ("celery", "peanuts", "mushrooms", "shrimp", "walnuts", "olives", "strawberries", "cheese"),
        "month": ("January", "March", "April", "June", "August", "October", "November"),
        "pet": ("Biscuit", "Rocky", "Luna", "Pepper", "Shadow"),
        "number": ("4711", "8822", "1907", "6330", "2058", "9914"),
        "day": ("3", "9", "14", "21", "27"),
        "instrument": ("cello", "trumpet", "flute", "violin", "harp"),
        "color": ("red", "green", "silver", "blue", "yellow"),
        "topic": ("whales", "volcanoes", "medieval castles", "beekeeping", "chess", "glaciers"),
        "company": ("Northwind", "Acme Labs", "Bluebird", "Contoso", "Silverline"),
    },
)
DE = Language(
    {
        "sister": Kind(
            "Meine Schwester {name} arbeitet als {job} in {city}.",
            "Wo arbeitet meine Schwester {name}?",
            "In welcher Stadt verdient sie, mit der ich aufwuchs, ihr Geld?",
        ),
        "move": Kind(
            "Ich bin im {month} nach {city} umgezogen.",
            "In welche Stadt bin ich umgezogen?",
            "Wo bin ich jetzt zu Hause?",
        ),
        "dislike": Kind(
            "Ich mag überhaupt kein {food}, bitte schlage mir das nie vor.",
            "Was mag ich überhaupt nicht?",
            "Welche Zutat soll auf meinem Teller fehlen?",
        ),
        "allergy": Kind(
            "{name} ist allergisch gegen {food}.",
            "Wogegen ist {name} allergisch?",
            "Wovon könnte unser Gast krank werden?",
        ),
        "trip": Kind(
            "Im {month} fliegen wir zur Hochzeit von {name} nach {city}.",
            "Wo ist die Hochzeit von {name}?",
            "Für welches Fest muss ich verreisen?",
        ),
        "dog": Kind(
            "Unser Hund heißt {pet}.",
            "Wie heißt unser Hund?",
            "Was rufe ich, wenn mein Vierbeiner kommen soll?",
        ),
        "garage": Kind(
            "Der Code der Garage ist {number}.",
            "Wie lautet der Code der Garage?",
            "Mit welchen Ziffern komme ich zu meinem Stellplatz?",
        ),
        "dentist": Kind(
            "Mein Termin beim Zahnarzt ist am {day}. {month}.",
            "Wann ist mein Termin beim Zahnarzt?",
            "An welchem Tag schaut mir jemand in den Mund?",
        ),
        "music": Kind(
            "{name} spielt {instrument} in einem Orchester.",
            "Welches Instrument spielt {name}?",
            "Wer aus meinem Kreis macht Musik?",
        ),
        "car": Kind(
            "Wir haben unser {color} Auto von {name} gekauft.",
            "Von wem haben wir unser Auto gekauft?",
            "Wem gehörte der Wagen vor mir?",
        ),
        "book": Kind(
            "{name} hat mir ein Buch über {topic} geliehen, es muss im {month} zurück.",
            "Welches Buch hat {name} mir geliehen?",
            "Was muss ich noch jemandem wiedergeben?",
        ),
        "job": Kind(
            "Ich fange im {month} meine neue Stelle bei {company} an.",
            "Wann fange ich meine neue Stelle an?",
            "Ab wann bezahlt mich ein anderer Arbeitgeber?",
        ),
    },
    (
        "{name} hat heute Morgen angerufen und vom Wetter in {city} erzählt.",
        "Hast du eine Idee für ein Abendessen mit {food}?",
        "Wie lerne ich am besten etwas über {topic}?",
        "Es hat den ganzen Tag geregnet, ich blieb daheim und las über {topic}.",
        "Schreib bitte ein kurzes Gedicht über {city} im {month}.",
        "Wie lange braucht man von {city} nach {city2}?",
        "Ich habe {name} im Supermarkt getroffen, wir hatten wenig Zeit.",
        "Die Nachbarn haben ein neues Fahrrad, ein {color} lackiertes.",
        "Wie bekomme ich einen Fleck aus einem Hemd?",
        "Erzähl mir etwas Interessantes über {company}.",
        "Ist der {month} eine gute Zeit für {city}?",
        "Ich habe schlecht geschlafen und bin heute müde.",
        "Was macht man als {job} den ganzen Tag?",
        "Übersetze 'Guten Morgen' in fünf Sprachen.",
        "Wie viele Menschen leben in {city}?",
        "Ist ein Hund oder eine Katze besser für eine kleine Wohnung?",
        "Wer hat das Auto erfunden, und in welcher Stadt?",
        "Wie oft sollte man zum Zahnarzt gehen?",
        "{name} hat ein Buch über {topic} gelesen und mochte es.",
        "Was schenke ich {name} zur Hochzeit einer Kollegin?",
        "{name} hat eine neue Stelle und eine Schwester in {city}.",
        "Wie schreibt man geheimen Code mit Zahlen wie {number}?",
        "Der Nachbar von {name} übt schlecht auf seinem Instrument.",
    ),
    (
        "Gern, hier ist, was ich weiß.",
        "Das klingt gut, danke fürs Erzählen.",
        "Ist notiert. Kann ich sonst noch helfen?",
        "Hier sind drei Ideen, die heute passen.",
        "Das kommt darauf an, meist ist es einfach.",
    ),
    {
        "name": (
            "Anna",
            "Markus",
            "Leila",
            "Petra",
            "Sophie",
            "Daniel",
            "Greta",
            "Oliver",
            "Hanna",
            "Viktor",
            "Julia",
            "Samuel",
        ),
        "job": ("Krankenpflegerin", "Tischlerin", "Anwältin", "Pilotin", "Lehrerin", "Köchin"),
        "city": (
            "Leipzig",
            "Bremen",
            "Zürich",
            "Graz",
            "Köln",
            "Hamburg",
            "Dresden",
            "Basel",
            "Wien",
            "Mainz",
        ),
        "food": ("Sellerie", "Erdnüsse", "Pilze", "Garnelen", "Walnüsse", "Oliven", "Erdbeeren", "Käse"),
        "month": ("Januar", "März", "April", "Juni", "August", "Oktober", "November"),
        "pet": ("Keks", "Rocky", "Luna", "Pfeffer", "Schatten"),
        "number": ("4711", "8822", "1907", "6330", "2058", "9914"),
        "day": ("3", "9", "14", "21", "27"),
        "instrument": ("Cello", "Trompete", "Flöte", "Geige", "Harfe"),
        "color": ("rotes", "grünes", "silbernes", "blaues", "gelbes"),
        "topic": ("Wale", "Vulkane", "Burgen", "Bienen", "Schach", "Gletscher"),
        "company": ("Nordwind", "Acme", "Blaumeise", "Contoso", "Silberlinie"),
    },
)
ZH = Language(
    {
        "sister": Kind(
            "我姐姐{name}在{city}当{job}。", "我姐姐{name}在哪里工作?", "跟我一起长大的那位女士靠什么谋生?"
        ),
        "move": Kind("我{month}搬到{city}去住了。", "我搬到哪个城市了?", "现在我的家在什么地方?"),
        "dislike": Kind(
            "我最讨厌吃{food},请不要再推荐。", "我最讨厌吃什么?", "做饭时不能放进去的东西有哪些?"
        ),
        "allergy": Kind("{name}对{food}过敏。", "{name}对什么过敏?", "客人碰了哪样食物会生病?"),
        "trip": Kind(
            "{month}我们要飞到{city}参加{name}的婚礼。", "{name}的婚礼在哪里?", "我为了哪件喜事得坐飞机?"
        ),
        "dog": Kind("我们家的狗叫{pet}。", "我们家的狗叫什么?", "宠物的名字是哪两个字?"),
        "garage": Kind("车库的密码是{number}。", "车库的密码是多少?", "停车的地方用哪几个数字开门?"),
        "dentist": Kind("我跟牙医约在{month}{day}号。", "我跟牙医约在几号?", "哪一天有人检查我的口腔?"),
        "music": Kind("{name}在乐团里演奏{instrument}。", "{name}演奏什么乐器?", "朋友当中谁是音乐家?"),
        "car": Kind(
            "我们的{color}汽车是从{name}那里买的。", "我们的汽车是从谁那里买的?", "这辆车的上一个主人是哪位?"
        ),
        "book": Kind(
            "{name}借给我一本关于{topic}的书,{month}要还。",
            "{name}借给我什么书?",
            "我还欠别人哪样东西没归还?",
        ),
        "job": Kind(
            "我{month}开始在{company}的新工作。", "我什么时候开始新工作?", "从何时起由另一个老板发工资给我?"
        ),
    },
    (
        "今天早上{name}打电话来,聊了聊{city}的天气。",
        "晚饭想用{food}做点什么,有主意吗?",
        "想了解{topic},从哪里学起比较好?",
        "下了一整天的雨,就待在家里看{topic}的节目。",
        "请写一首关于{month}的{city}的短诗。",
        "从{city}到{city2}要多长时间?",
        "在超市遇见了{name},没说上几句话。",
        "邻居有一辆新的{color}自行车,有点羡慕。",
        "衬衫上的污渍怎么洗掉?",
        "说说{company}的趣事吧。",
        "{month}去{city}旅游合适吗?",
        "昨晚没睡好,今天很累。",
        "{job}每天都做些什么?",
        "把“早上好”翻译成五种语言。",
        "{city}有多少人口?",
        "小房子里养狗好还是养猫好?",
        "汽车是谁在哪个城市发明的?",
        "多久该去看一次牙医?",
        "{name}看了一本关于{topic}的书,很喜欢。",
        "同事的婚礼上,我和{name}送什么好?",
        "{name}有了新工作,还有一个姐姐在{city}。",
        "像{number}这样的密码怎么设才安全?",
        "{name}的邻居演奏乐器很难听。",
    ),
    (
        "好的,这是我知道的。",
        "听起来不错,谢谢你告诉我。",
        "记下了,还需要别的帮助吗?",
        "这里有三个主意,也许有用。",
        "要看情况,不过一般很简单。",
    ),
    {
        "name": (
            "小芳",
            "建国",
            "丽娜",
            "大伟",
            "雪梅",
            "志强",
            "美玲",
            "海涛",
            "静怡",
            "文杰",
            "玉兰",
            "子轩",
        ),
        "job": ("护士", "木匠", "律师", "飞行员", "老师", "厨师"),
        "city": ("成都", "杭州", "西安", "厦门", "大连", "昆明", "苏州", "青岛", "武汉", "桂林"),
        "food": ("芹菜", "花生", "蘑菇", "虾", "核桃", "橄榄", "草莓", "奶酪"),
        "month": ("一月", "三月", "四月", "六月", "八月", "十月", "十一月"),
        "pet": ("饼干", "豆豆", "月亮", "胡椒", "黑子"),
        "number": ("4711", "8822", "1907", "6330", "2058", "9914"),
        "day": ("3", "9", "14", "21", "27"),
        "instrument": ("大提琴", "小号", "长笛", "小提琴", "竖琴"),
        "color": ("红色", "绿色", "银色", "蓝色", "黄色"),
        "topic": ("鲸鱼", "火山", "古堡", "养蜂", "象棋", "冰川"),
        "company": ("北风公司", "顶点实验室", "蓝鸟公司", "银线集团", "长城科技"),
    },
)
JA = Language(
    {
        "sister": Kind(
            "姉の{name}は{city}で{job}をしています。",
            "姉の{name}はどこで働いていますか?",
            "一緒に育った女性は何で生計を立てている?",
        ),
        "move": Kind(
            "{month}に{city}へ引っ越しました。", "私はどの町へ引っ越しましたか?", "今の住まいはどこだっけ?"
        ),
        "dislike": Kind(
            "{food}は大嫌いなので、もう勧めないでください。",
            "私が大嫌いな食べ物は何ですか?",
            "夕食の皿に載せてはいけないものは?",
        ),
        "allergy": Kind(
            "{name}は{food}アレルギーです。",
            "{name}は何のアレルギーですか?",
            "お客さんが口にすると具合が悪くなるのは?",
        ),
        "trip": Kind(
            "{month}に{name}の結婚式のため{city}へ飛びます。",
            "{name}の結婚式はどこですか?",
            "どんなお祝いで飛行機に乗る?",
        ),
        "dog": Kind(
            "うちの犬の名前は{pet}です。", "うちの犬の名前は何ですか?", "四本足の家族を何と呼べばいい?"
        ),
        "garage": Kind(
            "車庫の暗証番号は{number}です。", "車庫の暗証番号は何ですか?", "駐車する所を開ける数字は?"
        ),
        "dentist": Kind(
            "歯医者の予約は{month}{day}日です。", "歯医者の予約はいつですか?", "口の中を診てもらう日は?"
        ),
        "music": Kind(
            "{name}は楽団で{instrument}を弾いています。",
            "{name}が弾いている楽器は何ですか?",
            "友達の中で音楽家は誰?",
        ),
        "car": Kind(
            "うちの{color}車は{name}から買いました。",
            "うちの車は誰から買いましたか?",
            "この自動車の前の持ち主は?",
        ),
        "book": Kind(
            "{name}が{topic}の本を貸してくれました。{month}に返します。",
            "{name}が貸してくれた本は何ですか?",
            "まだ人に戻していない物は?",
        ),
        "job": Kind(
            "{month}から{company}で新しい仕事を始めます。",
            "新しい仕事はいつ始めますか?",
            "別の会社から給料をもらうのはいつから?",
        ),
    },
    (
        "今朝{name}から電話があり、{city}の天気の話をしました。",
        "{food}を使った晩ご飯のアイデアはありますか?",
        "{topic}について学ぶには何がいいですか?",
        "一日中雨だったので、家で{topic}の番組を見ました。",
        "{month}の{city}について短い詩を書いてください。",
        "{city}から{city2}までどのくらいかかりますか?",
        "スーパーで{name}に会いましたが、時間がありませんでした。",
        "隣の人が新しい{color}自転車を持っていて羨ましいです。",
        "シャツの染みはどうやって落としますか?",
        "{company}について面白い話を教えて。",
        "{month}は{city}へ行くのにいい時期ですか?",
        "昨夜はよく眠れず、今日は疲れています。",
        "{job}は毎日何をするのですか?",
        "「おはよう」を五つの言語に訳して。",
        "{city}の人口はどのくらいですか?",
        "狭い部屋では犬と猫のどちらがいいですか?",
        "車は誰がどの町で発明しましたか?",
        "歯医者にはどのくらい通うべきですか?",
        "{name}は{topic}の本を読んで気に入ったそうです。",
        "同僚の結婚式に{name}と何を贈ればいいですか?",
        "{name}は新しい仕事を始め、姉が{city}にいます。",
        "{number}のような暗証番号は安全ですか?",
        "{name}の隣の人が弾く楽器は下手です。",
    ),
    (
        "はい、知っていることをお伝えします。",
        "いいですね、教えてくれてありがとう。",
        "覚えておきます。ほかに何かありますか?",
        "役に立ちそうな案が三つあります。",
        "場合によりますが、たいてい簡単です。",
    ),
    {
        "name": (
            "健太",
            "美咲",
            "由美",
            "翔平",
            "さくら",
            "大輔",
            "恵子",
            "直樹",
            "葵",
            "拓也",
            "千春",
            "蓮",
        ),
        "job": ("看護師", "大工", "弁護士", "パイロット", "教師", "料理人"),
        "city": ("札幌", "仙台", "京都", "福岡", "長崎", "金沢", "広島", "神戸", "那覇", "奈良"),
        "food": ("セロリ", "ピーナッツ", "きのこ", "エビ", "くるみ", "オリーブ", "いちご", "チーズ"),
        "month": ("一月", "三月", "四月", "六月", "八月", "十月", "十一月"),
        "pet": ("ポチ", "コロ", "ルナ", "マル", "クロ"),
        "number": ("4711", "8822", "1907", "6330", "2058", "9914"),
        "day": ("3", "9", "14", "21", "27"),
        "instrument": ("チェロ", "ギター", "三味線", "バイオリン", "ハープ"),
        "color": ("赤い", "緑の", "銀色の", "青い", "黄色い"),
        "topic": ("クジラ", "火山", "お城", "養蜂", "将棋", "氷河"),
        "company": ("北風商事", "頂点研究所", "青鳥社", "銀線工業", "山本製作所"),
    },
)
KO = Language(
    {
        "sister": Kind(
            "우리 누나 {name}은 {city}에서 {job}로 일해요.",
            "우리 누나 {name}은 어디에서 일해요?",
            "함께 자란 그녀는 어느 도시에서 돈을 벌어?",
        ),
        "move": Kind(
            "저는 {month}에 {city}로 이사했어요.", "제가 어느 도시로 이사했죠?", "지금 내 집은 어디에 있어?"
        ),
        "dislike": Kind(
            "저는 {food}를 정말 싫어하니 추천하지 마세요.",
            "제가 정말 싫어하는 음식이 뭐죠?",
            "내 저녁 접시에 올리면 안 되는 것은?",
        ),
        "allergy": Kind(
            "{name}은 {food} 알레르기가 있어요.",
            "{name}은 무슨 알레르기가 있어요?",
            "손님이 먹으면 탈이 나는 것은?",
        ),
        "trip": Kind(
            "{month}에 {name} 결혼식 때문에 {city}로 비행기를 타고 가요.",
            "{name} 결혼식은 어디에서 해요?",
            "어떤 잔치 때문에 멀리 떠나야 해?",
        ),
        "dog": Kind(
            "우리 강아지 이름은 {pet}예요.", "우리 강아지 이름이 뭐예요?", "네 발 달린 친구를 뭐라고 불러?"
        ),
        "garage": Kind(
            "차고 비밀번호는 {number}이에요.", "차고 비밀번호가 뭐예요?", "주차하는 곳은 어떤 숫자로 열어?"
        ),
        "dentist": Kind(
            "치과 예약은 {month} {day}일이에요.", "치과 예약이 언제예요?", "내 이를 봐 주는 날은 며칠이야?"
        ),
        "music": Kind(
            "{name}은 악단에서 {instrument}를 연주해요.",
            "{name}이 연주하는 악기가 뭐예요?",
            "친구 중에 음악가는 누구야?",
        ),
        "car": Kind(
            "우리 {color} 자동차는 {name}한테서 샀어요.",
            "우리 자동차를 누구한테서 샀죠?",
            "이 차의 전 주인은 누구였어?",
        ),
        "book": Kind(
            "{name}이 {topic}에 관한 책을 빌려줬고 {month}에 돌려줘야 해요.",
            "{name}이 빌려준 책이 뭐예요?",
            "아직 남에게 반납하지 않은 물건은?",
        ),
        "job": Kind(
            "저는 {month}에 {company}에서 새 일을 시작해요.",
            "새 일을 언제 시작해요?",
            "언제부터 다른 회사에서 월급을 받아?",
        ),
    },
    (
        "오늘 아침 {name}이 전화해서 {city} 날씨 이야기를 했어요.",
        "{food}로 만들 저녁 메뉴 좀 알려 주세요.",
        "{topic}에 대해 배우려면 어떻게 하면 좋을까요?",
        "하루 종일 비가 와서 집에서 {topic} 방송을 봤어요.",
        "{month}의 {city}에 대한 짧은 시를 써 주세요.",
        "{city}에서 {city2}까지 얼마나 걸려요?",
        "마트에서 {name}을 만났는데 시간이 없었어요.",
        "이웃이 {color} 자전거를 새로 사서 조금 부러워요.",
        "셔츠에 묻은 얼룩은 어떻게 지워요?",
        "{company}에 대해 재미있는 이야기를 해 주세요.",
        "{month}에 {city}에 가면 좋을까요?",
        "어젯밤에 잠을 못 자서 오늘 피곤해요.",
        "{job}는 하루 종일 무엇을 해요?",
        "'좋은 아침'을 다섯 개 언어로 번역해 줘.",
        "{city} 인구가 얼마나 돼요?",
        "작은 집에서는 강아지가 좋아요, 고양이가 좋아요?",
        "자동차는 누가 어느 도시에서 발명했죠?",
        "치과는 얼마나 자주 가야 해요?",
        "{name}이 {topic}에 관한 책을 읽었는데 좋대요.",
        "동료 결혼식에 {name}과 무엇을 선물할까요?",
        "{name}은 새 일을 찾았고 누나가 {city}에 있어요.",
        "{number} 같은 비밀번호는 안전해요?",
        "{name}의 이웃이 연주하는 악기는 시끄러워요.",
    ),
    (
        "네, 제가 아는 것은 이렇습니다.",
        "좋네요, 알려 줘서 고마워요.",
        "적어 두었어요. 더 도와드릴까요?",
        "도움이 될 만한 생각이 세 가지 있어요.",
        "상황에 따라 다르지만 대체로 간단해요.",
    ),
    {
        "name": (
            "지훈",
            "서연",
            "민수",
            "하은",
            "영희",
            "도윤",
            "수빈",
            "준호",
            "은지",
            "태양",
            "보람",
            "현우",
        ),
        "job": ("간호사", "목수", "변호사", "조종사", "교사", "요리사"),
        "city": ("부산", "대전", "전주", "강릉", "제주", "광주", "춘천", "여수", "경주", "수원"),
        "food": ("셀러리", "땅콩", "버섯", "새우", "호두", "올리브", "딸기", "치즈"),
        "month": ("1월", "3월", "4월", "6월", "8월", "10월", "11월"),
        "pet": ("초코", "바둑이", "루나", "후추", "까미"),
        "number": ("4711", "8822", "1907", "6330", "2058", "9914"),
        "day": ("3", "9", "14", "21", "27"),
        "instrument": ("첼로", "트럼펫", "플루트", "바이올린", "하프"),
        "color": ("빨간", "초록", "은색", "파란", "노란"),
        "topic": ("고래", "화산", "성곽", "양봉", "체스", "빙하"),
        "company": ("북풍상사", "정상연구소", "파랑새", "은선공업", "한빛기술"),
    },
)
AR = Language(
    {
        "sister": Kind(
            "أختي {name} تعمل {job} في {city}.",
            "أين تعمل أختي {name}؟",
            "في أي مدينة تكسب رزقها من كبرت معي؟",
        ),
        "move": Kind("انتقلت إلى {city} في {month}.", "إلى أي مدينة انتقلت؟", "أين بيتي هذه الأيام؟"),
        "dislike": Kind(
            "لا أطيق {food} أبدا، لا تقترحه علي.", "ما الطعام الذي لا أطيقه؟", "ماذا يجب ألا يوضع في صحني؟"
        ),
        "allergy": Kind(
            "{name} عنده حساسية من {food}.",
            "ما الذي عند {name} حساسية منه؟",
            "ما الذي قد يمرض ضيفنا على المائدة؟",
        ),
        "trip": Kind(
            "سنسافر في {month} إلى {city} لحضور زفاف {name}.",
            "أين زفاف {name}؟",
            "من أجل أي مناسبة سأركب الطائرة؟",
        ),
        "dog": Kind("اسم كلبنا {pet}.", "ما اسم كلبنا؟", "بماذا أنادي صديقي ذا الأربع؟"),
        "garage": Kind("رمز المرآب هو {number}.", "ما رمز المرآب؟", "بأي أرقام أفتح موقف سيارتي؟"),
        "dentist": Kind(
            "موعدي عند طبيب الأسنان يوم {day} {month}.",
            "متى موعدي عند طبيب الأسنان؟",
            "في أي تاريخ سيفحص أحدهم فمي؟",
        ),
        "music": Kind(
            "{name} يعزف على {instrument} في فرقة.", "على أي آلة يعزف {name}؟", "من من أصدقائي موسيقي؟"
        ),
        "car": Kind(
            "اشترينا سيارتنا {color} من {name}.", "ممن اشترينا سيارتنا؟", "من كان مالك هذه المركبة قبلي؟"
        ),
        "book": Kind(
            "أعارني {name} كتابا عن {topic} ويجب أن أعيده في {month}.",
            "أي كتاب أعارني {name}؟",
            "ما الشيء الذي لم أرده إلى صاحبه؟",
        ),
        "job": Kind(
            "سأبدأ وظيفتي الجديدة في {company} في {month}.",
            "متى أبدأ وظيفتي الجديدة؟",
            "منذ متى يدفع لي رب عمل آخر؟",
        ),
    },
    (
        "اتصل {name} هذا الصباح وتحدث عن الطقس في {city}.",
        "هل عندك فكرة لعشاء فيه {food}؟",
        "كيف أتعلم شيئا عن {topic}؟",
        "أمطرت طوال اليوم فبقيت في الداخل أقرأ عن {topic}.",
        "اكتب قصيدة قصيرة عن {city} في {month}.",
        "كم يستغرق الطريق من {city} إلى {city2}؟",
        "قابلت {name} في السوق ولم يكن عندنا وقت.",
        "عند الجيران دراجة جديدة، لونها جميل.",
        "كيف أزيل بقعة من قميص؟",
        "احك لي شيئا ممتعا عن {company}.",
        "هل {month} وقت مناسب لزيارة {city}؟",
        "لم أنم جيدا وأنا متعب اليوم.",
        "ماذا تفعل {job} طوال اليوم؟",
        "ترجم صباح الخير إلى خمس لغات.",
        "كم عدد سكان {city}؟",
        "هل الكلب أفضل أم القطة لشقة صغيرة؟",
        "من اخترع السيارة وفي أي مدينة؟",
        "كم مرة يزور المرء طبيب الأسنان؟",
        "قرأ {name} كتابا عن {topic} وأعجبه.",
        "ماذا أهدي {name} في زفاف زميلة؟",
        "{name} عنده وظيفة جديدة وله أخت في {city}.",
        "كيف أكتب رمزا سريا بأرقام مثل {number}؟",
        "جار {name} يعزف على آلة مزعجة.",
    ),
    (
        "بكل سرور، هذا ما أعرفه.",
        "هذا جميل، شكرا لأنك أخبرتني.",
        "سجلت ذلك. هل أساعدك في شيء آخر؟",
        "هذه ثلاث أفكار قد تفيدك.",
        "الأمر يتوقف على الحال لكنه سهل غالبا.",
    ),
    {
        "name": ("أحمد", "ليلى", "يوسف", "مريم", "خالد", "سلمى", "عمر", "نور", "هدى", "طارق", "رنا", "سامي"),
        "job": ("ممرضة", "نجارة", "محامية", "طيارة", "معلمة", "طباخة"),
        "city": ("القاهرة", "دمشق", "تونس", "الرباط", "عمان", "بيروت", "مسقط", "الدوحة", "حلب", "فاس"),
        "food": ("الكرفس", "الفول السوداني", "الفطر", "الروبيان", "الجوز", "الزيتون", "الفراولة", "الجبن"),
        "month": ("يناير", "مارس", "أبريل", "يونيو", "أغسطس", "أكتوبر", "نوفمبر"),
        "pet": ("بسكوت", "روكي", "لونا", "فلفل", "برق"),
        "number": ("4711", "8822", "1907", "6330", "2058", "9914"),
        "day": ("3", "9", "14", "21", "27"),
        "instrument": ("التشيلو", "البوق", "الناي", "الكمان", "القانون"),
        "color": ("الحمراء", "الخضراء", "الفضية", "الزرقاء", "الصفراء"),
        "topic": ("الحيتان", "البراكين", "القلاع", "النحل", "الشطرنج", "الجليد"),
        "company": ("شركة الشمال", "مختبرات القمة", "الطائر الأزرق", "خط الفضة", "دار الأفق"),
    },
)
LANGUAGES: dict[str, Language] = {"en": EN, "de": DE, "zh": ZH, "ja": JA, "ko": KO, "ar": AR}
