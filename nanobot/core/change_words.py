"""How one corrects oneself, and tells what there is one of, in the languages that are known here."""

import msgspec


class ChangeWords(msgspec.Struct, frozen=True):
    """How one corrects oneself in a language (`corrects`: before the sentence; `instead`: the `new` and the
    `old` of what was said wrong; `negated`: words that make the opposite of a sentence), and how one tells
    what there is one of: where one lives (`home`), what is one's own (`own`: `what`), one's name (`name`),
    and that of others (`called`: `owner`).
    """

    code: str
    corrects: str
    instead: str
    negated: str
    home: str
    own: str
    name: str
    called: str


LANGUAGES = (
    ChangeWords(
        "en",
        r"(?:no|nope|actually|sorry|correction|wait|i mean|i was wrong|that's wrong|that is wrong)\b",
        r"(?:(?:it|he|she|that|(?:the|his|her|its) name)(?:'s| is) )?(?:called )?(?P<new>.+?)(?:,|,? and)"
        r" not (?P<old>.+)",
        r"don't|doesn't|do not|does not|no longer|any ?more|not|never",
        r"(?:(?:i|we)(?:'m|'ve| am| are| have)? )?(?:(?:now|currently|just|recently) )*(?:(?:live|lives"
        r"|living)(?: now)? in|moved(?: recently)? to(?! (?:the|an?|my|another)\b)) (?P<value>.+)",
        r"my (?P<what>birthday|phone(?: number)?|mobile number|(?:e-?mail |home )?address|e-?mail|age|job"
        r"|employer|nickname|shoe size|favou?rite \w+)(?: now)? is (?P<value>.+)",
        r"(?:my (?:first |full |last )?name is|i am called|i'm called|call me) (?P<value>.+)",
        r"(?:my|our) (?P<owner>[\w -]{1,30}?)(?:'s name)?(?: is(?: now)?(?: called| named)|(?<='s name) is)"
        r" (?P<value>.+)",
    ),
    ChangeWords(
        "de",
        r"(?:nein|nee|doch nicht|eigentlich|entschuldigung|korrektur|das stimmt nicht|ich meine)\b",
        r"(?:(?:es|er|sie|das) (?:ist|heißt) |heißt (?:es|er|sie) )?(?P<new>.+?)(?:,|,? und)"
        r" nicht (?P<old>.+)",
        r"nicht|kein|keine|keinen|mehr|nie",
        r"(?:(?:ich|wir) )?(?:(?:wohne|wohnt|wohnen|lebe|lebt|leben)(?: jetzt| nun| inzwischen)? in"
        r" (?P<value>.+)|(?:jetzt |nun )?in (?P<value2>.+) (?:wohne|lebe|wohnen|leben)"
        r"|(?:bin |ist |sind )?(?:jetzt )?nach (?P<value3>.+?) (?:um)?gezogen(?: bin)?)",
        r"meine? (?P<what>geburtstag|telefonnummer|handynummer|nummer|adresse|anschrift|e-?mail(?:-?adresse)?"
        r"|alter|beruf|arbeitgeber|spitzname|lieblings\w+)(?: (?:ist|lautet)(?: jetzt)? (?P<value>.+)"
        r"| (?P<value2>.+) ist)",
        r"(?:mein name ist|ich heiße|ich heisse|nenn mich) (?P<value>.+)",
        r"(?:meine?|unsere?) (?P<owner>\w+) (?:heißt(?: jetzt)? (?P<value>.+)|(?P<value2>.+) heißt)",
    ),
    ChangeWords(
        "fr",
        r"(?:non|en fait|en réalité|pardon|désolée?|je me suis trompée?|je veux dire)\b",
        r"(?:c'est |(?:il|elle) s'appelle )?(?P<new>.+?)(?:,|,? et)(?: non)? pas (?P<old>.+)",
        r"ne|n'|pas|plus|jamais",
        r"(?:j'|je |nous )?(?:habite|habitons|vis|vit|vivons|ai déménagé|a déménagé|me suis installée?)"
        r"(?: maintenant| désormais)? (?:à|en|au|aux) (?P<value>.+)",
        r"(?:mon|ma) (?P<what>anniversaire|numéro(?: de téléphone)?|téléphone|adresse|e-?mail|âge|métier"
        r"|surnom|\w+ préférée?)(?: maintenant)? est (?P<value>.+)",
        r"(?:mon (?:pré)?nom est|je m'appelle|appelle[sz]?-moi) (?P<value>.+)",
        r"(?:mon|ma|notre) (?P<owner>\w+) s'appelle(?: maintenant)? (?P<value>.+)",
    ),
    ChangeWords(
        "es",
        r"(?:no|en realidad|perdón|perdona|me equivoqué|corrección|quiero decir)\b",
        r"(?:(?:es|se llama) )?(?P<new>.+?)(?:,|,? y) no (?P<old>.+)",
        r"ya|no|nunca|más",
        r"(?:yo )?(?:ahora |ya )*(?:(?:vivo|vive|vivimos)(?: ahora)? en|(?:me mudé|me he mudado|se mudó) a)"
        r" (?P<value>.+)",
        r"mi (?P<what>cumpleaños|número(?: de teléfono)?|teléfono|dirección|correo|edad|trabajo|apodo"
        r"|\w+ favorit[oa])(?: ahora)? es (?P<value>.+)",
        r"(?:mi nombre es|me llamo|llámame) (?P<value>.+)",
        r"(?:mi|nuestr[oa]) (?P<owner>\w+)(?: ahora)? se llama (?P<value>.+)",
    ),
    ChangeWords(
        "it",
        r"(?:no|in realtà|anzi|scusa|mi sono sbagliat[oa]|correzione|volevo dire)\b",
        r"(?:(?:è|si chiama) )?(?P<new>.+?)(?:,|,? e) non (?P<old>.+)",
        r"non|più|mai",
        r"(?:io )?(?:ora |adesso )*(?:(?:abito|abita|vivo|vive)(?: ora| adesso)?|(?:mi sono|si è)"
        r" trasferit[oa]) (?:a|ad|in) (?P<value>.+)",
        r"(?:il mio|la mia) (?P<what>compleanno|numero(?: di telefono)?|telefono|indirizzo|e-?mail|età|lavoro"
        r"|soprannome|\w+ preferit[oa])(?: ora)? è (?P<value>.+)",
        r"(?:il mio nome è|mi chiamo|chiamami) (?P<value>.+)",
        r"(?:il mio|la mia|mio|mia) (?P<owner>\w+)(?: ora)? si chiama (?P<value>.+)",
    ),
    ChangeWords(
        "pt",
        r"(?:não|na verdade|aliás|desculpe?|eu errei|correção|quero dizer)\b",
        r"(?:(?:é|se chama) )?(?P<new>.+?)(?:,|,? e) não (?P<old>.+)",
        r"não|já|mais|nunca",
        r"(?:eu )?(?:agora )?(?:(?:moro|mora|vivo|vive)(?: agora)? (?:em|no|na)|(?:me )?mudei(?:-me)?"
        r" (?:para|pra)(?: o| a)?) (?P<value>.+)",
        r"(?:o meu|a minha|meu|minha) (?P<what>aniversário|número(?: de telefone)?|telefone|endereço|e-?mail"
        r"|idade|trabalho|apelido|\w+ favorit[oa])(?: agora)? é (?P<value>.+)",
        r"(?:(?:o )?meu nome é|me chamo|chamo-me|me chame de) (?P<value>.+)",
        r"(?:o meu|a minha|meu|minha) (?P<owner>\w+)(?: agora)? se chama (?P<value>.+)",
    ),
    ChangeWords(
        "zh",
        r"(?:不对|不是的?|其实|错了|说错了|更正|抱歉|不(?=[，,]))",
        r"(?:[它他她]?(?:是|叫))?(?P<new>.+?)(?:[，,]|[，,]?而)不(?:是|叫)(?P<old>.+)",
        r"不再|已经|不|没|再|了",
        r"(?:我们?|用户)?(?:现在|如今|目前|最近|已经|刚)*(?:住在|住到|搬到了?|搬去了?|搬家到了?)(?P<value>.+?)了?",
        r"我的?(?P<what>生日|电话(?:号码)?|手机号码?|地址|邮箱|年龄|工作|最喜欢的.{1,4})(?:现在)?(?:是|在)"
        r"(?P<value>.+)",
        r"(?:我的名字(?:是|叫)|我(?:现在)?叫|叫我)(?P<value>.+)",
        r"我们?的?(?P<owner>[^，。叫我]{1,6}?)(?:的名字)?(?:现在)?叫(?P<value>.+)",
    ),
    ChangeWords(
        "ja",
        r"(?:いいえ|いや|違います|違う|実は|間違えました|訂正)",
        r"(?P<old>.+?)(?:では|じゃ)なく(?:て)?[、,]?(?P<new>.+?)(?:です|だよ|だ)?",
        r"もう",
        r"(?:(?:私|僕|俺)は[、,]?)?(?:今は?|現在は?)?[、,]?(?P<value>.+?)(?:に住んでい(?:る|ます)|に住んでる"
        r"|[にへ]引っ越し(?:た|ました))",
        r"(?:私|僕|俺)の(?P<what>誕生日|電話番号|住所|メール(?:アドレス)?|年齢|仕事|好きな.{1,4})は(?P<value>.+)",
        r"(?:私|僕|俺)の名前は(?P<value>.+)",
        r"(?:私|僕|俺|うち)の(?P<owner>.{1,6}?)(?:の名前)は(?P<value>.+)",
    ),
    ChangeWords(
        "ar",
        r"(?:لا|في الواقع|في الحقيقة)(?=\W)",
        "",
        "",
        r"(?:أنا )?(?:(?:الآن )?(?:أعيش|أسكن|يعيش|تعيش|يسكن|تسكن)(?: الآن)? في|انتقلت?(?: الآن)? (?:إلى|الى))"
        r" (?P<value>.+)",
        "",
        "",
        "",
    ),
    ChangeWords(
        "ru",
        r"(?:нет|на самом деле|вообще-то|я ошиб\w+)\b",
        "",
        "",
        r"(?:я )?(?:теперь |сейчас )?(?:жив[уёе]т?(?: теперь| сейчас)?|переехала?) (?:во?|на) (?P<value>.+)",
        "",
        "",
        "",
    ),
)
