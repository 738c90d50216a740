"""Text in any encoding is read as it was meant, or refused with the two readings that fit."""

import json

import pytest

from foldin.data import Source, read_log
from foldin.data.log.charset import guess_charset
from foldin.errors import DataError, FormatError

KOREAN = ["기생충", "올드보이", "살인의 추억", "부산행", "아가씨", "설국열차", "괴물", "밀양", "오징어 게임", "상품_7"]
TITLES = {
    "cp949": KOREAN,
    "cp932": ["千と千尋の神隠し", "もののけ姫", "君の名は。", "ハウルの動く城", "風の谷のナウシカ"],
    "euc_jp": ["千と千尋の神隠し", "もののけ姫", "君の名は。", "ハウルの動く城", "風の谷のナウシカ"],
    "gb18030": ["霸王别姬", "大话西游", "无间道", "让子弹飞", "流浪地球"],
    "big5": ["悲情城市", "海角七號", "臥虎藏龍", "花樣年華", "飲食男女"],
    "latin_1": ["Amélie", "Misérables, Les (1995)", "Mädchen in Uniform", "Così ridevano", "São Paulo"],
    "cp1252": ["It’s a Wonderful Life", "“Heroes”", "Café – bar", "naïve…", "Señor"],
    "cp1251": ["Сталкер", "Солярис", "Зеркало", "Андрей Рублёв", "Летят журавли"],
}


def rows(titles, count=20):
    return [(f"u{at % 3}", titles[at % len(titles)].replace(",", ""), 1_600_000_000 + at) for at in range(count)]


def csv_of(titles, count=20):
    return "user,item,timestamp\n" + "".join(f"{u},{i},{t}\n" for u, i, t in rows(titles, count))


def notes(log):
    return [note.text for note in log.report.notes if not note.dropped]


@pytest.mark.parametrize("count", [10, 50])
@pytest.mark.parametrize("codec", TITLES)
def test_legacy_encodings_are_found_and_noted(codec, count, tmp_path):
    (tmp_path / "a.csv").write_bytes(csv_of(TITLES[codec], count).encode(codec))
    log = read_log(tmp_path / "a.csv")
    assert set(log.items["item"]) == {i for _, i, _ in rows(TITLES[codec], count)}
    assert sum("not UTF-8" in text and "sure" in text for text in notes(log)) == 1


@pytest.mark.parametrize("form", ["ndjson", "pairs", "movielens"])
def test_korean_of_the_old_code_pages_in_other_formats(form, tmp_path):
    lines = {
        "ndjson": [json.dumps({"user": u, "item": i}, ensure_ascii=False) for u, i, _ in rows(KOREAN, 12)],
        "pairs": [f"{u} {i.replace(' ', '_')}" for u, i, _ in rows(KOREAN, 12)],
        "movielens": [f"{u}::{i}::5::{t}" for u, i, t in rows(KOREAN, 12)],
    }[form]
    (tmp_path / "log.txt").write_bytes("\n".join(lines).encode("euc_kr"))
    log = read_log(tmp_path / "log.txt")
    assert log.report.format == form
    assert {i.replace("_", " ") for i in log.items["item"]} == {i.replace("_", " ") for i in KOREAN}


def test_two_korean_lines_among_many_plain_ones_are_enough(tmp_path):
    text = "user,item\n" + "".join(f"u{k},i{k % 7}\n" for k in range(500)) + "u1,기생충\nu2,올드보이\n"
    (tmp_path / "a.csv").write_bytes(text.encode("cp949"))
    assert {"기생충", "올드보이"} <= set(read_log(tmp_path / "a.csv").items["item"])


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_marked_and_wide_text(codec, tmp_path):
    (tmp_path / "a.csv").write_bytes(csv_of(KOREAN).encode(codec))
    assert set(read_log(tmp_path / "a.csv").items["item"]) == set(KOREAN)


def test_a_broken_byte_does_not_spoil_the_rest(tmp_path):
    names = ["café", "東京", "🎬"]
    raw = csv_of(names).encode()
    at = raw.index("東".encode())
    (tmp_path / "a.csv").write_bytes(raw[:at] + b"\xe6\xff\xac" + raw[at + 3 :])
    log = read_log(tmp_path / "a.csv")
    assert set(names) <= set(log.items["item"])
    assert any("broken characters of UTF-8" in text and "line 3" in text for text in notes(log))


def test_a_broken_byte_in_korean_of_the_old_code_page(tmp_path):
    (tmp_path / "a.csv").write_bytes(csv_of(KOREAN).encode("cp949") + b"u1,\xffx,1600000099\n")
    log = read_log(tmp_path / "a.csv")
    assert set(KOREAN) <= set(log.items["item"])
    assert any("broken characters of CP949" in text and "line 22" in text for text in notes(log))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"user,item\n1,2\n1,\x81\xff\x8d\n", "line 3 is not UTF-8, and no other encoding fits; give --encoding"),
        (b"user,item\n1,2\n1,\xff\n", "line 3 is not UTF-8; it may be Windows-1252, .*--encoding cp1252.* or "),
        ("user,item\n1,Брат\n".encode("cp1251"), "line 2 is not UTF-8; it may be Windows-1251, '1,Брат' "),
        (csv_of(KOREAN).encode() + csv_of(KOREAN).encode("cp949"), "line 23 is not UTF-8, but other lines are"),
        (b"user,item\n1,2\n1,3\x00\n", "line 3 contains a NUL byte"),
    ],
)
def test_what_cannot_be_decided_is_refused_by_line(raw, message, tmp_path):
    (tmp_path / "a.csv").write_bytes(raw)
    with pytest.raises(FormatError, match=message):
        read_log(tmp_path / "a.csv")


def test_what_the_caller_says_is_believed(tmp_path):
    (tmp_path / "a.csv").write_bytes("user,item\n1,\uce74\n2,x\n".encode("cp949"))
    log = read_log(tmp_path / "a.csv", encoding="euc-kr")
    assert set(log.items["item"]) == {"\uce74", "x"}
    assert any("as --encoding says" in text for text in notes(log))
    with pytest.raises(DataError, match="--encoding 'klingon' is not known"):
        read_log(tmp_path / "a.csv", encoding="klingon")
    (tmp_path / "a.csv").write_bytes(csv_of(KOREAN).encode("cp949"))
    with pytest.raises(FormatError, match="line 2 is not UTF-8: "):
        read_log(tmp_path / "a.csv", encoding="utf-8")


def test_utf8_needs_no_note_and_no_copy(tmp_path):
    (tmp_path / "a.csv").write_text(csv_of(KOREAN), encoding="utf-8")
    assert not [text for text in notes(read_log(tmp_path / "a.csv")) if "UTF" in text]


def test_random_bytes_are_no_text():
    import numpy as np

    rng = np.random.default_rng(0)
    assert not guess_charset([b"1," + rng.integers(128, 256, 6, dtype=np.uint8).tobytes() for _ in range(50)]).credible


def test_old_line_ends(tmp_path):
    (tmp_path / "a.csv").write_bytes(csv_of(KOREAN).replace("\n", "\r").encode())
    assert read_log(tmp_path / "a.csv").report.rows == 20


def test_an_encoding_is_part_of_a_source_and_reaches_a_folder_that_is_split(tmp_path):
    (tmp_path / "a.csv").write_bytes("user,item\n1,카\n2,x\n".encode("cp949"))
    source = Source(path=str(tmp_path / "a.csv"), encoding="cp949")
    assert source.as_dict()["encoding"] == "cp949"
    assert "카" in source.log().items["item"].to_list()
    text = "user,item\n" + "".join(f"{k % 3},{'Łódź'[k % 4]}{k % 5}\n" for k in range(30))
    for name, shown in (("train", text), ("valid", "user,item\n1,new\n"), ("test", "user,item\n2,new\n")):
        (tmp_path / f"{name}.csv").write_bytes(shown.encode("cp1250"))
    split = Source(path=str(tmp_path), encoding="cp1250").split()
    assert "Ł0" in split.catalog.ids


def test_the_encoding_of_a_file_of_items_is_noted(tmp_path):
    (tmp_path / "log.csv").write_text("user,item\n1,a\n1,b\n2,a\n", encoding="utf-8")
    (tmp_path / "titles.csv").write_bytes("item,title\na,살인의 추억\nb,괴물\n".encode("cp949"))
    log = read_log(tmp_path / "log.csv", items=tmp_path / "titles.csv")
    assert log.items["title"].to_list() == ["살인의 추억", "괴물"]
    assert any("in titles.csv: file in CP949" in text for text in notes(log))
