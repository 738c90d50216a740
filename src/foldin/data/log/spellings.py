"""Usual names of the columns of a log, in several languages."""

import re
import unicodedata

__all__ = [
    "DOUBTFUL_TIME",
    "ITEM_KINDS",
    "KIND",
    "ORDER",
    "RATING",
    "SESSION",
    "TIME",
    "TITLE",
    "USER",
    "plain_name",
    "stem",
]

# In order of preference: where a log has two of them, the earlier one is meant.
USER: tuple[str, ...] = (
    *("user", "uid", "person", "reviewer", "customer", "visitor", "member", "account", "reader", "client", "consumer"),
    *("buyer", "shopper", "viewer", "listener", "player", "subscriber", "profile", "username"),
    *("사용자", "이용자", "유저", "회원", "고객", "구매자", "시청자", "독자"),
    *("ユーザー", "ユーザ", "利用者", "使用者", "会員", "顧客", "お客様"),
    *("用户", "用戶", "会员", "會員", "顾客", "顧客", "客户", "客戶", "买家"),
    *("benutzer", "nutzer", "kunde", "kunden", "mitglied", "leser", "person", "besucher"),
    *("utilisateur", "usager", "membre", "lecteur", "personne", "acheteur"),
    *("usuario", "cliente", "miembro", "persona", "lector", "utente", "membro", "lettore", "utilizador", "leitor"),
    *("gebruiker", "klant", "användare", "kund", "bruger", "bruker", "käyttäjä", "kullanıcı", "müşteri"),
    *("użytkownik", "klient", "пользователь", "юзер", "клиент", "покупатель", "người dùng", "khách hàng", "pengguna"),
)
# A visit of a user, which is used as the user only if a log has no user.
SESSION: tuple[str, ...] = (
    *("session", "usersession", "sess", "sessie", "sitzung", "sesion", "sessao", "sessione", "visit"),
    *("세션", "방문", "セッション", "会话", "會話", "сессия"),
)
# Kinds of items, each with its words. Two kinds in one log (artists and tracks) are two readings.
ITEM_KINDS: tuple[tuple[str, ...], ...] = (
    (
        *("item", "iid", "아이템", "품목", "항목", "アイテム", "品目", "物品", "项目", "項目", "элемент", "объект"),
        *("objekt", "objet", "objeto", "oggetto", "elemento", "öğe"),
    ),
    ("movie", "film", "영화", "映画", "作品", "电影", "電影", "影片", "pelicula", "filme", "фильм", "kino", "phim"),
    (
        *(
            "parentasin",
            "asin",
            "product",
            "sku",
            "goods",
            "상품",
            "제품",
            "물품",
            "굿즈",
            "商品",
            "製品",
            "产品",
            "產品",
        ),
        *("produkt", "produit", "producto", "produto", "prodotto", "товар", "продукт", "ürün", "sản phẩm", "produk"),
    ),
    ("book", "isbn", "도서", "책", "本", "書籍", "图书", "圖書", "书籍", "buch", "livre", "libro", "livro", "книга"),
    ("article", "기사", "記事", "文章", "artikel", "articulo", "artigo", "articolo", "статья"),
    (
        "song",
        "track",
        "music",
        "traid",
        "노래",
        "곡",
        "음악",
        "曲",
        "楽曲",
        "歌曲",
        "lied",
        "chanson",
        "cancion",
        "песня",
    ),
    ("artist", "artid", "가수", "아티스트", "アーティスト", "歌手", "艺术家", "künstler", "artiste", "artista"),
    ("game", "app", "게임", "ゲーム", "游戏", "遊戲", "spiel", "jeu", "juego", "jogo", "gioco", "игра"),
    (
        "business",
        "restaurant",
        "hotel",
        "venue",
        "poi",
        "place",
        "store",
        "가게",
        "매장",
        "식당",
        "店舗",
        "商家",
        "店铺",
    ),
    ("video", "clip", "movieclip", "동영상", "영상", "비디오", "動画", "视频", "視頻", "видео"),
    (
        "news",
        "post",
        "photo",
        "recipe",
        "content",
        "contents",
        "뉴스",
        "콘텐츠",
        "컨텐츠",
        "コンテンツ",
        "新闻",
        "内容",
    ),
    ("anime", "manga", "show", "series", "program", "episode", "podcast", "beer", "course", "joke", "강의", "강좌"),
)
TIME: tuple[str, ...] = (
    *("timestamp", "time", "ts", "datetime", "date", "eventtime", "eventtimestamp", "eventdate", "eventdatetime"),
    *("unixreviewtime", "unixtime", "epoch", "createdat", "createdon", "createtime", "created", "tdat", "reviewtime"),
    *("reviewdate", "ratingtime", "ratingdate", "purchasetime", "purchasedate", "ordertime", "orderdate", "clicktime"),
    *("transactiontime", "transactiondate", "watchedat", "playedat", "timestampms", "timems", "timeframe"),
    *(
        "타임스탬프",
        "시간",
        "일시",
        "날짜",
        "시각",
        "일자",
        "날짜시간",
        "등록일시",
        "등록일",
        "작성일시",
        "작성일",
        "생성일시",
    ),
    *(
        "구매일시",
        "구매일",
        "구매일자",
        "구매시간",
        "구매날짜",
        "주문일시",
        "주문일",
        "주문일자",
        "주문시간",
        "시청일시",
        "시청일",
    ),
    *("시청일", "시청시간", "평가일시", "평가일", "평가시간", "클릭시간", "이벤트시간", "거래일시", "거래일"),
    *("タイムスタンプ", "日時", "時間", "時刻", "日付", "登録日時", "購入日時", "購入日", "評価日時", "作成日時"),
    *("时间戳", "時間戳", "时间", "日期", "日期时间", "创建时间", "购买时间", "评分时间", "时刻"),
    *("zeitstempel", "zeit", "zeitpunkt", "uhrzeit", "datum", "kaufdatum", "bestelldatum", "horodatage", "temps"),
    *("heure", "dateheure", "dateachat", "datecommande", "tiempo", "marcadetiempo", "fecha", "fechahora", "hora"),
    *(
        "fechacompra",
        "tempo",
        "ora",
        "data",
        "dataora",
        "datahora",
        "tijdstip",
        "tijd",
        "tijdstempel",
        "tid",
        "tidspunkt",
    ),
    *("zaman", "tarih", "czas", "время", "дата", "датавремя", "thời gian", "ngày", "waktu", "tanggal"),
)
# Words that mean something else as well (data, a tempo in music): times only where the values are.
DOUBTFUL_TIME: tuple[str, ...] = ("data", "temps", "tempo", "ora", "epoch", "created")
RATING: tuple[str, ...] = (
    *(
        "rating",
        "ratings",
        "score",
        "stars",
        "overall",
        "weight",
        "ratingvalue",
        "reviewrating",
        "userrating",
        "bookrating",
        "vote",
    ),
    *(
        "평점",
        "별점",
        "점수",
        "평가",
        "평가점수",
        "등급",
        "선호도",
        "評価",
        "評点",
        "評価値",
        "レーティング",
        "スコア",
        "点数",
    ),
    *(
        "评分",
        "評分",
        "打分",
        "分数",
        "星级",
        "bewertung",
        "wertung",
        "sterne",
        "punkte",
        "note",
        "notation",
        "etoiles",
    ),
    *("evaluation", "calificacion", "puntuacion", "valoracion", "estrellas", "avaliacao", "nota", "voto", "punteggio"),
    *("valutazione", "stelle", "beoordeling", "betyg", "puan", "ocena", "оценка", "рейтинг", "đánh giá", "penilaian"),
)
KIND: tuple[str, ...] = (
    *("kind", "event", "eventtype", "eventname", "action", "actiontype", "behavior", "behaviortype", "behaviour"),
    *("behaviourtype", "interaction", "interactiontype", "activity", "activitytype", "feedbacktype", "type"),
    *(
        "행동",
        "행동유형",
        "행동타입",
        "이벤트",
        "이벤트유형",
        "이벤트타입",
        "이벤트종류",
        "행위",
        "활동",
        "유형",
        "종류",
    ),
    *("イベント", "イベント種別", "行動", "行動種別", "種別", "行为", "行为类型", "事件", "事件类型", "行為", "类型"),
    *("ereignis", "aktion", "evenement", "evento", "accion", "azione", "acao", "действие", "событие", "hành động"),
)
ORDER: tuple[str, ...] = ("order", "pos", "position", "순서", "順序", "顺序", "reihenfolge")
TITLE: tuple[str, ...] = (
    *("title", "name", "itemname", "itemtitle", "movietitle", "moviename", "productname", "producttitle", "booktitle"),
    *(
        "textid",
        "label",
        "제목",
        "이름",
        "상품명",
        "영화명",
        "영화제목",
        "제품명",
        "도서명",
        "タイトル",
        "題名",
        "名前",
        "商品名",
    ),
    *("标题", "標題", "名称", "名稱", "titel", "titre", "nom", "titulo", "nombre", "nome", "titolo", "название", "имя"),
)

_ID_SUFFIX = re.compile(
    r"(?<=.)(ids?|uuid|guid|key|code|no|nr|num|number|nummer|numero|index|idx|hash"
    r"|아이디|번호|코드|식별자|番号|编号|編號|編号|コード|代码|编码|标识|код|номер)$"
)
_ID_PREFIX = re.compile(r"^(id|codigo|codice|code|numero|num)(?=..)")


def plain_name(name: str) -> str:
    """A column's name without case, accents, separators and RecBole's type (`user_id:token`)."""
    name = re.split(r":(?=(?:token|float|token_seq|float_seq)$)", name)[0]
    folded = unicodedata.normalize("NFKD", name).casefold()
    bare = "".join(mark for mark in folded if unicodedata.category(mark) != "Mn")
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFC", bare))


def stem(plain: str) -> str:
    """A plain name without the prefix or suffix of ids: `user` of `userid`, `utilisateur` of `idutilisateur`."""
    short = _ID_SUFFIX.sub("", plain)
    return short if short != plain else _ID_PREFIX.sub("", plain)
