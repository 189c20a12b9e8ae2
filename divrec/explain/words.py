"""Reasons as short text for people, in English and Chinese. Applications go by the codes.

The text is plain: what comes from outside (titles, ids, keywords) stands in it as it is. Whoever puts it into HTML, a
terminal or other markup escapes it there.
"""

from collections.abc import Mapping
from typing import Literal, get_args

from divrec.events import Reason, ReasonCode, SlateItem

TextLanguage = Literal["en", "zh"]
LANGUAGES: tuple[TextLanguage, ...] = get_args(TextLanguage)

Titles = Mapping[str, str]
"""Titles by item id."""

REASONS: dict[TextLanguage, dict[ReasonCode, str]] = {
    "en": {
        "item_neighbour": "goes with {past}",
        "transition": "often next after {past}",
        "similar_user": "liked by people who like what you like",
        "content": "reads like {past}",
        "review": "reads like your reviews",
        "keyword": "your interest: {keyword}",
        "well_rated": "well rated",
        "popular_now": "popular now",
        "popular": "popular",
        "repeat": "you turned to it before",
        "fresh": "new",
        "explored": "shown to learn about it",
    },
    "zh": {
        "item_neighbour": "与{past}受同一批用户关注",
        "transition": "用户常在{past}之后选择它",
        "similar_user": "与你兴趣相似的人喜欢它",
        "content": "内容与{past}相近",
        "review": "与你写的评论相近",
        "keyword": "你的兴趣：{keyword}",
        "well_rated": "好评率高",
        "popular_now": "近期热门",
        "popular": "一直受欢迎",
        "repeat": "你以前选择过",
        "fresh": "新上架",
        "explored": "试探性展示，以便了解其反响",
    },
}
_TITLE: dict[TextLanguage, str] = {"en": "{title}", "zh": "“{title}”"}
_ITEM: dict[TextLanguage, str] = {"en": "item {item_id}", "zh": "条目“{item_id}”"}
_LIKED: dict[TextLanguage, str] = {"en": "what you liked", "zh": "你喜欢的内容"}
_INSTEAD: dict[TextLanguage, str] = {"en": "in the place of {other}", "zh": "取代了{other}"}
_RANK: dict[TextLanguage, str] = {"en": "number {rank} by relevance alone", "zh": "仅按相关度排第 {rank} 位"}
_SHOWN: dict[TextLanguage, str] = {
    "en": "shown lately without an answer, so it counted less (times: {times})",
    "zh": "近期展示 {times} 次未获回应，因此权重降低",
}
_SPONSORED: dict[TextLanguage, str] = {"en": "sponsored", "zh": "推广"}
_RULES: dict[TextLanguage, str] = {"en": "by rule: {names}", "zh": "按规则：{names}"}
_FIXED: dict[TextLanguage, dict[str, str]] = {
    "en": {
        "hidden": "hidden by the user",
        "own-items": "the user's own",
        "cap": "shown often enough",
        "cool-down": "shown lately without an answer",
    },
    "zh": {
        "hidden": "用户已隐藏",
        "own-items": "用户自己的商品",
        "cap": "展示次数已达上限",
        "cool-down": "近期展示未获回应",
    },
}
_TAKEN_OUT: dict[TextLanguage, str] = {"en": "taken out: {counts}", "zh": "已排除：{counts}"}
_COUNT: dict[TextLanguage, str] = {"en": "{count} by {name}", "zh": "{name} {count} 项"}
_COMMA: dict[TextLanguage, str] = {"en": ", ", "zh": "、"}
BETWEEN: dict[TextLanguage, str] = {"en": "; ", "zh": "；"}


def title_of(item_id: str, titles: Titles, language: TextLanguage = "en") -> str:
    """What an item is called within a sentence: by its title, or by its id where there is none."""
    title = titles.get(item_id)
    return _TITLE[language].format(title=title) if title else _ITEM[language].format(item_id=item_id)


def in_words(reason: Reason, titles: Titles, language: TextLanguage = "en") -> str:
    """One reason.

    >>> in_words(Reason(code="transition", share=0.8, item_id="b"), {"b": "Blue Train"})
    'often next after Blue Train'
    """
    past = title_of(reason.item_id, titles, language) if reason.item_id else _LIKED[language]
    return REASONS[language][reason.code].format(past=past, keyword=reason.keyword or "")


def ruled(item: SlateItem, language: TextLanguage = "en") -> list[str]:
    """Which rules put ``item`` where it is, first of all that it is sponsored."""
    found = [_SPONSORED[language]] if item.sponsored else []
    if item.rules:
        found.append(_RULES[language].format(names=_COMMA[language].join(item.rules)))
    return found


def changes(item: SlateItem, titles: Titles, language: TextLanguage = "en") -> list[str]:
    """What put ``item`` where it is beside relevance: rules, whose place it took, and that it gave way after
    impressions."""
    found = ruled(item, language)
    if item.preferred_to is not None:
        found.append(_INSTEAD[language].format(other=title_of(item.preferred_to, titles, language)))
    if item.impressions:
        found.append(_SHOWN[language].format(times=item.impressions))
    return found


def taken_out(removed: Mapping[str, int], language: TextLanguage = "en") -> str:
    """What rules took out of the candidates of a recommendation (``removed``); empty where nothing was.

    >>> taken_out({"cap": 2, "sold-abroad": 40})
    'taken out: 2 by cap (shown often enough), 40 by sold-abroad'
    """
    if not removed:
        return ""
    counts = [_COUNT[language].format(count=count, name=_name(rule, language)) for rule, count in removed.items()]
    return _TAKEN_OUT[language].format(counts=_COMMA[language].join(counts))


def _name(rule: str, language: TextLanguage) -> str:
    means = _FIXED[language].get(rule)
    return rule if means is None else f"{rule} ({means})" if language == "en" else f"{rule}（{means}）"


def explanation(item: SlateItem, titles: Titles, language: TextLanguage = "en") -> str:
    """Why ``item`` is in its slate, and there: its reasons, strongest first, and what rules and diversification did.

    >>> item = SlateItem(item_id="c", position=2, relevance=0.6, relevance_rank=14, preferred_to="d")
    >>> item.reasons = [Reason(code="content", share=0.7, item_id="b"), Reason(code="popular", share=0.3)]
    >>> explanation(item, {"b": "Blue Train"})
    'reads like Blue Train; popular; in the place of item d; number 14 by relevance alone'
    >>> explanation(item, {"b": "蓝色列车"}, "zh")
    '内容与“蓝色列车”相近；一直受欢迎；取代了条目“d”；仅按相关度排第 14 位'
    """
    told = [in_words(reason, titles, language) for reason in item.reasons]
    told += changes(item, titles, language)
    if item.relevance_rank != item.position:
        told.append(_RANK[language].format(rank=item.relevance_rank))
    return BETWEEN[language].join(told)
