"""The transforms of a recipe: one file each, and the table by which stored ones are found again."""

from raypipe.features.transforms.base import Fitted, Transform
from raypipe.features.transforms.count_encode import CountEncode, count_encode
from raypipe.features.transforms.date_parts import DateParts, date_parts
from raypipe.features.transforms.derive import Derive, derive
from raypipe.features.transforms.group_rare import GroupRare, group_rare
from raypipe.features.transforms.hash_encode import HashEncode, hash_encode
from raypipe.features.transforms.impute import Impute, impute
from raypipe.features.transforms.lookup import Lookup, lookup
from raypipe.features.transforms.ngrams import NGrams, ngrams
from raypipe.features.transforms.one_hot import OneHot, one_hot
from raypipe.features.transforms.ordinal import Ordinal, ordinal
from raypipe.features.transforms.select import Select, select
from raypipe.features.transforms.target_encode import TargetEncode, target_encode
from raypipe.features.transforms.text_parts import TextParts, text_parts

KINDS: dict[str, type[Transform]] = {
    kind.kind: kind for kind in (Derive, Select, DateParts, Impute, OneHot, TargetEncode, Lookup)
}
KINDS |= {
    kind.kind: kind for kind in (CountEncode, GroupRare, HashEncode, Ordinal, NGrams, TextParts)
}

__all__ = [
    "KINDS",
    "Fitted",
    "Transform",
    "count_encode",
    "date_parts",
    "derive",
    "group_rare",
    "hash_encode",
    "impute",
    "lookup",
    "ngrams",
    "one_hot",
    "ordinal",
    "select",
    "target_encode",
    "text_parts",
]
