"""The transforms of a recipe: one file each, and the table by which stored ones are found again."""

from typing import NoReturn

from raypipe.core.near import no_attribute
from raypipe.features.transforms.base import Fitted, Transform
from raypipe.features.transforms.bins import Bins, bins
from raypipe.features.transforms.cast import Cast, cast
from raypipe.features.transforms.clip import Clip, clip
from raypipe.features.transforms.count_encode import CountEncode, count_encode
from raypipe.features.transforms.curve import Curve, log1p, power, signed_log
from raypipe.features.transforms.cyclical import Cyclical, cyclical
from raypipe.features.transforms.date_parts import DateParts, date_parts
from raypipe.features.transforms.derive import Derive, derive
from raypipe.features.transforms.drop import Drop, drop
from raypipe.features.transforms.earlier import Lag, Window, lag, window
from raypipe.features.transforms.geo_distance import GeoDistance, geo_distance
from raypipe.features.transforms.group_rare import GroupRare, group_rare
from raypipe.features.transforms.hash_encode import HashEncode, hash_encode
from raypipe.features.transforms.impute import Impute, impute
from raypipe.features.transforms.interactions import Interactions, interactions
from raypipe.features.transforms.lookup import Lookup, lookup
from raypipe.features.transforms.ngrams import NGrams, ngrams
from raypipe.features.transforms.one_hot import OneHot, one_hot
from raypipe.features.transforms.ordinal import Ordinal, ordinal
from raypipe.features.transforms.ratio import Ratio, ratio
from raypipe.features.transforms.scale import Scale, scale
from raypipe.features.transforms.select import Select, select
from raypipe.features.transforms.target_encode import TargetEncode, target_encode
from raypipe.features.transforms.text_parts import TextParts, text_parts
from raypipe.features.transforms.time_between import TimeBetween, time_between


def __getattr__(name: str) -> NoReturn:
    raise no_attribute(__name__, name, __all__)


_KINDS: tuple[type[Transform], ...] = (
    Derive,
    Select,
    Drop,
    Cast,
    DateParts,
    TimeBetween,
    Cyclical,
    Impute,
    Scale,
    Clip,
    Curve,
    Bins,
    Ratio,
    Interactions,
    GeoDistance,
    OneHot,
    TargetEncode,
    Lookup,
    CountEncode,
    GroupRare,
    HashEncode,
    Ordinal,
    NGrams,
    TextParts,
    Lag,
    Window,
)
KINDS: dict[str, type[Transform]] = {one.kind: one for one in _KINDS}

__all__ = [
    "KINDS",
    "Fitted",
    "Transform",
    "bins",
    "cast",
    "clip",
    "count_encode",
    "cyclical",
    "date_parts",
    "derive",
    "drop",
    "geo_distance",
    "group_rare",
    "hash_encode",
    "impute",
    "interactions",
    "lag",
    "log1p",
    "lookup",
    "ngrams",
    "one_hot",
    "ordinal",
    "power",
    "ratio",
    "scale",
    "select",
    "signed_log",
    "target_encode",
    "text_parts",
    "time_between",
    "window",
]
