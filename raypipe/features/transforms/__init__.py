"""The transforms of a recipe: one file each, and the table by which stored ones are found again."""

from raypipe.features.transforms.base import Fitted, Transform
from raypipe.features.transforms.date_parts import DateParts, date_parts
from raypipe.features.transforms.derive import Derive, derive
from raypipe.features.transforms.impute import Impute, impute
from raypipe.features.transforms.lookup import Lookup, lookup
from raypipe.features.transforms.one_hot import OneHot, one_hot
from raypipe.features.transforms.select import Select, select
from raypipe.features.transforms.target_encode import TargetEncode, target_encode

KINDS: dict[str, type[Transform]] = {
    kind.kind: kind for kind in (Derive, Select, DateParts, Impute, OneHot, TargetEncode, Lookup)
}

__all__ = [
    "KINDS",
    "Fitted",
    "Transform",
    "date_parts",
    "derive",
    "impute",
    "lookup",
    "one_hot",
    "select",
    "target_encode",
]
