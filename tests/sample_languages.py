"""Captions of the sample's scenes in five languages, and a data set of one of them.

Each entry of a table has one form, or four separated by "|": one and two of a masculine noun, one
and two of a feminine one.
"""

from pathlib import Path
from typing import NamedTuple

from painting import paint_scene
from scenes import Scene

from captioning.old import CAPTIONS, PHOTOS, SPLITS

ANIMALS = ("dog", "cat", "bird")


class Wording(NamedTuple):
    """How a language words a scene."""

    script: str  # Unicode's name of it
    subjects: dict[str, tuple[str, str, str]]  # gender, one of it, two of it; {colour} is filled in
    coats: dict[str, str]  # colours of fur and feathers
    clothes: dict[str, str]  # colours of clothes
    actions: dict[str, str]
    settings: dict[str, str]
    waters: dict[str, str]  # where one swims
    templates: tuple[str, ...]  # of {who}, {does} and {where}


GERMAN = Wording(
    script="Latin",
    subjects={
        "dog": ("m", "ein {colour} Hund", "zwei {colour} Hunde"),
        "cat": ("f", "eine {colour} Katze", "zwei {colour} Katzen"),
        "bird": ("m", "ein {colour} Vogel", "zwei {colour} Vögel"),
        "child": ("m", "ein Kind in {colour}", "zwei Kinder in {colour}"),
        "woman": ("f", "eine Frau in {colour}", "zwei Frauen in {colour}"),
        "man": ("m", "ein Mann in {colour}", "zwei Männer in {colour}"),
    },
    coats={
        "brown": "brauner|braune|braune|braune",
        "black": "schwarzer|schwarze|schwarze|schwarze",
        "orange": "oranger|orange|orange|orange",
        "white": "weißer|weiße|weiße|weiße",
        "blue": "blauer|blaue|blaue|blaue",
    },
    clothes={"yellow": "Gelb", "red": "Rot", "pink": "Rosa", "green": "Grün", "blue": "Blau"},
    actions={
        "running": "läuft|laufen|läuft|laufen",
        "jumping": "springt|springen|springt|springen",
        "sitting": "sitzt|sitzen|sitzt|sitzen",
        "standing": "steht|stehen|steht|stehen",
        "swimming": "schwimmt|schwimmen|schwimmt|schwimmen",
        "riding": "radelt|radeln|radelt|radeln",
        "flying": "fliegt|fliegen|fliegt|fliegen",
    },
    settings={
        "meadow": "auf der Wiese",
        "beach": "am Strand",
        "snow": "im Schnee",
        "street": "auf der Straße",
        "lake": "am See",
        "forest": "im Wald",
    },
    waters={"beach": "im Meer", "lake": "im See"},
    templates=("{who} {does} {where}.", "{where} {does} {who}."),
)

FRENCH = Wording(
    script="Latin",
    subjects={
        "dog": ("m", "un chien {colour}", "deux chiens {colour}"),
        "cat": ("m", "un chat {colour}", "deux chats {colour}"),
        "bird": ("m", "un oiseau {colour}", "deux oiseaux {colour}"),
        "child": ("m", "un enfant en {colour}", "deux enfants en {colour}"),
        "woman": ("f", "une femme en {colour}", "deux femmes en {colour}"),
        "man": ("m", "un homme en {colour}", "deux hommes en {colour}"),
    },
    coats={
        "brown": "marron",
        "black": "noir|noirs|noire|noires",
        "orange": "orange",
        "white": "blanc|blancs|blanche|blanches",
        "blue": "bleu|bleus|bleue|bleues",
    },
    clothes={"yellow": "jaune", "red": "rouge", "pink": "rose", "green": "vert", "blue": "bleu"},
    actions={
        "running": "court|courent|court|courent",
        "jumping": "saute|sautent|saute|sautent",
        "sitting": "est assis|sont assis|est assise|sont assises",
        "standing": "est debout|sont debout|est debout|sont debout",
        "swimming": "nage|nagent|nage|nagent",
        "riding": "roule à vélo|roulent à vélo|roule à vélo|roulent à vélo",
        "flying": "vole|volent|vole|volent",
    },
    settings={
        "meadow": "dans l’herbe",
        "beach": "à la plage",
        "snow": "dans la neige",
        "street": "dans la rue",
        "lake": "près de l’eau",
        "forest": "dans la forêt",
    },
    waters={"beach": "dans l’océan", "lake": "dans l’eau"},
    templates=("{who} {does} {where}.", "{where}, il y a {who} qui {does}."),
)

HINDI = Wording(
    script="Devanagari",
    subjects={
        "dog": ("m", "एक {colour} कुत्ता", "दो {colour} कुत्ते"),
        "cat": ("f", "एक {colour} बिल्ली", "दो {colour} बिल्लियाँ"),
        "bird": ("f", "एक {colour} चिड़िया", "दो {colour} चिड़ियाँ"),
        "child": ("m", "{colour} कपड़ों में एक बच्चा", "{colour} कपड़ों में दो बच्चे"),
        "woman": ("f", "{colour} कपड़ों में एक औरत", "{colour} कपड़ों में दो औरतें"),
        "man": ("m", "{colour} कपड़ों में एक आदमी", "{colour} कपड़ों में दो आदमी"),
    },
    coats={
        "brown": "भूरा|भूरे|भूरी|भूरी",
        "black": "काला|काले|काली|काली",
        "orange": "नारंगी",
        "white": "सफ़ेद",
        "blue": "नीला|नीले|नीली|नीली",
    },
    clothes={"yellow": "पीले", "red": "लाल", "pink": "गुलाबी", "green": "हरे", "blue": "नीले"},
    actions={
        "running": "दौड़ रहा है|दौड़ रहे हैं|दौड़ रही है|दौड़ रही हैं",
        "jumping": "कूद रहा है|कूद रहे हैं|कूद रही है|कूद रही हैं",
        "sitting": "बैठा है|बैठे हैं|बैठी है|बैठी हैं",
        "standing": "खड़ा है|खड़े हैं|खड़ी है|खड़ी हैं",
        "swimming": "तैर रहा है|तैर रहे हैं|तैर रही है|तैर रही हैं",
        "riding": "साइकिल चला रहा है|साइकिल चला रहे हैं|साइकिल चला रही है|साइकिल चला रही हैं",
        "flying": "उड़ रहा है|उड़ रहे हैं|उड़ रही है|उड़ रही हैं",
    },
    settings={
        "meadow": "घास पर",
        "beach": "समुद्र तट पर",
        "snow": "बर्फ़ में",
        "street": "सड़क पर",
        "lake": "झील के किनारे",
        "forest": "जंगल में",
    },
    waters={"beach": "समुद्र में", "lake": "झील में"},
    templates=("{who} {where} {does}।", "{where} {who} {does}।"),
)

CHINESE = Wording(
    script="Han",
    subjects={
        "dog": ("m", "一只{colour}的狗", "两只{colour}的狗"),
        "cat": ("m", "一只{colour}的猫", "两只{colour}的猫"),
        "bird": ("m", "一只{colour}的鸟", "两只{colour}的鸟"),
        "child": ("m", "一个穿{colour}衣服的孩子", "两个穿{colour}衣服的孩子"),
        "woman": ("m", "一个穿{colour}衣服的女人", "两个穿{colour}衣服的女人"),
        "man": ("m", "一个穿{colour}衣服的男人", "两个穿{colour}衣服的男人"),
    },
    coats={"brown": "棕色", "black": "黑色", "orange": "橙色", "white": "白色", "blue": "蓝色"},
    clothes={"yellow": "黄色", "red": "红色", "pink": "粉色", "green": "绿色", "blue": "蓝色"},
    actions={
        "running": "跑步",
        "jumping": "跳跃",
        "sitting": "坐着",
        "standing": "站着",
        "swimming": "游泳",
        "riding": "骑自行车",
        "flying": "飞翔",
    },
    settings={
        "meadow": "草地上",
        "beach": "海滩上",
        "snow": "雪地里",
        "street": "街道上",
        "lake": "湖边",
        "forest": "森林里",
    },
    waters={"beach": "海里", "lake": "湖里"},
    templates=("{who}在{where}{does}。", "{where}，{who}正在{does}。"),
)

ARABIC = Wording(
    script="Arabic",
    subjects={
        "dog": ("m", "كلب {colour}", "كلبان {colour}"),
        "cat": ("f", "قطة {colour}", "قطتان {colour}"),
        "bird": ("m", "طائر {colour}", "طائران {colour}"),
        "child": ("m", "طفل بملابس {colour}", "طفلان بملابس {colour}"),
        "woman": ("f", "امرأة بملابس {colour}", "امرأتان بملابس {colour}"),
        "man": ("m", "رجل بملابس {colour}", "رجلان بملابس {colour}"),
    },
    coats={
        "brown": "بني|بنيان|بنية|بنيتان",
        "black": "أسود|أسودان|سوداء|سوداوان",
        "orange": "برتقالي|برتقاليان|برتقالية|برتقاليتان",
        "white": "أبيض|أبيضان|بيضاء|بيضاوان",
        "blue": "أزرق|أزرقان|زرقاء|زرقاوان",
    },
    clothes={
        "yellow": "صفراء",
        "red": "حمراء",
        "pink": "وردية",
        "green": "خضراء",
        "blue": "زرقاء",
    },
    actions={
        "running": "يركض|يركضان|تركض|تركضان",
        "jumping": "يقفز|يقفزان|تقفز|تقفزان",
        "sitting": "يجلس|يجلسان|تجلس|تجلسان",
        "standing": "يقف|يقفان|تقف|تقفان",
        "swimming": "يسبح|يسبحان|تسبح|تسبحان",
        "riding": "يركب دراجة|يركبان دراجة|تركب دراجة|تركبان دراجة",
        "flying": "يطير|يطيران|تطير|تطيران",
    },
    settings={
        "meadow": "على العشب",
        "beach": "على الشاطئ",
        "snow": "في الثلج",
        "street": "في الشارع",
        "lake": "بجانب البحيرة",
        "forest": "في الغابة",
    },
    waters={"beach": "في البحر", "lake": "في البحيرة"},
    templates=("{who} {does} {where}.", "{where}، {who} {does}."),
)

WORDINGS = {"de": GERMAN, "fr": FRENCH, "hi": HINDI, "zh": CHINESE, "ar": ARABIC}


def word_scene(scene: Scene, wording: Wording) -> list[str]:
    """Captions a scene once by each template."""
    gender, *nouns = wording.subjects[scene.subject]

    def form_of(entry: str) -> str:
        forms = entry.split("|")
        return forms[0] if len(forms) == 1 else forms[2 * (gender == "f") + scene.count - 1]

    colours = wording.coats if scene.subject in ANIMALS else wording.clothes
    places = wording.waters if scene.action == "swimming" else wording.settings
    parts = {
        "who": nouns[scene.count - 1].format(colour=form_of(colours[scene.colour])),
        "does": form_of(wording.actions[scene.action]),
        "where": places[scene.setting],
    }
    texts = [template.format(**parts) for template in wording.templates]
    return [text[0].upper() + text[1:] for text in texts]


def write_photos(folder: Path, scenes: list[Scene]) -> None:
    """Paints the scenes into the photo folder of a data folder."""
    (folder / PHOTOS).mkdir(parents=True)
    for scene in scenes:
        paint_scene(scene).save(folder / PHOTOS / scene.photo, quality=90)


def write_texts(folder: Path, scenes: list[Scene], language: str) -> None:
    """Writes the captions of the scenes in a language, and the splits."""
    lines = [
        f"{scene.photo}#{number}\t{caption}\n"
        for scene in scenes
        for number, caption in enumerate(word_scene(scene, WORDINGS[language]))
    ]
    (folder / CAPTIONS).write_text("".join(lines), encoding="utf-8")
    for split, name in SPLITS.items():
        photos = [f"{scene.photo}\n" for scene in scenes if scene.split == split]
        (folder / name).write_text("".join(photos))
