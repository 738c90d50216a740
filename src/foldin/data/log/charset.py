"""The encoding of a text that is not UTF-8: every candidate decodes it, and the most plausible reading is chosen.

A general detector is weak on a few short lines. Here, each candidate's reading is scored by the candidate's alphabet: by the
shares of the most frequent, the common and the rare characters, and by whether letters are where words have letters. The
proposal of the detector `charset-normalizer` is one more piece of evidence.
"""

import math
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from charset_normalizer import from_bytes

__all__ = ["Guess", "guess_charset", "spoken"]

_KOREAN = (
    "이다의는에을가고하지를한도로기사은어자나시리아인그있대들서라해것일정수만스장보주러부상전제면음과없여오적성안우간용구모마비으"
    "생위동세원계신문무내연실소조국유경때공중더말관게바진요물속했까트치방년학영심와명선드화편체현미회단개산당할반식결각분행발루추"
    "민레강타았터저품건데크니드파카토호박김최남북집길차책꿈별달밤눈빛"
)
_SIMPLIFIED = (
    "的一是不了人我在有他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后小么心多天而能好都然没"
    "日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长知民样现分将外但身些与高意进把法此实回二理美"
    "点月明其种声全工己话儿者向情部正名定女问力机给等几很业最间新什打便位因重被走电四第门相次东政海口使教西再平真听世气信北少关"
    "并内加化由却代军产入先山五太水万市商品红楼梦书影片户"
)
_TRADITIONAL = (
    "的一是不了人我在有他這中大來上個國到說們為子和你地出道也時年得就那要下以生會自著去之過家學對可她里後小麼心多天而能好都然沒"
    "日於起還發成事只作當想看文無開手十用主行方又如前所本見經頭面公同三已老從動兩長知民樣現分將外但身些與高意進把法此實回二理美"
    "點月明其種聲全工己話兒者向情部正名定女問力機給等幾很業最間新什打便位因重被走電四第門相次東政海口使教西再平真聽世氣信北少關"
    "商品書影片戶灣臺"
)
_KANJI = (
    "日一国会人年大十二本中長出三同時政事自行社見月分議後前民生連五発間対上部東者地合市業内相方四定今回新場金員九入立開手力学問高"
    "代明実関決子動京全目表戦経通外最言現理調体化田当八六約主題下首意法不来作性的要用物語花火夢恋愛君名前空色音夜星雪風森海山川"
    "映画曲歌商品猫犬女男神少世界千尋隠城"
)
_KANA = "".join(map(chr, (*range(0x3041, 0x3094), *range(0x30A1, 0x30F7), 0x30FC)))
# The rows of each standard that hold its common characters: (first lead, last lead, codec).
_ROWS = {
    "cp949": (0xB0, 0xC8, "euc_kr"),
    "gb18030": (0xB0, 0xD7, "gb2312"),
    "big5": (0xA4, 0xC6, "big5"),
    "cp932": (0xB0, 0xCF, "euc_jp"),
    "euc_jp": (0xB0, 0xCF, "euc_jp"),
}
_TOP = {
    "cp949": _KOREAN,
    "gb18030": _SIMPLIFIED,
    "big5": _TRADITIONAL,
    "cp932": _KANA + _KANJI,
    "euc_jp": _KANA + _KANJI,
}
# Log prior of each candidate, higher for encodings that are more common in today's files.
_PRIOR = {"cp1252": 0.0, "latin_1": -1.0, "cp949": -1.0, "cp932": -1.0, "gb18030": -1.0, "big5": -2.0, "euc_jp": -2.0}
_PRIOR |= {"cp1251": -3.0, "koi8_r": -4.0, "cp1250": -5.0, "cp1253": -5.0, "cp1254": -5.0}
# The detector's names of these encodings, or of narrower ones that they contain.
_ALIASES = {"euc_kr": "cp949", "johab": "cp949", "shift_jis": "cp932", "gb2312": "gb18030", "gbk": "gb18030"}
# The letters outside ASCII that a text in the encoding mostly has; other letters are rare there.
_LETTERS = {
    "cp1252": "éèàüöäñçáíóêâîôûãõåøæßúëïùòÉÜÖÄÅØÆÀÇÁ",
    "cp1250": "řšžčěůáéíýúůłżąęśćńóźőűöüäšťďňßŘŠŽČŁŻŚ",
    "cp1254": "çğıöşüâîÇĞİÖŞÜ",
}
_LETTERS["latin_1"] = _LETTERS["cp1252"]
_SPOKEN = {"cp949": "CP949 (EUC-KR)", "cp932": "Shift-JIS (CP932)", "gb18030": "GB18030", "latin_1": "Latin-1"}
_SPOKEN |= {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16", "utf-32": "UTF-32"}
_SPOKEN |= {"cp1252": "Windows-1252", "cp1250": "Windows-1250", "cp1251": "Windows-1251", "big5": "Big5"}
_BROKEN = -14.0  # a byte that the encoding does not have
_LETTER = math.log(1 / 40)
_ODD_PLACE = math.log(0.05)
SURE = 0.97
_FAVORED = 1.5  # what the detector's choice adds to a log probability
# The log probability of a character below which a reading is not text: about that of bytes at random.
_LOWEST_WIDE, _LOWEST_LATIN, _LOWEST_SCRIPT = -11.5, -7.4, -5.2


@dataclass(frozen=True)
class Guess:
    """The most plausible encoding of a text, and the next best one.

    Args:
        codec: Python's name of the encoding.
        share: its probability among all readings.
        other: codec of the next best reading, if there is one.
        credible: whether the decoded bytes look like text at all.
    """

    codec: str
    share: float
    other: str | None
    credible: bool

    @property
    def sure(self) -> bool:
        """Whether the encoding may be used without asking the user."""
        return self.credible and self.share >= SURE


def spoken(codec: str) -> str:
    """The usual name of a codec."""
    return _SPOKEN.get(codec, codec)


@cache
def _common(codec: str) -> frozenset[str]:
    first, last, standard = _ROWS[codec]
    trails = (*range(0x40, 0x7F), *range(0xA1, 0xFF)) if standard == "big5" else range(0xA1, 0xFF)
    pairs = (bytes((lead, trail)) for lead in range(first, last + 1) for trail in trails)
    return frozenset("".join(pair.decode(standard, "ignore") for pair in pairs))


def _wide(codec: str) -> dict[str, float]:
    """Log probabilities of an East Asian encoding's frequent and common characters."""
    common = _common(codec)
    weights = dict.fromkeys(common, math.log(0.37 / len(common)))
    return weights | dict.fromkeys(_TOP[codec], math.log(0.6 / len(_TOP[codec])))


def _wide_score(text: str, codec: str) -> float:
    weights = _wide(codec)
    rare, sign, half = math.log(0.003 / 20_000), math.log(0.02 / 200), math.log(0.003 / 63)
    total, before = 0.0, " "
    for at, char in enumerate(text):
        if char < "\x80":
            total += _LETTER
        elif char == "\ufffd":
            total += _BROKEN
        elif char in weights:
            total += weights[char]
        elif "\uff61" <= char <= "\uff9f":
            total += half
        else:
            total += sign if unicodedata.category(char)[0] in "PSNZ" or "\uff01" <= char <= "\uff5e" else rare
        # A lone wide character in the middle of a Latin word occurs in no language.
        after = text[at + 1 : at + 2]
        if char >= "\x80" and before.isascii() and before.isalpha() and after.isascii() and after.isalpha():
            total += _ODD_PLACE
        before = char
    return total


def _narrow_score(text: str, codec: str) -> float:
    """The plausibility of a reading in which each byte is a letter or a sign."""
    usual = frozenset(_LETTERS.get(codec, ""))
    total = 0.0
    for before, char, after in zip(f" {text}", text, f"{text[1:]} ", strict=False):
        if char < "\x80":
            total += _LETTER
            continue
        if char == "\ufffd" or unicodedata.category(char) in ("Cc", "Cn", "Co"):
            total += _BROKEN
            continue
        latin = char <= "\u024f"
        inside = before.isascii() and before.isalpha() and after.isascii() and after.isalpha()
        if char.isalpha():
            if usual:
                total += _LETTER if char in usual else math.log(1 / 1500)
            else:
                total += math.log((0.9 if char.islower() else 0.1) / 33)
            if not latin and any(one.isascii() and one.isalpha() for one in (before, after)):
                total += _ODD_PLACE  # two scripts in one word
            elif not (latin or before.isalpha() or after.isalpha()):
                total += math.log(0.1)  # a word of one letter
            elif latin and before >= "\x80":
                total += math.log(0.08)  # accents seldom follow each other
            if char.isupper() and before.islower():
                total += _ODD_PLACE
        else:
            typographic = char in "‘’“”–—…•€£°©®«»"
            total += math.log(1 / (100 if typographic else 1000))
            if (inside and char != "’") or not (before < "\x80" or typographic):
                total += _ODD_PLACE
    return total


def _favorite(raw: bytes) -> str | None:
    """The encoding that the detector proposes; None if there is none, or if the proposal is unreliable."""
    best = from_bytes(raw).best()
    # For short Western texts, it mostly proposes Windows-1250.
    return None if best is None or best.encoding == "cp1250" else _ALIASES.get(best.encoding, best.encoding)


def guess_charset(lines: Iterable[bytes]) -> Guess:
    """The most plausible legacy encoding of lines that hold bytes outside ASCII.

    Args:
        lines: the lines to judge; a few dozen are enough, a few thousand are plenty.
    """
    raw = b"\n".join(lines)
    favorite = _favorite(raw)
    readings: dict[str, tuple[float, str]] = {}
    for codec, prior in _PRIOR.items():
        text = raw.decode(codec, "replace")
        score = prior + (_FAVORED if codec == favorite else 0.0)
        score += _wide_score(text, codec) if codec in _TOP else _narrow_score(text, codec)
        if text not in readings or readings[text][0] < score:
            readings[text] = (score, codec)
    ranked = sorted(readings.items(), key=lambda one: -one[1][0])
    text, (best, codec) = ranked[0]
    share = 1 / sum(math.exp(score - best) for _, (score, _) in ranked)
    odd = sum(char >= "\x80" for char in text)
    a_character = (best - _PRIOR[codec] - _LETTER * (len(text) - odd)) / max(odd, 1)
    lowest = _LOWEST_WIDE if codec in _TOP else _LOWEST_LATIN if codec in _LETTERS else _LOWEST_SCRIPT
    return Guess(codec, share, ranked[1][1][1] if len(ranked) > 1 else None, a_character > lowest)
